"""What is imported when: configs need no torch, and a trial no more than it uses."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "scipy", "sklearn", "pyarrow", "PIL", "ray", "mlflow", "matplotlib")
"""What takes seconds to import, or what not every trial needs."""


def imported_by(statement: str, *, of: tuple[str, ...] = HEAVY) -> set[str]:
    """Which of some packages a fresh interpreter has imported after a statement."""
    code = f"import sys; {statement}; print(*sorted(set({of!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["config", "data", "models", "analyses.study", "optimization", "mixing", "tasks"])
def test_a_config_imports_no_library_that_computes(module: str) -> None:
    assert imported_by(f"import trainers.{module}") == set()
