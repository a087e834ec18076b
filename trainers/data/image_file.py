"""Images in files: decode, cut to size, normalise."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from trainers.data.augmentation import SeededTransform
from trainers.data.color import to_rgb
from trainers.data.splits import Batch, ImageSplit, Normalization
from trainers.errors import DataError

CROP_FRACTION = 0.875


class CenterCrop:
    """The usual view of an image that is scored: shorter side to S / 0.875 pixels, then the middle S x S."""

    def __init__(self, input_size_px: int) -> None:
        """Build the view for a model's input side."""
        self._transform = v2.Compose(
            [
                v2.Resize(round(input_size_px / CROP_FRACTION), v2.InterpolationMode.BICUBIC, antialias=True),
                v2.CenterCrop(input_size_px),
            ]
        )

    def __call__(self, image: Image.Image) -> Image.Image:
        """The view."""
        view: Image.Image = self._transform(image)
        return view


class FileSplit(ImageSplit):
    """A split whose images are decoded when a batch needs them."""

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Tensor,
        indices: Tensor,
        crop: CenterCrop,
        normalize: Normalization,
        augment: SeededTransform | None,
    ) -> None:
        """Keep the list of files; `crop` makes the view where there is no augmentation."""
        super().__init__(labels, indices, augment)
        self._paths, self._crop, self._normalize = paths, crop, normalize

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """Decode the images at these positions.

        Raises:
            DataError: a file can't be read as an image.
        """
        chosen = torch.as_tensor(positions, dtype=torch.int64)
        labels, indices = self.labels[chosen], self.indices[chosen]
        pixels = [self._pixels(position, index) for position, index in zip(positions, indices.tolist(), strict=True)]
        return Batch(self._normalize(torch.stack(pixels)), labels, indices)

    def _pixels(self, position: int, index: int) -> Tensor:
        """[3, S, S] uint8."""
        image = read_image(self._paths[position])
        view = self._crop(image) if self.augment is None else self.augment(image, index=index)
        pixels: Tensor = v2.functional.pil_to_tensor(view)
        return pixels


def read_image(path: Path) -> Image.Image:
    """A file's image in RGB.

    Raises:
        DataError: names the file and says what the decoder found.
    """
    try:
        with Image.open(path) as image:
            return to_rgb(image)
    # Pillow's decoders raise all of these for broken files.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} can't be read as an image: {error}; replace or remove it") from error
