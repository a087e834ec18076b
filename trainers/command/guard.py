"""Starts a command and sees to its end: whoever asked for it may die at any moment, and it must not go on then.

A program of its own, free of everything but Python: `python -I guard.py <pipe> <words...>`. The command belongs to a
process of its own below it, the keeper, which ends it with all that it has started once nobody holds the other end of
the pipe any more. It is a process apart, for Ray kills the children of a worker that it ends, and only those. Where the
keeper is killed, this program does the same.

What a command starts may leave its group and its session (torchrun's workers do), and may outlive whoever started it.
On Linux orphans go to the nearest ancestor that adopts them (prctl PR_SET_CHILD_SUBREAPER), which keeper and guard do:
so they find them all, as descendants. Elsewhere only the command's own group is ended.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_SECONDS = 5.0
"""How long a command may take to end when it is told to, before it is killed."""
NOT_STARTED = 127
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.1
_PAUSE_SECONDS = 0.02


def main() -> None:
    """Run the command, and end as it has ended."""
    pipe, words = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(pipe, False)
    # It outlives what ends the command. It is not ignored: that would be handed on, as a handler is not.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    _adopt_orphans()
    keeper = os.fork()
    if keeper == 0:
        # Out of the group that others may kill.
        os.setsid()
        os._exit(_keep(pipe, words))
    os.close(pipe)
    _, status = os.waitpid(keeper, 0)
    if os.WIFSIGNALED(status):
        _end_descendants(0.0)
        # As the keeper has ended: it was not the command that did.
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL) if os.WTERMSIG(status) != signal.SIGKILL else None
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(_exit_code(status))


def _keep(pipe: int, words: list[str]) -> int:
    """Run the command to its end, or to the end of whoever asked for it; nothing that it has started is left then.

    Returns:
        Its exit code; of a signal, as shells tell it.
    """
    _adopt_orphans()
    try:
        command = subprocess.Popen(words, start_new_session=True).pid  # noqa: S603  what the user asks for
    except OSError as error:
        sys.stderr.write(f"{words[0]} can't be started: {error.strerror}\n")
        sys.stderr.flush()
        return NOT_STARTED
    found: dict[int, int] = {}
    while command not in found:
        found |= _reap()
        # Nothing is ever written there: it is readable at its end.
        if command not in found and select.select([pipe], [], [], _LOOK_SECONDS)[0]:
            found |= _end_descendants(GRACE_SECONDS, command)
            break
    _end_descendants(0.0, command)
    return _exit_code(found.get(command, signal.SIGKILL))


def _end_descendants(grace_seconds: float, group: int | None = None) -> dict[int, int]:
    """Tell all descendants to end, and kill those that have not after so many seconds.

    Args:
        grace_seconds: 0 kills them at once.
        group: of the command, for systems where descendants can't be found.

    Returns:
        Child -> its status, of those that have ended.
    """
    deadline, told, found = time.monotonic() + grace_seconds, set[int](), dict[int, int]()
    while True:
        found |= _reap()
        living = _descendants() or ([-group] if group is not None and _is_there(-group) else [])
        if not living:
            return found
        is_over = time.monotonic() >= deadline
        for process in living:
            if is_over or process not in told:
                told.add(process)
                _signal(process, signal.SIGKILL if is_over else signal.SIGTERM)
        time.sleep(_PAUSE_SECONDS)


def _reap() -> dict[int, int]:
    """Child -> its status, of all that have ended."""
    found: dict[int, int] = {}
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if child == 0:
            return found
        found[child] = status


def _descendants() -> list[int]:
    """Living processes below this one; none where the system does not tell."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # Behind the name, which may hold anything: state, then the parent.
            state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(entry.name))
    found, pending = [], [os.getpid()]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _is_there(process: int) -> bool:
    """Of a group, as a negative number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except (ProcessLookupError, PermissionError):
        return


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
