"""Starts a command and sees to its end: whoever asked for it may die at any moment, and it must not go on then.

A program of its own, free of everything but Python: `python -I guard.py <pipe> <words...>`. It leads a group of
processes that the command belongs to. One of these, the watcher, ends all of them once nobody holds the other end of
the pipe any more. It is a process apart, for Ray kills the children of a worker that it ends, and only those.
"""

import os
import signal
import subprocess
import sys
import time

GRACE_SECONDS = 5.0
NOT_STARTED = 127


def main() -> None:
    """Run the command, and end as it has ended."""
    pipe, words = int(sys.argv[1]), sys.argv[2:]
    # Both outlive what ends the command. It is not ignored: that would be handed on, as a handler is not.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    watcher = os.fork()
    if watcher == 0:
        _end_with_asker(pipe)
    os.close(pipe)
    try:
        command = subprocess.Popen(words)  # noqa: S603  what the user asks for
        status = command.wait()
    except OSError as error:
        sys.stderr.write(f"{words[0]} can't be started: {error.strerror}\n")
        sys.stderr.flush()
        status = NOT_STARTED
    os.kill(watcher, signal.SIGKILL)
    # Of a signal, as shells tell it.
    os._exit(status if status >= 0 else 128 - status)


def _end_with_asker(pipe: int) -> None:
    """Never returns. It holds none of the command's output, whose end others wait for."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    while os.read(pipe, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
