"""Which processes belong to a stack, and how they are ended.

Every server leads a session of its own, and carries the stack's id in its environment. A process belongs to the stack
if it is in one of these sessions (Ray's workers overwrite their environment with their title) or carries the id (a
Ray job leads another session). Only the standard library: the watchdog imports this.
"""

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

STACK_ID_VARIABLE = "SIGMALAB_STACK_ID"
_PROC = Path("/proc")


class Session(NamedTuple):
    """A session that a server leads."""

    sid: int
    """The leader's process id."""
    started_ticks: int
    """The leader's start, in clock ticks since boot: a process id alone may have been given away again."""


def session_of(pid: int) -> Session:
    """The session that the process leads."""
    stat = _stat(pid)
    return Session(pid, stat.started_ticks if stat else 0)


def members(stack_id: str, sessions: Collection[Session]) -> list[int]:
    """Living processes of the stack, this one excepted."""
    if not _PROC.joinpath("self/stat").exists():
        return [session.sid for session in sessions if _exists(session.sid)]
    own = {session.sid for session in sessions if not _was_given_away(session)}
    mark = f"{STACK_ID_VARIABLE}={stack_id}".encode()
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        stat = _stat(int(entry.name))
        if stat is None or stat.state in "ZX":
            continue
        if stat.sid in own or mark in _environment(int(entry.name)):
            found.append(int(entry.name))
    return found


def end_guests(mark: str, session: Session, *, grace_seconds: float) -> None:
    """SIGTERM to marked processes outside the session (a Ray head's jobs), and time to end while their host lives."""
    guests = [pid for pid in members(mark, []) if (stat := _stat(pid)) is not None and stat.sid != session.sid]
    _send(guests, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and set(guests) & set(members(mark, [])):
        time.sleep(0.05)


def end(stack_id: str, sessions: Collection[Session], *, grace_seconds: float) -> list[int]:
    """End all processes of the stack: SIGTERM, some time, SIGKILL.

    Returns:
        Processes that are still there (normally none).
    """
    _send(members(stack_id, sessions), signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline:
        if not members(stack_id, sessions):
            return []
        time.sleep(0.05)
    # A dying parent may still have made a child: look again until nobody is left.
    for _ in range(40):
        left = members(stack_id, sessions)
        if not left:
            return []
        _send(left, signal.SIGKILL)
        time.sleep(0.05)
    return members(stack_id, sessions)


def listens(pids: Collection[int], port: int) -> bool:
    """Whether one of the processes listens on this TCP port (where the kernel does not tell: yes)."""
    tables = [_PROC / "net" / name for name in ("tcp", "tcp6")]
    if not tables[0].exists():
        return True
    sockets = {f"socket:[{inode}]" for table in tables if table.exists() for inode in _listeners(table, port)}
    return any(link in sockets for pid in pids for link in _open_files(pid))


def _listeners(table: Path, port: int) -> list[str]:
    """Inodes of sockets that listen on the port: fields 2, 4 and 10 of /proc/net/tcp (proc(5))."""
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    listening = "0A"
    return [row[9] for row in rows if row[3] == listening and int(row[1].rpartition(":")[2], 16) == port]


def _open_files(pid: int) -> list[str]:
    try:
        files = list(_PROC.joinpath(str(pid), "fd").iterdir())
    except OSError:
        # Gone, or another user's.
        return []
    found = []
    for file in files:
        # Some are closed between the two looks.
        with suppress(OSError):
            found.append(str(file.readlink()))
    return found


class _Stat(NamedTuple):
    state: str
    sid: int
    started_ticks: int


def _stat(pid: int) -> _Stat | None:
    """Fields 3, 6 and 22 of /proc/<pid>/stat (proc(5)); the name before them may hold spaces and brackets."""
    try:
        fields = _PROC.joinpath(str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return _Stat(state=fields[0], sid=int(fields[3]), started_ticks=int(fields[19]))


def _environment(pid: int) -> bytes:
    try:
        return _PROC.joinpath(str(pid), "environ").read_bytes()
    except OSError:
        # Another user's, or gone.
        return b""


def _was_given_away(session: Session) -> bool:
    """Whether another process has got the leader's id since."""
    stat = _stat(session.sid)
    return stat is not None and stat.started_ticks != session.started_ticks


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
