"""Crop, flip, rotation and colour, by torchvision."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainers.data.augmentation import Augmentation

if TYPE_CHECKING:
    import torch

    from trainers.data.seeded_transform import SeededTransform


class CropFlipAugmentation(Augmentation):
    """Random resized crop, flip, rotation and colour jitter."""

    moves_masks: ClassVar[bool] = True

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

        from trainers.data.class_mask import UNSCORED, ClassMask
        from trainers.data.seeded_transform import SeededTransform

        steps: list[torch.nn.Module] = []
        if self.rotation_degrees > 0:
            fill = {ClassMask: UNSCORED, "others": 0}
            steps.append(v2.RandomRotation(self.rotation_degrees, v2.InterpolationMode.BILINEAR, fill=fill))
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
