"""What is usual for images with masks: another size, a square crop, a flip, other colours."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainers.data.augmentation import Augmentation

if TYPE_CHECKING:
    from trainers.data.seeded_transform import SeededTransform

Level = Annotated[int, Field(ge=0, le=255)]
"""Of one channel."""


class ScaleCropAugmentation(Augmentation):
    """The protocol by which ADE20K is trained on, as mmsegmentation has it, for a model's input of S pixels.

    The shorter side becomes S times a ratio (the longer one 4 S times it at most), of which a random square of S x S is
    seen; it is drawn again, up to ten times, where one class fills too much of it. Then a horizontal flip and a
    distortion of the colours. What is smaller than S is filled up at the right and at the bottom, with one colour and
    without a class.
    """

    moves_masks: ClassVar[bool] = True

    kind: Literal["scale_crop"] = "scale_crop"
    min_ratio: float = Field(default=0.5, gt=0, le=8)
    """Smallest ratio of the shorter side to the model's input side."""
    max_ratio: float = Field(default=2.0, gt=0, le=8)
    """Largest ratio."""
    max_class_fraction: float = Field(default=0.75, gt=0, le=1)
    """A crop is drawn again where one class fills this share of its pixels that have a class, or more; 1 takes every
    crop, and so do images without a mask."""
    flip_probability: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    photometric_distortion: bool = True
    """Whether brightness, contrast, saturation and hue change, each with probability 0.5."""
    fill_rgb: tuple[Level, Level, Level] = (0, 0, 0)
    """What a square is filled up with; ImageNet's mean, as mmsegmentation has it, is [124, 116, 104]."""

    @model_validator(mode="after")
    def _ratios_are_ordered(self) -> Self:
        if self.min_ratio > self.max_ratio:
            raise ValueError(f"min_ratio {self.min_ratio:g} is above max_ratio {self.max_ratio:g}; exchange them")
        return self

    def build(self, *, input_size_px: int, seed: int) -> "SeededTransform":
        """The transform, for PIL images and for float tensors in [0, 1], to S x S pixels.

        Args:
            input_size_px: side S of the model's input.
            seed: the trial's seed.
        """
        from torchvision.transforms import v2

        from trainers.data.photometric_distortion import PhotometricDistortion
        from trainers.data.seeded_transform import SeededTransform
        from trainers.data.varied_crop import PadToSquare, RandomScale, VariedCrop

        steps = [
            RandomScale(input_size_px, self.min_ratio, self.max_ratio),
            VariedCrop(input_size_px, self.max_class_fraction),
            v2.RandomHorizontalFlip(self.flip_probability),
        ]
        if self.photometric_distortion:
            steps.append(PhotometricDistortion())
        steps.append(PadToSquare(input_size_px, self.fill_rgb))
        return SeededTransform(v2.Compose(steps), seed=seed)
