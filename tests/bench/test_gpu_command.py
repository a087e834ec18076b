"""The one command for a GPU machine, small and on a CPU: nobody has minutes to mend it there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_command_for_a_gpu_works(tmp_path):
    done = subprocess.run(
        [ROOT / "bench" / "gpu" / "run.sh", "--small", "--output", tmp_path],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((tmp_path / "performance.json").read_text())
    assert content["not_measured"] == {}
    assert content["machine"]["card"] == "none (CPU)"
    assert len(content["figures"]) == 19
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in content["figures"])
    assert "| what | median |" in (tmp_path / "performance.md").read_text()
    assert "skipped" in (tmp_path / "tests.log").read_text()


def test_an_unknown_argument_is_named():
    done = subprocess.run([ROOT / "bench" / "gpu" / "run.sh", "--tiny"], capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        done.stderr == "run.sh: unknown argument --tiny; valid: --small, --output FOLDER, --seconds N, --only PART...\n"
    )
