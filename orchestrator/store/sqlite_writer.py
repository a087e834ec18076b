"""Which process writes to an SQLite file right now: one that is stopped in the middle of it stops everybody.

In the write-ahead log's mode the writer holds a lock on one byte of the file `-shm` (https://sqlite.org/walformat.html,
section 2.3.1); Linux lists such locks with their owners.
"""

from pathlib import Path
from typing import NamedTuple

_WRITE_LOCK_BYTE = 120
_LOCKS = Path("/proc/locks")


class Writer(NamedTuple):
    """A process that holds the write lock."""

    pid: int
    arguments: tuple[str, ...]
    """Its command line."""
    is_stopped: bool
    """Whether it stands still (SIGSTOP, Ctrl-Z, a debugger), and will not let go by itself."""

    @property
    def words(self) -> str:
        """For people."""
        return f"process {self.pid} ({' '.join(self.arguments)[:200]})"


def find_writer(file: Path) -> Writer | None:
    """Who holds the write lock (`None`: nobody, or it can't be told here).

    Args:
        file: the database.
    """
    shared = file.with_name(f"{file.name}-shm")
    try:
        inode, locks = shared.stat().st_ino, _LOCKS.read_text()
    except OSError:
        return None
    for line in locks.splitlines():
        # "1: POSIX  ADVISORY  WRITE 4711 08:01:131 120 120"; a waiter's line has "->" after the number.
        fields = line.split()
        if len(fields) != 8 or fields[3] != "WRITE" or fields[5].rpartition(":")[2] != str(inode):
            continue
        last = _WRITE_LOCK_BYTE if fields[7] == "EOF" else int(fields[7])
        if int(fields[6]) <= _WRITE_LOCK_BYTE <= last and (writer := _look_at(int(fields[4]), shared)) is not None:
            return writer
    return None


def _look_at(pid: int, shared: Path) -> Writer | None:
    process = Path("/proc") / str(pid)
    try:
        # Numbers of files are unique within one file system only.
        if not any(opened.samefile(shared) for opened in (process / "fd").iterdir() if opened.exists()):
            return None
        arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        # It has ended meanwhile, or is another user's.
        return None
    return Writer(pid, tuple(arguments[:-1]), state in ("T", "t"))
