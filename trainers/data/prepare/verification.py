"""Reads every image once: is it there, can it be decoded, what is its checksum?"""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from trainers.data.color import require_white_level
from trainers.data.decoding import UndecodableError, decoder_at_work
from trainers.data.stored_image import StoredImage, read_stored_image
from trainers.progress import Progress

CHUNK = 64
"""Images that a thread takes at once: neighbours, which share a row group of a Parquet file."""
CHUNKS_AHEAD = 16
"""Per thread; bounds what waits."""


class Checked(NamedTuple):
    """An image that is there and can be decoded."""

    sha256: bytes
    size: int


class Fault(NamedTuple):
    """An image that can't be used, and why."""

    reason: str


def verify(
    folder: Path, images: Sequence[StoredImage], progress: Progress, *, num_threads: int | None = None
) -> Iterator[Checked | Fault]:
    """What each image is, in order.

    Threads are enough: reading, hashing and decoding all let go of Python's lock.

    Args:
        folder: where the images' paths start.
        images: where they are.
        progress: counts them.
        num_threads: how many read at once (`None`: one per core).
    """
    num_threads = num_threads or len(os.sched_getaffinity(0))
    chunks = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    with ThreadPoolExecutor(num_threads) as threads:
        while window := list(islice(chunks, num_threads * CHUNKS_AHEAD)):
            for found in threads.map(lambda chunk: [check(folder, image) for image in chunk], window):
                progress.advance(len(found))
                yield from found


def check(folder: Path, image: StoredImage) -> Checked | Fault:
    """Read and decode one image."""
    try:
        content = read_stored_image(folder, image)
    except FileNotFoundError:
        return Fault("is missing")
    except OSError as error:
        return Fault(f"can't be read: {error.strerror or error}")
    try:
        with decoder_at_work(), Image.open(io.BytesIO(content)) as opened:
            # A JPEG at an eighth of its size: all its data are decoded, in a third of the time.
            opened.draft("RGB", (1, 1))
            opened.load()
            require_white_level(opened)
    except UndecodableError as error:
        return Fault(f"can't be decoded: {error}" if content else "is empty")
    return Checked(hashlib.sha256(content).digest(), len(content))
