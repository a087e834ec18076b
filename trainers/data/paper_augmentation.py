"""What the paper does to training images (BMVC 2023, arXiv 2305.04722)."""

from typing import TYPE_CHECKING, Literal

from trainers.data.augmentation import Augmentation

if TYPE_CHECKING:
    from trainers.data.seeded_transform import SeededTransform


class PaperAugmentation(Augmentation):
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
