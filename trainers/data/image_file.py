"""Images in files: decoded when a batch needs them, cut to size."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.functional import pil_modes_mapping

from trainers.data.color import on_white
from trainers.data.decoding import decode_image
from trainers.data.image_cache import ImageCache
from trainers.data.scored_view import ScoredView, usual_view
from trainers.data.seeded_transform import SeededTransform
from trainers.data.splits import Batch, ImageSplit
from trainers.fence import Fence, fence

MAX_ASPECT_RATIO = 16
"""Longer images are cut before they are enlarged."""


class CenterCrop:
    """The view of an image that is scored: shorter side to so many pixels, then the middle S x S."""

    def __init__(self, input_size_px: int, view: ScoredView | None = None) -> None:
        """Build the view for a model's input side (`None`: the usual one)."""
        view = view or usual_view(input_size_px)
        self._size_px, self._short_side_px = input_size_px, view.short_side_px
        interpolation = v2.InterpolationMode(view.interpolation)
        self._resampling = Image.Resampling(pil_modes_mapping[interpolation])
        self._transform = v2.Compose(
            [
                v2.Resize(self._short_side_px, interpolation, antialias=True),
                v2.CenterCrop(input_size_px),
            ]
        )

    def __call__(self, image: Image.Image) -> Image.Image:
        """The view."""
        if max(image.size) > MAX_ASPECT_RATIO * min(image.size):
            return self._middle_of_strip(image)
        view: Image.Image = self._transform(image)
        return view

    def _middle_of_strip(self, image: Image.Image) -> Image.Image:
        """The same of a very long image, of which only what will be seen is enlarged.

        A row of 3,000 pixels would else become 256 x 768,000 of them, over a gigabyte. Resampling weights are those
        of the whole image up to the last digit of a float, so a pixel may differ by one level.
        """
        left, right = self._seen(image.width, min(image.size))
        top, bottom = self._seen(image.height, min(image.size))
        size = (self._size_px, self._size_px)
        return image.resize(size, self._resampling, box=(left, top, right, bottom))

    def _seen(self, side: int, shorter: int) -> tuple[float, float]:
        """Where the view starts and ends along one side of an image."""
        # Whole pixels, as torchvision rounds them.
        enlarged = int(self._short_side_px * side / shorter)
        start = round((enlarged - self._size_px) / 2)
        return start * side / enlarged, (start + self._size_px) * side / enlarged


class DecodedSplit(ImageSplit):
    """A split whose images are decoded when a batch needs them."""

    def __init__(
        self,
        labels: Tensor,
        indices: Tensor,
        crop: CenterCrop,
        augment: SeededTransform | None,
        *,
        keep_px: int | None = None,
    ) -> None:
        """`crop` makes the view where there is no augmentation, `keep_px` is `decode_image`'s."""
        super().__init__(indices, augment)
        self.labels = labels
        self._crop, self._keep_px = crop, keep_px
        self._cache: ImageCache | None = None

    @property
    def decoding(self) -> str:
        """How images are decoded for a model of this size."""
        return "" if self._keep_px is None else f"-jpeg{self._keep_px}px"

    def keep_decoded(self, cache: ImageCache) -> None:
        """Decode no image twice, as far as the cache reaches."""
        self._cache = cache

    @abstractmethod
    def image(self, position: int) -> Image.Image:
        """The whole image at this position of the split, in RGB.

        Raises:
            DataError: it can't be read.
        """

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """Decode the images at these positions.

        Raises:
            DataError: a file can't be read as an image.
        """
        chosen = torch.as_tensor(positions, dtype=torch.int64)
        labels, indices = self.labels[chosen], self.indices[chosen]
        pixels = [self._pixels(position, index) for position, index in zip(positions, indices.tolist(), strict=True)]
        return Batch(torch.stack(pixels), labels, indices)

    def _pixels(self, position: int, index: int) -> Tensor:
        """[3, S, S] uint8."""
        cache = self._cache
        image = self.image(position) if cache is None else cache.get(index, lambda: self.image(position))
        view = self._crop(image) if self.augment is None else self.augment(image, index=index)
        pixels: Tensor = v2.functional.pil_to_tensor(view)
        return pixels


class FileSplit(DecodedSplit):
    """A split whose images are files of their own."""

    def __init__(
        self,
        paths: Sequence[str],
        labels: Tensor,
        indices: Tensor,
        crop: CenterCrop,
        augment: SeededTransform | None,
        *,
        turn: bool,
        keep_px: int | None = None,
    ) -> None:
        """Keep the list of files, and whether they are turned as EXIF says."""
        super().__init__(labels, indices, crop, augment, keep_px=keep_px)
        # Loader processes of another kind than forked ones would not know it.
        self._roots = fence().roots
        self._paths, self._turn = paths, turn

    def image(self, position: int) -> Image.Image:
        """The file's image as it looks on white paper.

        Raises:
            DataError: it can't be read, or has become a link that leads out of the fence.
        """
        path = self._paths[position]
        return decode_image(Fence(self._roots).check(path), path, self._as_shown, keep_px=self._keep_px)

    def _as_shown(self, image: Image.Image) -> Image.Image:
        return on_white(ImageOps.exif_transpose(image) if self._turn else image)
