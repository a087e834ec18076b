"""What is imported when: configs need no torch, and a trial no more than it uses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HEAVY = ("torch", "torchvision", "timm", "scipy", "sklearn", "pyarrow", "PIL", "ray", "mlflow", "matplotlib")
"""What takes seconds to import, or what not every trial needs."""


def imported_by(statement: str, *, of: tuple[str, ...] = HEAVY) -> set[str]:
    """Which of some packages a fresh interpreter has imported after a statement."""
    code = f"import sys; {statement}; print(*sorted(set({of!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["config", "kinds", "analyses.study", "optimization.recipe"])
def test_a_config_imports_no_library_that_computes(module: str) -> None:
    assert imported_by(f"import trainers.{module}") == set()


WITHOUT = """
import sys

HIDDEN = {"sklearn", "scipy", "pyarrow", "pandas", "matplotlib", "ray", "mlflow", "sqlalchemy", "fastapi", "httpx"}


class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, *rest)

    def __getattr__(self, name):
        return getattr(self.finder, name)


sys.meta_path = [Hiding(finder) for finder in sys.meta_path]
from trainers.__main__ import main

sys.exit(main(sys.argv[1:]))
"""
"""`python -m trainers` where torch, torchvision, timm, pydantic, numpy and Pillow are installed and little else."""


def train_without(trial: dict[str, object], folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "trial.json"
    file.write_text(json.dumps(trial))
    return subprocess.run([sys.executable, "-c", WITHOUT, file, "--threads", "1"], capture_output=True, text=True)


SMALL = {
    "model": {"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1, "image_size_px": 16},
    "attention_bias": {"kind": "gaussian", "sigma": 2.0},
    "optimization": {"epochs": 1, "global_batch_size": 8},
}


def test_a_trial_on_a_folder_needs_torch_timm_pydantic_and_numpy_alone(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for index in range(30):
        path = tmp_path / "images" / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    done = train_without(SMALL | {"dataset": {"kind": "folder", "path": str(tmp_path / "images")}}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test/top1" in json.loads(done.stdout)["metrics"]


def test_what_a_trial_lacks_is_named(tmp_path: Path) -> None:
    done = train_without(SMALL | {"dataset": {"kind": "digits"}}, tmp_path)
    assert done.returncode == 1
    assert "scikit-learn" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
