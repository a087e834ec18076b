"""Digest of a data set's image files: what a trial's identity knows of them."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trainers.data.tree import ImageFile
from trainers.errors import DataError
from trainers.fence import fence

MAX_BYTES_READ = 256 * 2**20
"""Whole contents up to this size together; reading more would cost more than it tells."""
NUM_FILES_SAMPLED = 256


class Fingerprint(NamedTuple):
    """A digest, and what was read for it."""

    text: str
    """20 hex digits."""
    sha256: dict[str, bytes]
    """Path -> digest of the content; of all files or, in a large set, of a sample."""


def fingerprint(folder: str, files: Sequence[ImageFile]) -> Fingerprint:
    """Digest of the image files of a data set, and of no other.

    Over every file's path below the folder and its size, and over contents: of all files if they are below 256 MiB
    together, else of 256 files spread evenly over the sorted list. So a file added, removed, renamed or resized is
    always noticed; an edit in a large set that keeps a file's size may not be.

    Args:
        folder: the data set's; every path is joined to it.
        files: all images that are read.

    Raises:
        DataError: a file can't be read.
    """
    # Folder by folder: the separator sorts before every character of a name.
    ordered = sorted(files, key=lambda file: file.path.replace("/", "\0"))
    # Joined as the files' paths were: below `.` they begin with their class.
    start = len(str(Path(folder, "x"))) - 1
    digest = hashlib.sha256()
    for path, size in ordered:
        # Bytes, because a name need not be text.
        digest.update(os.fsencode(path[start:]) + f"\0{size}\0".encode())
    total = sum(size for _, size in ordered)
    stride = 1 if total <= MAX_BYTES_READ else -(-len(ordered) // NUM_FILES_SAMPLED)
    contents: dict[str, bytes] = {}
    for path, _ in ordered[::stride]:
        fence().count(folder, 0)
        contents[path] = content_digest(path)
        digest.update(contents[path])
    return Fingerprint(digest.hexdigest()[:20], contents)


def content_digest(path: str) -> bytes:
    """SHA-256 of a file.

    Raises:
        DataError: it can't be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise DataError(f"the image file {path} can't be read: {error.strerror or error}") from error
