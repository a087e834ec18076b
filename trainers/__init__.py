"""Training of one trial."""

import os

# libgomp reads this when torch is loaded. By default its idle threads spin at each end of a parallel region; on a busy
# machine they spin away the time of the thread that they wait for (small ViT, 2 cores, load 4 to 10: 6 to 12 times
# slower). A user's own setting stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# cuBLAS reads this when it starts, which may be long before a trial asks for deterministic kernels; it is the size that
# torch gives it on an H100 anyway. A user's own setting stays.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
