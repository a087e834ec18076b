"""The steps of `multi_scale` that move pixels: one of several sizes, and a crop of random sides."""

from collections.abc import Sequence

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from trainers.data.objects import fitted_size
from trainers.data.varied_crop import Pixels


class ResizeToOne(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Resizes to a shorter side drawn by lot, in the image's ratio; very long images become smaller."""

    def __init__(self, short_sides_px: Sequence[int], max_long_side_px: int) -> None:
        """Keep the shorter sides to draw from, and the bound of the longer one."""
        super().__init__()
        self._short_sides_px, self._max_long_side_px = tuple(short_sides_px), max_long_side_px

    def make_params(self, flat_inputs: list[Pixels]) -> dict[str, list[int]]:
        """Draw the new height and width."""
        short = self._short_sides_px[int(torch.randint(len(self._short_sides_px), ()))]
        height, width = F.get_size(flat_inputs[0])
        return {"size": list(fitted_size(height, width, short, self._max_long_side_px))}

    def transform(self, inpt: Pixels, params: dict[str, list[int]]) -> Pixels:
        """Resize an image, bilinear, or a mask."""
        resized: Pixels = F.resize(inpt, params["size"], interpolation=v2.InterpolationMode.BILINEAR, antialias=True)
        return resized


class CropBetween(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Cuts a random rectangle out, its sides drawn between two lengths (mmdetection's `absolute_range`).

    It may hold no object.
    """

    def __init__(self, min_px: int, max_px: int) -> None:
        """Keep the bounds of the sides; what is smaller stays whole."""
        super().__init__()
        self._min_px, self._max_px = min_px, max_px

    def make_params(self, flat_inputs: list[Pixels]) -> dict[str, int]:
        """Draw size and place of the crop."""
        height, width = F.get_size(flat_inputs[0])
        crop_height, crop_width = (self._drawn(side) for side in (height, width))
        top = int(torch.randint(height - crop_height + 1, ()))
        left = int(torch.randint(width - crop_width + 1, ()))
        return {"top": top, "left": left, "height": crop_height, "width": crop_width}

    def _drawn(self, side: int) -> int:
        smallest, largest = min(side, self._min_px), min(side, self._max_px)
        return int(torch.randint(smallest, largest + 1, ()))

    def transform(self, inpt: Pixels, params: dict[str, int]) -> Pixels:
        """Crop an image or a mask."""
        cropped: Pixels = F.crop(inpt, **params)
        return cropped
