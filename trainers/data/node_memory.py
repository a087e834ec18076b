"""Files in memory that processes of one machine share, and that are gone with the last process that holds them.

Such a file has no name in any folder (`memfd_create`): a process that is killed leaves nothing behind, as stale files
in /dev/shm would be left, and no limit of a container's /dev/shm holds. Others reach it through the file table of a
process that holds it, `/proc/<process>/fd/<number>`; a small list in the temporary folder says who does.
"""

import contextlib
import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO


class _Holder(NamedTuple):
    process: int
    descriptor: int


def join_memory(name: str, num_bytes: int) -> int:
    """Descriptor of the file of this name, which another process of the same user holds, or of a new one of zeros.

    Args:
        name: says all that its content depends on; at most 200 characters, without slashes.
        num_bytes: size of a new one. It takes memory where it is written, not before.

    Raises:
        OSError: the system gives none.
        OverflowError: no file can be that large.
    """
    if sys.platform != "linux":
        # Without a name, too, but nobody else reaches it.
        with tempfile.TemporaryFile() as file:
            os.ftruncate(file.fileno(), num_bytes)
            return os.dup(file.fileno())
    with _list_of_holders(name) as file:
        holders = [] if file is None else [holder for holder in _read(file) if _holds(holder, name)]
        mine = next(filter(None, (_opened(holder, name) for holder in holders)), None)
        if mine is None:
            mine = os.memfd_create(name)
            try:
                os.ftruncate(mine, num_bytes)
            except (OSError, OverflowError):
                os.close(mine)
                raise
        if file is not None:
            _write(file, [*holders, _Holder(os.getpid(), mine)])
    return mine


def leave_memory(name: str, descriptor: int) -> None:
    """Let go of what `join_memory` gave; with its last holder the memory is free again."""
    if sys.platform == "linux":
        with _list_of_holders(name) as file:
            if file is not None:
                me = _Holder(os.getpid(), descriptor)
                others = [holder for holder in _read(file) if holder != me and _holds(holder, name)]
                _write(file, others)
                if not others:
                    (_folder() / name).unlink(missing_ok=True)
    os.close(descriptor)


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"sigmalab-memory-{os.getuid()}"


@contextlib.contextmanager
def _list_of_holders(name: str) -> Iterator[TextIO | None]:
    """The list, locked (`None`: the folder is not ours alone, so nothing in it is believed)."""
    folder = _folder()
    # Whatever else has the name is looked at next.
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        yield None
        return
    while True:
        with (folder / name).open("a+", encoding="ascii", errors="replace") as file:
            # The system unlocks it when its holder dies.
            fcntl.flock(file, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), (folder / name).stat()):
                    yield file
                    return
            # Whoever had the lock before has removed the list.


def _read(file: TextIO) -> list[_Holder]:
    """What the list says; a line that its writer did not finish is passed over."""
    file.seek(0)
    lines = [line.split() for line in file]
    return [_Holder(*map(int, words)) for words in lines if len(words) == 2 and all(word.isdigit() for word in words)]


def _write(file: TextIO, holders: list[_Holder]) -> None:
    file.truncate(0)
    file.writelines(f"{holder.process} {holder.descriptor}\n" for holder in holders)
    file.flush()


def _holds(holder: _Holder, name: str) -> bool:
    """Whether a process still has it; another process may have got its number since."""
    try:
        return _path(holder).readlink().as_posix() == f"/memfd:{name} (deleted)"
    except OSError:
        return False


def _opened(holder: _Holder, name: str) -> int | None:
    try:
        descriptor = os.open(_path(holder), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    if _holds(_Holder(os.getpid(), descriptor), name):
        return descriptor
    os.close(descriptor)
    return None


def _path(holder: _Holder) -> Path:
    return Path(f"/proc/{holder.process}/fd/{holder.descriptor}")
