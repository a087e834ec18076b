"""Random changes to training images, drawn from one generator per (seed, epoch, image)."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainers.data.rand_augment import RandAugmentation
from trainers.strict import StrictModel

if TYPE_CHECKING:
    import torch

    from trainers.data.seeded_transform import SeededTransform


class NoAugmentation(StrictModel):
    """Training images are resized, nothing else."""

    kind: Literal["none"] = "none"

    def build(self, *, input_size_px: int, seed: int) -> None:
        """No transform."""


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

    def build(self, *, input_size_px: int, seed: int) -> "SeededTransform":
        """The transform, for PIL images and for float tensors in [0, 1], to S x S pixels.

        Args:
            input_size_px: side S of the model's input.
            seed: the trial's seed.
        """
        from torchvision.transforms import v2

        from trainers.data.seeded_transform import SeededTransform

        steps: list[torch.nn.Module] = []
        if self.rotation_degrees > 0:
            steps.append(v2.RandomRotation(self.rotation_degrees, v2.InterpolationMode.BILINEAR))
        steps.append(
            v2.RandomResizedCrop(
                input_size_px,
                scale=(self.min_scale_fraction, 1.0),
                interpolation=v2.InterpolationMode.BICUBIC,
                antialias=True,
            )
        )
        steps.append(v2.RandomHorizontalFlip(self.flip_probability))
        if self.color_jitter > 0:
            steps.append(v2.ColorJitter(self.color_jitter, self.color_jitter, self.color_jitter))
        return SeededTransform(v2.Compose(steps), seed=seed)


class PaperAugmentation(StrictModel):
    """The paper's chain for fine-tuning, as it stands in the authors' code, for a model's input of S pixels.

    Random resized crop to S / 0.875 pixels (scale 0.8 to 1, bilinear), rotation by up to 15 degrees (nearest
    neighbour, black corners), brightness, contrast and saturation by up to 0.4, flip, the middle S x S. For S = 224 the
    crop is 256 pixels, as in the paper. Interpolation is what torchvision's classes do when they are told nothing.
    """

    kind: Literal["paper"] = "paper"

    def build(self, *, input_size_px: int, seed: int) -> "SeededTransform":
        """The transform, for PIL images and for float tensors in [0, 1], to S x S pixels.

        Args:
            input_size_px: side S of the model's input.
            seed: the trial's seed.
        """
        from torchvision.transforms import v2

        from trainers.data.seeded_transform import SeededTransform

        steps = [
            v2.RandomResizedCrop(
                round(input_size_px / 0.875),
                scale=(0.8, 1.0),
                interpolation=v2.InterpolationMode.BILINEAR,
                antialias=True,
            ),
            v2.RandomRotation(15, v2.InterpolationMode.NEAREST),
            v2.ColorJitter(0.4, 0.4, 0.4),
            v2.RandomHorizontalFlip(),
            v2.CenterCrop(input_size_px),
        ]
        return SeededTransform(v2.Compose(steps), seed=seed)


AugmentationConfig = NoAugmentation | CropFlipAugmentation | PaperAugmentation | RandAugmentation
