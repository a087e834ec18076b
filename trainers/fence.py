"""Which files a spec may name: inside allowed folders, never the kernel's own, within limits.

A service reads what strangers name, with its user's rights. So whatever a path in a spec leads to, links followed, lies
in one of the fence's folders, or is refused in the same words whether it is there or not. A program that its user runs
has no folders fenced off but those of the kernel, which have no end.

    with fenced(Fence(roots=(Path("/data"),), max_seconds=60)):
        expansion = Expansion(spec, ...)     # every file and folder of a spec is reached through `reach`
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from trainers.errors import DataError, ReadingStoppedError
from trainers.user_path import user_path

_KERNELS = ("/proc", "/sys", "/dev")
"""Not files on a disk: some have no end, some hang, some do something when they are read."""
_DISK_IN_DEV = "/dev/shm"  # noqa: S108 (a disk in memory, where data sets may lie)


@dataclass
class Fence:
    """What may be read, and how much of it. One is made for each reading: it counts."""

    roots: tuple[Path, ...] | None = None
    """Folders that all must lie in (`None`: anywhere)."""
    setting: str = "SIGMALAB_DATA_ROOTS"
    """Where the folders are set."""
    max_entries: int | None = None
    """Entries of folders that are looked at (`None`: any number)."""
    max_seconds: float | None = None
    """Seconds that reading may take (`None`: any time)."""
    is_cancelled: Callable[[], bool] = lambda: False
    """Whether nobody waits for it any more; asked before the first file is looked at, and may wait then for others."""
    _has_begun: bool = False
    _started: float = field(default_factory=time.monotonic)
    _num_entries: int = 0

    def check(self, path: str | os.PathLike[str], named: str | None = None) -> str:
        """See that a path leads into an allowed folder.

        Args:
            path: what is to be read.
            named: as the user has written it (`None`: so).

        Returns:
            Where it leads, links followed.

        Raises:
            DataError: it leads elsewhere. Whether anything is there is not told, nor where a link leads.
            ReadingStoppedError: nobody waits for it any more.
        """
        shown = str(path) if named is None else named
        if not self._has_begun:
            if self.is_cancelled():
                raise ReadingStoppedError(f"reading {shown} was stopped: the request for it has ended")
            self._has_begun, self._started = True, time.monotonic()
        try:
            real = os.path.realpath(path)
        except (OSError, ValueError) as error:
            raise DataError(f"the path {shown!r} can't be followed: {_words(error)}") from None
        if any(_is_within(real, kernels) for kernels in _KERNELS) and not _is_within(real, _DISK_IN_DEV):
            raise DataError(f"the path {shown!r} leads into a folder of the kernel's, where no data lie")
        if self.roots is not None and not any(_is_within(real, os.path.realpath(root)) for root in self.roots):
            folders = ", ".join(map(str, self.roots)) or "none"
            raise DataError(
                f"the path {shown!r} leads out of the folders that this service may read for others ({folders}): "
                f"put the data there, or start the service with {self.setting}=<folder>[:<folder>...]"
            )
        return real

    def count(self, where: str, num_entries: int = 1) -> None:
        """Say that so many entries were looked at, or files read.

        Raises:
            DataError: these were too many, or took too long.
            ReadingStoppedError: nobody waits for it any more.
        """
        self._num_entries += num_entries
        if self.is_cancelled():
            raise ReadingStoppedError(f"reading {where} was stopped: the request for it has ended")
        if self.max_entries is not None and self._num_entries > self.max_entries:
            raise DataError(
                f"there are more than {self.max_entries:,} entries in {where} and beside it: is it the right folder? "
                "A larger limit is set by SIGMALAB_DATA_MAX_ENTRIES where the service starts"
            )
        if self.max_seconds is not None and time.monotonic() - self._started > self.max_seconds:
            raise DataError(
                f"reading {where} took more than {self.max_seconds:.0f} s: is it the right folder? More time is given "
                "by SIGMALAB_DATA_MAX_SECONDS where the service starts"
            )


_OPEN = Fence()
_current: ContextVar[Fence | None] = ContextVar("fence", default=None)


def fence() -> Fence:
    """The one that holds here."""
    return _current.get() or _OPEN


@contextmanager
def fenced(of: Fence) -> Iterator[None]:
    """Let a fence hold for all that this thread reads meanwhile."""
    token = _current.set(of)
    try:
        yield
    finally:
        _current.reset(token)


def reach(written: str, root: Path | None) -> Path:
    """The file or folder that a spec names, if it may be read.

    Args:
        written: see `trainers.user_path`.
        root: where relative paths start.

    Raises:
        DataError: it may not.
    """
    path = user_path(written, root)
    fence().check(path, written)
    return path


def reach_folder(written: str, root: Path | None, *, expected: str) -> Path:
    """The folder that a data set names, if it is there and may be read.

    Args:
        written: see `trainers.user_path`.
        root: where relative paths start.
        expected: what should lie in it, for the message.

    Raises:
        DataError: it may not, or is not there; says where it was sought.
    """
    folder = reach(written, root)
    if not is_folder(folder):
        raise DataError(f"no folder {folder.resolve()} (path {written!r}, from the {start_in_words(root)}); {expected}")
    return folder


def start_in_words(root: Path | None) -> str:
    """Where relative paths start, for messages."""
    return f"data root {root.resolve()}" if root else f"current folder {Path.cwd()}"


def is_folder(path: Path) -> bool:
    """Whether a folder is there.

    Raises:
        DataError: it can't be told: a name that is too long, no right to look, a broken disk.
    """
    return _has_kind(path, stat.S_ISDIR)


def is_file(path: Path) -> bool:
    """Whether an ordinary file is there: no pipe and no device, which may never end.

    Raises:
        DataError: it can't be told.
    """
    return _has_kind(path, stat.S_ISREG)


def _has_kind(path: Path, is_kind: Callable[[int], bool]) -> bool:
    try:
        return is_kind(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be looked at: {_words(error)}") from error


def _words(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)
