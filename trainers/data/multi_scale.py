"""What is usual for images with objects: several sizes, each image in its own ratio, with a crop now and then."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainers.data.augmentation import Augmentation

if TYPE_CHECKING:
    from trainers.data.seeded_transform import SeededTransform

Side = Annotated[int, Field(ge=16, le=4096)]


class MultiScaleAugmentation(Augmentation):
    """The protocol by which Swin, and DETR before it, is trained on COCO (mmdetection's `mstrain_480-800`).

    A horizontal flip; then the shorter side becomes one of `short_sides_px`, drawn by lot, in the image's own ratio.
    With `crop_probability` the shorter side first becomes one of `crop_short_sides_px`, and a rectangle is cut out
    whose sides are drawn between `min_crop_px` and `max_crop_px`. No longer side exceeds `max_long_side_px`: very long
    images get a shorter side of less. Images of a batch differ in size; the network fills them up.
    """

    moves_masks: ClassVar[bool] = True
    varies_size: ClassVar[bool] = True

    kind: Literal["multi_scale"] = "multi_scale"
    short_sides_px: tuple[Side, ...] = Field(
        default=(480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800), min_length=1, max_length=64
    )
    """Lengths of the shorter side, each as often as the others."""
    max_long_side_px: int = Field(default=1333, ge=16, le=8192)
    """Largest length of the longer side."""
    crop_probability: float = Field(default=0.5, ge=0, le=1)
    """Share of images that are cropped before."""
    crop_short_sides_px: tuple[Side, ...] = Field(default=(400, 500, 600), min_length=1, max_length=64)
    """Lengths of the shorter side before a crop."""
    min_crop_px: int = Field(default=384, ge=1, le=4096)
    """Smallest side of a crop; an image that is smaller stays whole along that side."""
    max_crop_px: int = Field(default=600, ge=1, le=4096)
    """Largest side of a crop."""
    flip_probability: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.min_crop_px > self.max_crop_px:
            raise ValueError(f"min_crop_px {self.min_crop_px} is above max_crop_px {self.max_crop_px}; exchange them")
        longest = max(*self.short_sides_px, *self.crop_short_sides_px)
        if longest > self.max_long_side_px:
            raise ValueError(
                f"max_long_side_px {self.max_long_side_px} is below the shorter side {longest}, which no image would "
                f"reach; set it to {longest} or more"
            )
        return self

    def build(self, *, input_size_px: int, seed: int) -> "SeededTransform":
        """The transform, for PIL images and for float tensors in [0, 1], to images of several sizes.

        Args:
            input_size_px: not used: the sizes are its own.
            seed: the trial's seed.
        """
        from torchvision.transforms import v2

        from trainers.data.chosen_size import CropBetween, ResizeToOne
        from trainers.data.seeded_transform import SeededTransform

        steps = [v2.RandomHorizontalFlip(self.flip_probability)]
        if self.crop_probability > 0:
            crop = [
                ResizeToOne(self.crop_short_sides_px, self.max_long_side_px),
                CropBetween(self.min_crop_px, self.max_crop_px),
            ]
            steps.append(v2.RandomApply(crop, self.crop_probability))
        steps.append(ResizeToOne(self.short_sides_px, self.max_long_side_px))
        return SeededTransform(v2.Compose(steps), seed=seed)
