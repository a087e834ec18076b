"""Images of validation or test whose very bytes are in training too: they make scores a little too good."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from trainers.data.fingerprint import content_digest
from trainers.data.tree import ImageFile
from trainers.errors import DataError
from trainers.fence import fence

NUM_SOUGHT = 2_000
"""Images of validation and test whose copies are sought in a large set."""
NUM_FILES_OPENED = 10_000
"""Files that are opened for it at most."""
NUM_BYTES_READ = 256 * 2**20
"""Bytes of files that are read whole for it at most: a trial waits for them, too."""
TAIL_BYTES = 4096
"""Of files of equal size the ends are compared first: cameras write equal beginnings."""


class Copies(NamedTuple):
    """How many images of validation or test are in training too."""

    number: int
    """Such images."""
    num_sought: int
    """Images of validation and test that were compared with training."""


def seek_copies(train: Sequence[ImageFile], scored: Sequence[ImageFile], sha256: Mapping[str, bytes]) -> Copies:
    """Find copies among files; of a large set only for a sample of its validation and test images.

    Args:
        train: training images.
        scored: images of validation and test.
        sha256: path -> digest of the content, as far as it is known.

    Raises:
        DataError: a file can't be read.
    """
    if all(file.path in sha256 for file in (*train, *scored)):
        trained_on = {sha256[file.path] for file in train}
        return Copies(sum(sha256[file.path] in trained_on for file in scored), len(scored))
    num_chosen = min(NUM_SOUGHT, len(scored))
    sought = [scored[number * len(scored) // num_chosen] for number in range(num_chosen)]
    wanted: dict[int, list[str]] = defaultdict(list)
    for file in sought:
        wanted[file.size].append(file.path)
    of_equal_size: dict[int, list[str]] = {size: [] for size in wanted}
    for file in train:
        if file.size in of_equal_size:
            of_equal_size[file.size].append(file.path)
    number = num_sought = num_opened = 0
    bytes_left = NUM_BYTES_READ
    # Few candidates first: a size that a million files share would take all the room.
    for size, candidates in sorted(of_equal_size.items(), key=lambda entry: len(entry[1])):
        if candidates:
            num_opened += len(candidates) + len(wanted[size])
        if num_opened > NUM_FILES_OPENED:
            break
        found, bytes_left = _copies_of_size(size, candidates, wanted[size], bytes_left)
        number += found.number
        num_sought += found.num_sought
    return Copies(number, num_sought)


def _copies_of_size(size: int, train: Sequence[str], scored: Sequence[str], bytes_left: int) -> tuple[Copies, int]:
    """Copies among files of one size, and the bytes that may still be read: whole are read those with equal ends."""
    if not train:
        return Copies(0, len(scored)), bytes_left
    train_of_tail, scored_of_tail = _by_tail(train, size), _by_tail(scored, size)
    number = num_sought = 0
    for tail, alike in scored_of_tail.items():
        others = train_of_tail.get(tail, [])
        num_bytes = size * (len(alike) + len(others)) if others else 0
        if num_bytes > bytes_left:
            continue
        bytes_left -= num_bytes
        num_sought += len(alike)
        if others:
            fence().count(others[0], 0)
            trained_on = {content_digest(path) for path in others}
            number += sum(content_digest(path) in trained_on for path in alike)
    return Copies(number, num_sought), bytes_left


def _by_tail(paths: Sequence[str], size: int) -> dict[bytes, list[str]]:
    by_tail: dict[bytes, list[str]] = defaultdict(list)
    for path in paths:
        by_tail[_tail(path, size)].append(path)
    return by_tail


def _tail(path: str, size: int) -> bytes:
    fence().count(path, 0)
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, size - TAIL_BYTES))
            return file.read()
    except OSError as error:
        raise DataError(f"the image file {path} can't be read: {error.strerror or error}") from error
