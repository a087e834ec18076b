"""Files that are either whole or not there."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_ABANDONED_SECONDS = 3600.0
"""A temporary file that nobody wrote to for so long was left by a process that was killed."""


@contextmanager
def replaced_file(path: Path, *, keep_old_as: str | None = None) -> Iterator[BinaryIO]:
    """Write to a temporary file that takes `path`'s place once it is whole and on disk.

    A process killed at any moment leaves the old file or the new one; an exception leaves the old one. Several may
    write at once: the last one wins.

    Args:
        path: the file.
        keep_old_as: name (in the same folder) that the old file gets (`None`: it is replaced). Killed between the
            two renames, only that name is left.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    _remove_abandoned(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep_old_as is not None and path.exists():
            path.replace(path.with_name(keep_old_as))
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        # What fails on an open file has no name, and nobody could tell which disk is full.
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    latest = time.time() - _ABANDONED_SECONDS
    for entry in path.parent.iterdir() if path.parent.is_dir() else ():
        if entry.name.startswith(f".{path.name}.") and entry.name.endswith(".tmp"):
            # Another process may remove it, too, or put it in its place.
            with suppress(FileNotFoundError):
                if entry.stat().st_mtime < latest:
                    entry.unlink()


def _sync_folder(folder: Path) -> None:
    """Make renames durable (POSIX)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
