"""A trial that hangs ends itself and says where it stood; one that speaks, or has ended, does not."""

import subprocess
import sys

from orchestrator.driving.silence import EXIT_STATUS

HUNG = """
import threading
from orchestrator.driving.silence import SilenceLimit

def stands_here():
    threading.Lock().acquire()
    threading.Event().wait()

with SilenceLimit(0.3) as limit:
    for _ in range(3):
        threading.Event().wait(0.15)
        limit.touch()
    print("spoke", flush=True)
    stands_here()
"""
ENDED = """
import threading
from orchestrator.driving.silence import SilenceLimit

for seconds in (0.2, None):
    with SilenceLimit(seconds):
        pass
threading.Event().wait(0.5)
assert not [thread for thread in threading.enumerate() if thread.name == "silence-limit"]
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_a_hung_trial_ends_itself_and_says_where_it_stood() -> None:
    ended = run(HUNG)
    assert ended.returncode == EXIT_STATUS
    assert ended.stdout == "spoke\n"
    assert "this trial gave no sign of life for 0 s: it was taken for hung" in ended.stderr
    assert "in stands_here" in ended.stderr


def test_one_that_has_ended_is_left_alone() -> None:
    ended = run(ENDED)
    assert (ended.returncode, ended.stderr) == (0, "")
