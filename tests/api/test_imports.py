"""What a service imports at its start."""

import subprocess
import sys


def test_a_service_starts_without_what_trains() -> None:
    """Torch alone takes seconds and 700 MB; each worker of a service would have it."""
    heavy = {"torch", "timm", "torchvision", "ray", "mlflow", "sklearn"}
    code = f"import sys, api.app; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
