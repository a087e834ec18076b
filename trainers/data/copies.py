"""Images of validation or test whose very bytes are in training too: they make scores a little too good."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from trainers.data.fingerprint import content_digest
from trainers.data.tree import ImageFile
from trainers.errors import DataError

NUM_SOUGHT = 2_000
"""Images of validation and test whose copies are sought in a large set."""
NUM_FILES_OPENED = 10_000
"""Files that are opened for it at most."""
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
    # Few candidates first: a size that a million files share would take all the room.
    for size, candidates in sorted(of_equal_size.items(), key=lambda entry: len(entry[1])):
        if candidates:
            num_opened += len(candidates) + len(wanted[size])
        if num_opened > NUM_FILES_OPENED:
            break
        num_sought += len(wanted[size])
        if candidates:
            number += _num_copies(candidates, wanted[size], size)
    return Copies(number, num_sought)


def _num_copies(train: Sequence[str], scored: Sequence[str], size: int) -> int:
    """Of files of one size: read whole only where the ends are alike."""
    by_tail: dict[bytes, list[str]] = defaultdict(list)
    for path in train:
        by_tail[_tail(path, size)].append(path)
    return sum(
        content_digest(path) in {content_digest(other) for other in alike}
        for path in scored
        if (alike := by_tail.get(_tail(path, size)))
    )


def _tail(path: str, size: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, size - TAIL_BYTES))
            return file.read()
    except OSError as error:
        raise DataError(f"the image file {path} can't be read: {error.strerror or error}") from error
