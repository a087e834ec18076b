"""Python, torch, and the GPU's driver."""

import json
import platform
import subprocess
import sys
from importlib.metadata import metadata

from api.doctor.finding import Finding, note, ok, problem
from trainers.counted import counted

_TORCH_SECONDS = 120.0
_ASK_TORCH = """
import ctypes, json, warnings
driver = None
try:
    number = ctypes.c_int()
    if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number)) == 0:
        driver = f"{number.value // 1000}.{number.value % 1000 // 10}"
except OSError:
    pass
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import torch
    there = torch.cuda.is_available()
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())] if there else []
print(json.dumps({
    "torch": torch.__version__, "cuda": torch.version.cuda, "driver": driver, "works": there,
    "gpus": [f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in gpus],
    "why": str(told[0].message).splitlines()[0] if told else "",
}))
"""


def look_at_python() -> Finding:
    """The interpreter that runs this."""
    wanted = metadata("sigmalab")["Requires-Python"]
    return ok("Python", f"{platform.python_version()} at {sys.executable} (sigmalab wants {wanted})")


def look_at_torch() -> list[Finding]:
    """torch, in a process of its own: it is slow to import, and a broken one may crash."""
    command = [sys.executable, "-c", _ASK_TORCH]
    try:
        answer = subprocess.run(  # noqa: S603 (our own command)
            command, capture_output=True, text=True, errors="replace", timeout=_TORCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return [problem("torch", f"its import did not end within {_TORCH_SECONDS:.0f} s", "look at the disk below")]
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() or [f"it ended with status {answer.returncode}"]
        return [problem("torch", f"can't be imported: {lines[-1]}", "install it anew: make sync, or pip install torch")]
    facts = json.loads(answer.stdout.splitlines()[-1])
    built = f"{facts['torch']}, built for {'CUDA ' + facts['cuda'] if facts['cuda'] else 'the CPU alone'}"
    return [ok("torch", built), _gpus(facts)]


def _gpus(facts: dict[str, object]) -> Finding:
    driver, cuda, gpus = facts["driver"], facts["cuda"], facts["gpus"]
    if facts["works"] and isinstance(gpus, list) and gpus:
        count = counted(len(gpus), "GPU")
        return ok("GPUs", f"{count}: {'; '.join(dict.fromkeys(map(str, gpus)))} (the driver knows CUDA {driver})")
    if driver is None:
        return note("GPUs", "NVIDIA's driver finds none: trials train on the CPU (gpus_per_worker: 0)")
    if cuda is None:
        return problem(
            "GPUs",
            f"the driver knows CUDA {driver}, but this torch was built for the CPU alone",
            "install a torch for CUDA: pip install torch --index-url https://download.pytorch.org/whl/cu"
            f"{str(driver).replace('.', '')} (or the next lower one that is there)",
        )
    if _version(str(driver)) < _version(str(cuda)):
        return problem(
            "GPUs",
            f"the driver knows CUDA {driver}, torch was built for {cuda}: too new for it",
            f"a newer driver, or a torch for CUDA {driver}: pip install torch --index-url "
            f"https://download.pytorch.org/whl/cu{str(driver).replace('.', '')} (or the next lower one)",
        )
    why = f": {facts['why']}" if facts["why"] else ""
    return note(
        "GPUs",
        f"the driver knows CUDA {driver}, but torch sees no GPU{why}",
        "nvidia-smi says whether there is one; CUDA_VISIBLE_DEVICES may hide it; containers need --gpus all",
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
