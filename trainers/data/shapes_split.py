"""A split of generated shapes, held in memory."""

import torch
from PIL import Image

from trainers.data.class_mask import ClassMask
from trainers.data.mask_split import MaskSplit
from trainers.data.seeded_transform import SeededTransform
from trainers.data.shapes import Pictures


class ShapesSplit(MaskSplit):
    """A split of generated shapes, held in memory."""

    def __init__(
        self,
        pictures: Pictures,
        start: int,
        augment: SeededTransform | None,
        *,
        input_size_px: int,
        is_scored: bool,
    ) -> None:
        """Keep images of indices `start` and on."""
        indices = torch.arange(start, start + len(pictures.ids))
        super().__init__(indices, augment, input_size_px=input_size_px, is_scored=is_scored)
        self._pictures = pictures

    def image(self, position: int) -> Image.Image:
        """The image as it was generated."""
        return Image.fromarray(self._pictures.pixels[position])

    def mask(self, position: int) -> ClassMask:
        """Its exact mask."""
        return ClassMask(torch.from_numpy(self._pictures.ids[position]))
