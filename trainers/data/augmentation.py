"""Random changes to training images, drawn from one generator per (seed, epoch, image)."""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel


class NoAugmentation(StrictModel):
    """Training images are resized and normalised, nothing else."""

    kind: Literal["none"] = "none"


class CropFlipAugmentation(StrictModel):
    """Random resized crop, flip, rotation and colour jitter."""

    kind: Literal["crop_flip"] = "crop_flip"
    min_scale_fraction: float = Field(default=0.8, gt=0, le=1)
    """Smallest share of the image's area that a crop keeps."""
    flip_probability: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    rotation_degrees: float = Field(default=0.0, ge=0, le=180)
    """Rotation is drawn from plus or minus this angle."""
    color_jitter: float = Field(default=0.0, ge=0, le=1)
    """Strength of brightness, contrast and saturation jitter."""


AugmentationConfig = NoAugmentation | CropFlipAugmentation
