"""What a killed process has started ends."""

import subprocess
import sys
from pathlib import Path

from tests.api.processes import wait_for_the_end_of

_PARENT = """
import multiprocessing, sys, time
from api.orphaned import end_with_parent

def wait_for_ever():
    end_with_parent()
    time.sleep(1000)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=wait_for_ever)
    child.start()
    print(child.pid, flush=True)
    sys.stdin.read()
"""


def test_it_ends_though_its_parent_was_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(_PARENT)
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, program],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    wait_for_the_end_of(pid)
