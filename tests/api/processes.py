"""Processes that a test sees the end of."""

import time
from pathlib import Path


def wait_for_the_end_of(pid: int) -> None:
    """Fails where it goes on for 20 seconds."""
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/exe").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
