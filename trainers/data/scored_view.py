"""How an image that is scored becomes a square: which short side, resized how; the middle of it is seen."""

import math
from typing import NamedTuple

from trainers.data.normalization import NormalizationName

CROP_FRACTION = 0.875
"""The usual share: 224 of 256 pixels."""


class ModelView(NamedTuple):
    """The view that a model's weights are published with.

    The middle of the image, its aspect kept (timm's crop mode `center`): the few models of timm that squash or pad it
    instead are shown the middle too.
    """

    crop_fraction: float
    """Share of the shorter side that is seen."""
    interpolation: str
    """How the image is resized, by torchvision's name: `bicubic`, `bilinear`, ..."""


class ScoredView(NamedTuple):
    """The view of one input size."""

    short_side_px: int
    """What the shorter side is resized to."""
    interpolation: str = "bicubic"
    """By torchvision's name."""
    max_long_side_px: int | None = None
    """Where images are seen whole, the longer side is no longer than this, and the shorter one is less where it has to
    be (`None`: there is no bound)."""


def usual_view(input_size_px: int) -> ScoredView:
    """Shorter side to S / 0.875 pixels, bicubic."""
    return ScoredView(round(input_size_px / CROP_FRACTION))


def scored_view(name: NormalizationName, *, input_size_px: int, published: ModelView | None) -> ScoredView:
    """The view that goes with a normalisation: `model` takes the published one, as timm's `create_transform` does.

    Args:
        name: whose statistics, and whose view.
        input_size_px: side S of the model's input.
        published: the model's (`None`: it has none).
    """
    if name != "model" or published is None:
        return usual_view(input_size_px)
    # As timm rounds (timm/data/transforms_factory.py, transforms_imagenet_eval).
    return ScoredView(math.floor(input_size_px / published.crop_fraction), published.interpolation)
