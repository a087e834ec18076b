"""Other colours, in the order and by the amounts of mmsegmentation's `PhotoMetricDistortion`."""

from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from trainers.data.nearest_mask import NearestMask
from trainers.data.varied_crop import Pixels

MAX_BRIGHTNESS = 32
"""Levels of 255 that are added or taken away at most."""
CONTRAST = SATURATION = (0.5, 1.5)
"""Factors of all channels, and of the saturation (HSV)."""
MAX_HUE = 18 / 180
"""Turn of the hue at most, as a share of the circle."""


class _Change(NamedTuple):
    """What happens to one image."""

    brightness: float
    """Levels that are added."""
    contrast: float
    """Factor of all channels."""
    saturation: float
    """Factor of the saturation."""
    hue: float
    """Turn, as a share of the circle."""
    contrast_is_first: bool
    """Whether contrast changes before saturation and hue."""


class PhotometricDistortion(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Changes brightness, contrast, saturation and hue, each with probability 0.5, in steps of one level of 255.

    Contrast comes before saturation and hue or after them, drawn by lot. Masks stay.
    """

    def make_params(self, flat_inputs: list[Pixels]) -> dict[str, _Change]:
        """Draw what changes, and by how much; as many numbers for every image."""
        is_changed = [share < 1 / 2 for share in torch.rand(5).tolist()]
        brightness, contrast, saturation, hue = torch.rand(4).tolist()
        change = _Change(
            brightness=is_changed[0] * MAX_BRIGHTNESS * (2 * brightness - 1),
            contrast=_between(CONTRAST, contrast) if is_changed[1] else 1,
            saturation=_between(SATURATION, saturation) if is_changed[2] else 1,
            hue=is_changed[3] * MAX_HUE * (2 * hue - 1),
            contrast_is_first=is_changed[4],
        )
        return {"change": change}

    def transform(self, inpt: Pixels, params: dict[str, _Change]) -> Pixels:
        """The image in other colours; a float tensor comes back in steps of 1/255."""
        if isinstance(inpt, NearestMask):
            return inpt
        if isinstance(inpt, Image.Image):
            return _changed(inpt, params["change"])
        pixels: Tensor = F.pil_to_tensor(_changed(F.to_pil_image(inpt), params["change"]))
        return pixels.to(torch.float32) / 255


def _changed(image: Image.Image, change: _Change) -> Image.Image:
    image = _linear(image, 1, change.brightness)
    if change.contrast_is_first:
        image = _linear(image, change.contrast, 0)
    if change.saturation != 1 or change.hue != 0:
        hues, saturations, values = image.convert("HSV").split()
        turn = round(256 * change.hue)
        hues = hues.point([(level + turn) % 256 for level in range(256)])
        image = Image.merge("HSV", (hues, _linear(saturations, change.saturation, 0), values)).convert("RGB")
    return image if change.contrast_is_first else _linear(image, change.contrast, 0)


def _linear(image: Image.Image, factor: float, summand: float) -> Image.Image:
    """Every channel's levels times a factor, plus a number, cut off at 0 and 255."""
    if (factor, summand) == (1, 0):
        return image
    levels = [min(max(round(factor * level + summand), 0), 255) for level in range(256)]
    return image.point(levels * len(image.getbands()))


def _between(bounds: tuple[float, float], share: float) -> float:
    return bounds[0] + share * (bounds[1] - bounds[0])
