"""Random changes to training images, drawn from one generator per (seed, epoch, image)."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from trainers.strict import StrictModel

if TYPE_CHECKING:
    from trainers.data.seeded_transform import SeededTransform


class Augmentation(StrictModel, ABC):
    """Random changes to training images. A kind is one file here and one line in `trainers.kinds`."""

    moves_masks: ClassVar[bool] = False
    """Whether a mask of class ids moves with its image."""
    varies_size: ClassVar[bool] = False
    """Whether images come out in sizes of their own instead of S x S pixels."""

    @abstractmethod
    def build(self, *, input_size_px: int, seed: int) -> "SeededTransform | None":
        """The transform, for PIL images and for float tensors in [0, 1], to S x S pixels (`None`: there is none).

        Args:
            input_size_px: side S of the model's input.
            seed: the trial's seed.
        """


class NoAugmentation(Augmentation):
    """Training images are resized, nothing else."""

    moves_masks: ClassVar[bool] = True

    kind: Literal["none"] = "none"

    def build(self, *, input_size_px: int, seed: int) -> None:
        """No transform."""
