"""Ends the servers when their parent is gone, however it went: `python -m api.local_stack.watchdog <stack id>`.

The parent holds the other end of this process's standard input and writes one JSON line per server (its session) or
folder to remove. At the end of the input, which the kernel signals even after SIGKILL, all of them go.
Only the standard library: it starts in some 30 ms and takes some 10 MB.
"""

import json
import shutil
import signal
import sys
from typing import TextIO

from api.local_stack.processes import Session, end

GRACE_SECONDS = 3.0


def watch(stack_id: str, lines: TextIO) -> list[int]:
    """Read until the parent is gone, then end its servers and remove its folders.

    Returns:
        Processes that could not be ended.
    """
    sessions: set[Session] = set()
    folders: set[str] = set()
    for line in lines:
        message = json.loads(line)
        if "folder" in message:
            folders.add(message["folder"])
        else:
            sessions.add(Session(message["sid"], message["started_ticks"]))
    left = end(stack_id, sessions, grace_seconds=GRACE_SECONDS)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return left


def main() -> int:
    """Ignore what the terminal sends to the parent; only the end of the input counts."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return 1 if watch(sys.argv[1], sys.stdin) else 0


if __name__ == "__main__":
    sys.exit(main())
