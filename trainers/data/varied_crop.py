"""The steps of `scale_crop` that move pixels: another size, a crop that shows several classes, filling up."""

from typing import TypeAlias

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from trainers.data.class_mask import UNSCORED, ClassMask
from trainers.data.nearest_mask import NearestMask

Pixels: TypeAlias = Image.Image | Tensor
"""An image, or a `NearestMask`."""

NUM_DRAWS = 10
"""Further crops that are drawn where one class fills too much."""
MAX_LONG_SIDE = 4
"""Times the length of the shorter side: mmsegmentation's scale (2048, 512)."""


class RandomScale(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Resizes to a shorter side of S pixels times a random ratio; very long images become smaller."""

    def __init__(self, input_size_px: int, min_ratio: float, max_ratio: float) -> None:
        """Keep S and the bounds of the ratio."""
        super().__init__()
        self._size_px, self._min_ratio, self._max_ratio = input_size_px, min_ratio, max_ratio

    def make_params(self, flat_inputs: list[Pixels]) -> dict[str, list[int]]:
        """Draw the new height and width."""
        sides = F.get_size(flat_inputs[0])
        ratio = torch.empty(1).uniform_(self._min_ratio, self._max_ratio).item()
        factor = ratio * self._size_px / max(min(sides), max(sides) / MAX_LONG_SIDE)
        return {"size": [max(1, round(side * factor)) for side in sides]}

    def transform(self, inpt: Pixels, params: dict[str, list[int]]) -> Pixels:
        """Resize an image, bilinear, or a mask."""
        resized: Pixels = F.resize(inpt, params["size"], interpolation=v2.InterpolationMode.BILINEAR, antialias=True)
        return resized


class VariedCrop(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Cuts a random square out, drawn again where one class fills too much of it; what is too small stays so."""

    def __init__(self, input_size_px: int, max_class_fraction: float) -> None:
        """Keep the square's side, and the share of a class at which it is drawn again."""
        super().__init__()
        self._size_px, self._max_class_fraction = input_size_px, max_class_fraction

    def make_params(self, flat_inputs: list[Pixels]) -> dict[str, int]:
        """Draw the place of the crop."""
        height, width = F.get_size(flat_inputs[0])
        mask = next((inpt for inpt in flat_inputs if isinstance(inpt, ClassMask)), None)
        params = self._draw(height, width)
        if mask is not None and self._max_class_fraction < 1:
            for _ in range(NUM_DRAWS):
                if self._is_varied(F.crop(mask, **params)):
                    break
                params = self._draw(height, width)
        return params

    def transform(self, inpt: Pixels, params: dict[str, int]) -> Pixels:
        """Crop an image or a mask."""
        cropped: Pixels = F.crop(inpt, **params)
        return cropped

    def _draw(self, height: int, width: int) -> dict[str, int]:
        crop_height, crop_width = min(height, self._size_px), min(width, self._size_px)
        top = int(torch.randint(height - crop_height + 1, ()))
        left = int(torch.randint(width - crop_width + 1, ()))
        return {"top": top, "left": left, "height": crop_height, "width": crop_width}

    def _is_varied(self, mask: ClassMask) -> bool:
        num_pixels = torch.bincount(mask.as_subclass(Tensor).flatten(), minlength=UNSCORED + 1)[:UNSCORED]
        # Where nothing has a class, 0 < 0 is not varied either.
        return bool(num_pixels.max() < self._max_class_fraction * num_pixels.sum())


class PadToSquare(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Fills up to S x S at the right and at the bottom: with one colour, and without a class."""

    def __init__(self, input_size_px: int, fill_rgb: tuple[int, int, int]) -> None:
        """Keep S and the colour, in levels of 255."""
        super().__init__()
        self._size_px, self._fill_rgb = input_size_px, fill_rgb

    def transform(self, inpt: Pixels, params: dict[str, object]) -> Pixels:
        """Pad an image or a mask."""
        height, width = F.get_size(inpt)
        padding = [0, 0, self._size_px - width, self._size_px - height]
        padded: Pixels = F.pad(inpt, padding, fill=self._fill(inpt))
        return padded

    def _fill(self, inpt: Pixels) -> float | list[float]:
        if isinstance(inpt, NearestMask):
            return UNSCORED if isinstance(inpt, ClassMask) else 0
        is_float = isinstance(inpt, Tensor) and inpt.is_floating_point()
        return [level / 255 if is_float else level for level in self._fill_rgb]
