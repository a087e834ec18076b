"""Decoded images kept in memory, up to a limit, by all processes of a machine that read the same data."""

import contextlib
import fcntl
import logging
import mmap
import os
import weakref
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from trainers.data.node_memory import join_memory, leave_memory
from trainers.errors import ConfigError

BYTES_PER_GIB = 2**30
_CLAIMED = -1
"""In place of a height: a process is writing the image. Should it be killed, others decode that one each time."""

logger = logging.getLogger(__name__)


class ImageCache:
    """Whole RGB images by their index, as the decoder gave them: augmentation comes after and is not kept.

    Loader workers, ranks and trials of one machine fill it together: whichever decodes an image first keeps it for all.
    Nothing is ever thrown out: images that find no room are decoded anew each time. The memory is free once no process
    holds the cache, however the last one ended.
    """

    def __init__(self, num_images: int, *, limit_gib: float, key: str) -> None:
        """Join the cache of this key, or make it.

        Args:
            num_images: of the whole data set; their indices are 0 to `num_images` - 1.
            limit_gib: room for pixels.
            key: says what the images are and how they are decoded; no slash.

        Raises:
            ConfigError: the machine does not have that much memory.
        """
        self._arguments = (num_images, limit_gib, key)
        self._num_images, self._limit_gib = num_images, limit_gib
        self._limit_bytes = int(limit_gib * BYTES_PER_GIB)
        table_bytes = 8 * 3 * (num_images + 1)
        self._first_pixel = -(-table_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        # The sizes are in the name, so that only equal caches meet.
        name = f"sigmalab-images-{key}-{num_images}-{self._limit_bytes}"
        try:
            _require_memory(self._limit_bytes)
            self._file = join_memory(name, self._first_pixel + self._limit_bytes)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"image_cache_gib {limit_gib:g} is more memory than this machine gives ({error}); take less, or 0"
            ) from error
        weakref.finalize(self, _let_go, name, self._file, os.getpid())
        table = mmap.mmap(self._file, table_bytes)
        # Row of each image: first byte, width, height (0: not here). Last row: bytes taken, images kept, whether full.
        self._table = np.frombuffer(table, dtype=np.int64).reshape(num_images + 1, 3)
        if self._table[-1, 2]:
            self._tell_that_it_is_full()

    def __reduce__(self) -> tuple[Callable[[int, float, str], "ImageCache"], tuple[int, float, str]]:
        # A process that is not forked joins it like a stranger.
        return _joined, self._arguments

    def get(self, index: int, decode: Callable[[], Image.Image]) -> Image.Image:
        """The image, decoded now or before.

        Args:
            index: the image's fixed place in the data set.
            decode: gives it in RGB.
        """
        with self._locked():
            start, width, height = (int(value) for value in self._table[index])
        if height > 0:
            content = os.pread(self._file, 3 * width * height, self._first_pixel + start)
            return Image.frombytes("RGB", (width, height), content)
        image = decode()
        if not height:
            self._keep(index, image)
        return image

    def _keep(self, index: int, image: Image.Image) -> None:
        content = memoryview(image.tobytes())
        with self._locked():
            start, _, is_full = (int(value) for value in self._table[-1])
            if self._table[index, 2]:
                return
            if start + len(content) > self._limit_bytes:
                if not is_full:
                    self._table[-1, 2] = 1
                    self._tell_that_it_is_full()
                return
            # Taken before it is written, so that whoever dies meanwhile loses room and no image gets another's pixels.
            self._table[-1, 0] = start + len(content)
            self._table[index] = (start, image.width, _CLAIMED)
        place = self._first_pixel + start
        while content:
            written = os.pwrite(self._file, content, place)
            content, place = content[written:], place + written
        with self._locked():
            self._table[index, 2] = image.height
            self._table[-1, 1] += 1

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """No other process is here. The lock is this process's alone (flock's would be its forks') and dies with it."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _tell_that_it_is_full(self) -> None:
        logger.warning(
            "the image cache is full: %d of %d images take its %g GiB, the others are decoded in every epoch; raise "
            "image_cache_gib, or set it to 0 if memory is short",
            self._table[-1, 1],
            self._num_images,
            self._limit_gib,
        )


_kept: list[ImageCache] = []
"""The cache that this process used last."""


def image_cache(num_images: int, *, limit_gib: float, key: str) -> ImageCache:
    """The cache of a data set on this machine.

    This process holds it until it ends or asks for another one: trials that follow each other in a process find their
    images decoded.

    Raises:
        ConfigError: the machine does not have that much memory.
    """
    wanted = (num_images, limit_gib, key)
    if [cache._arguments for cache in _kept] != [wanted]:  # noqa: SLF001  our own
        _kept.clear()
        _kept.append(ImageCache(num_images, limit_gib=limit_gib, key=key))
    return _kept[0]


def _joined(num_images: int, limit_gib: float, key: str) -> ImageCache:
    return ImageCache(num_images, limit_gib=limit_gib, key=key)


def _let_go(name: str, descriptor: int, holder: int) -> None:
    # Forked loader workers have a copy of the descriptor, and their end closes it.
    if os.getpid() == holder:
        leave_memory(name, descriptor)


def _require_memory(num_bytes: int) -> None:
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if num_bytes > there:
        raise OSError(f"it has {there / BYTES_PER_GIB:.1f} GiB")
