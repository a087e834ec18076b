"""The images of a split in files of their own: decoded when they are asked for, as they look on white paper."""

from collections.abc import Sequence

from PIL import Image, ImageOps
from torch import Tensor

from trainers.data.color import on_white
from trainers.data.decoding import decode_image
from trainers.data.image_cache import ImageCache
from trainers.fence import Fence, fence


class ImageFiles:
    """Images by their position in a split."""

    def __init__(self, paths: Sequence[str], indices: Tensor, *, turn: bool) -> None:
        """Keep the list of files.

        Args:
            paths: [n] of the files.
            indices: [n] int64, their places in the whole data set.
            turn: whether images are turned as EXIF says.
        """
        # Loader processes of another kind than forked ones would not know it.
        self._roots = fence().roots
        self._paths, self._indices, self._turn = paths, indices, turn
        self._cache: ImageCache | None = None

    def keep_decoded(self, cache: ImageCache) -> None:
        """Decode none twice, as far as the cache reaches."""
        self._cache = cache

    def path(self, position: int) -> str:
        """Where it lies."""
        return self._paths[position]

    def image(self, position: int) -> Image.Image:
        """In RGB.

        Raises:
            DataError: it can't be read, or has become a link that leads out of the fence.
        """
        if self._cache is None:
            return self._decode(position)
        return self._cache.get(int(self._indices[position]), lambda: self._decode(position))

    def _decode(self, position: int) -> Image.Image:
        path = self._paths[position]
        return decode_image(Fence(self._roots).check(path), path, self._as_shown)

    def _as_shown(self, image: Image.Image) -> Image.Image:
        return on_white(ImageOps.exif_transpose(image) if self._turn else image)
