"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replaced_file(path: Path, *, keep_old_as: str | None = None) -> Iterator[BinaryIO]:
    """Write to a temporary file that takes `path`'s place once it is whole and on disk.

    A process killed at any moment leaves the old file or the new one; an exception leaves the old one.

    Args:
        path: the file.
        keep_old_as: name (in the same folder) that the old file gets (`None`: it is replaced). Killed between the
            two renames, only that name is left.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep_old_as is not None and path.exists():
            path.replace(path.with_name(keep_old_as))
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make renames durable (POSIX)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
