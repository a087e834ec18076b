"""Starts a command and outlives it: whoever asked for it may die at any moment, and the command must not go on then.

A program of its own, free of everything but Python: `python -I guard.py <pipe> <words...>`. It leads a group of
processes that the command belongs to. Once nobody holds the other end of the pipe any more, it ends the whole group.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_SECONDS = 5.0
NOT_STARTED = 127


def main() -> None:
    """Run the command, and end as it has ended."""
    pipe, words = int(sys.argv[1]), sys.argv[2:]
    # Not ignored: that would be handed on. A handler is forgotten in the command's process.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        command = subprocess.Popen(words)  # noqa: S603  what the user asks for
    except OSError as error:
        sys.stderr.write(f"{words[0]} can't be started: {error.strerror}\n")
        os._exit(NOT_STARTED)
    threading.Thread(target=_end_with_asker, args=(pipe,), daemon=True).start()
    status = command.wait()
    # Of a signal, as shells tell it.
    os._exit(status if status >= 0 else 128 - status)


def _end_with_asker(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
