"""Decoded images kept in memory, up to a limit, by all loader processes of one training process together."""

import logging
import mmap
import multiprocessing
from collections.abc import Callable

import numpy as np
from PIL import Image

from trainers.errors import ConfigError

BYTES_PER_GIB = 2**30

logger = logging.getLogger(__name__)


class ImageCache:
    """Whole RGB images by their index, as the decoder gave them: augmentation comes after and is not kept.

    Anonymous shared memory, made before the loader's processes are forked and filled by whichever of them decodes an
    image first; the system provides a page when it is first written. Nothing is ever thrown out: images that find no
    room are decoded anew each time.
    """

    def __init__(self, num_images: int, *, limit_gib: float) -> None:
        """Reserve addresses.

        Args:
            num_images: of the whole data set; their indices are 0 to `num_images` - 1.
            limit_gib: room for pixels.

        Raises:
            ConfigError: the system does not give that much memory.
        """
        self._num_images, self._limit_gib = num_images, limit_gib
        self._limit_bytes = int(limit_gib * BYTES_PER_GIB)
        try:
            self._pixels = mmap.mmap(-1, max(1, self._limit_bytes))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"image_cache_gib {limit_gib:g} is more memory than this machine gives ({error}); take less, or 0"
            ) from error
        table = mmap.mmap(-1, 8 * 3 * (num_images + 1))
        # Row of each image: first byte, width, height (0: not here). Last row: bytes taken, images kept, whether full.
        self._table = np.frombuffer(table, dtype=np.int64).reshape(num_images + 1, 3)
        self._lock = multiprocessing.Lock()

    def __reduce__(self) -> tuple[Callable[[int, float], "ImageCache"], tuple[int, float]]:
        # Where processes are not forked (macOS), each has a cache of its own.
        return _empty_cache, (self._num_images, self._limit_gib)

    def get(self, index: int, decode: Callable[[], Image.Image]) -> Image.Image:
        """The image, decoded now or before.

        Args:
            index: the image's fixed place in the data set.
            decode: gives it in RGB.
        """
        with self._lock:
            start, width, height = (int(value) for value in self._table[index])
        if height:
            return Image.frombytes("RGB", (width, height), self._pixels[start : start + 3 * width * height])
        image = decode()
        self._keep(index, image)
        return image

    def _keep(self, index: int, image: Image.Image) -> None:
        content = image.tobytes()
        with self._lock:
            start, num_kept, is_full = (int(value) for value in self._table[-1])
            if self._table[index, 2]:
                return
            if start + len(content) > self._limit_bytes:
                if not is_full:
                    self._table[-1, 2] = 1
                    logger.warning(
                        "the image cache is full: %d of %d images take its %g GiB, the others are decoded in every "
                        "epoch; raise image_cache_gib, or set it to 0 if memory is short",
                        num_kept,
                        self._num_images,
                        self._limit_gib,
                    )
                return
            self._pixels[start : start + len(content)] = content
            self._table[index] = (start, image.width, image.height)
            self._table[-1, :2] = (start + len(content), num_kept + 1)


def _empty_cache(num_images: int, limit_gib: float) -> ImageCache:
    return ImageCache(num_images, limit_gib=limit_gib)
