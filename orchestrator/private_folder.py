"""Folders that nobody else may write, so that nobody else decides what is read from them.

As PostgreSQL treats its data folder and OpenSSH its keys: what others could have changed is refused, with the command
that mends it; what they could only read is closed.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UMASK = 0o077
"""Of all that servers, drivers and trials write: for their user alone."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class OpenFolderError(OSError):
    """Others may change what is in a folder; the message says how to mend it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.strerror = message


def current_umask() -> int:
    """This process's."""
    # It can't be asked for without being set; a program's main thread does so before there are others.
    mask = os.umask(UMASK)
    os.umask(mask)
    return mask


@contextmanager
def umask_of(mask: int) -> Iterator[None]:
    """Write files with this mask meanwhile; of all threads."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def private_folder(folder: Path) -> None:
    """Make a folder for this user alone, or close one that is there.

    Raises:
        OpenFolderError: others may write it, or put another one in its place.
        OSError: it can't be made or closed.
    """
    for outer in reversed(folder.absolute().parents):
        if not outer.exists():
            # Whatever this user's mask lets others do.
            outer.mkdir(mode=0o755, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    refuse_open(folder)
    status = folder.stat()
    if status.st_uid == os.geteuid() and status.st_mode & _OTHERS:
        folder.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)


def refuse_open(folder: Path, *, group_may_write: bool = False) -> None:
    """See that nobody else may write a folder or put another one in its place.

    Args:
        folder: is there.
        group_may_write: whether the folder's group is trusted.

    Raises:
        OpenFolderError: somebody else may.
    """
    writers = stat.S_IWOTH if group_may_write else stat.S_IWOTH | stat.S_IWGRP
    mode = folder.stat().st_mode
    if mode & writers and _keeps_modes(folder):
        who = "everybody" if mode & stat.S_IWOTH else "its group"
        how = "o-w" if group_may_write else "go-w"
        raise OpenFolderError(
            f"{who} may write {folder} (mode {stat.S_IMODE(mode):04o}), and so decide what is read from it: look "
            f"whether all in it is yours, then `chmod {how} {folder}`; or name a new folder inside it"
        )
    open_one = swappable(folder)
    if open_one is not None and _keeps_modes(folder):
        raise OpenFolderError(
            f"everybody may write {open_one}, and so put another folder in the place of {folder}: "
            f"`chmod o-w {open_one}` (or `chmod +t`, as /tmp has it), or name a folder elsewhere"
        )


def swappable(folder: Path) -> Path | None:
    """The nearest folder around this one in which everybody may rename what is not theirs (`None`: there is none)."""
    for outer in folder.resolve().parents:
        mode = outer.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return outer
    return None


def _keeps_modes(folder: Path) -> bool:
    """Whether its file system knows who may write: a Windows disk in WSL or a virtual machine's folder may not."""
    probe = folder / f".mode-{os.getpid()}"
    try:
        descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    except OSError:
        return True
    try:
        return os.fstat(descriptor).st_mode & _OTHERS == 0
    finally:
        os.close(descriptor)
        probe.unlink()
