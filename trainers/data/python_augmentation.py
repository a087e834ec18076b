"""Random changes to training images by the user's own code: any callable of an image."""

from typing import TYPE_CHECKING, Literal

from trainers.data.augmentation import Augmentation
from trainers.own_code.python_object import PythonObject

if TYPE_CHECKING:
    from trainers.data.seeded_transform import SeededTransform


class PythonAugmentation(Augmentation, PythonObject):
    """A class whose objects change an image when they are called (a transform of torchvision's), or a function.

    It gets a PIL image in RGB, or a tensor [3, H, W] of floats from 0 to 1, and gives one of S x S pixels, the model's
    size; an argument `input_size_px` gets S. It draws from torch's, numpy's or Python's global generator, which are set
    for each image of each epoch: both arms of a pair see the same.
    """

    kind: Literal["python"] = "python"

    __hash__ = PythonObject.__hash__

    def build(self, *, input_size_px: int, seed: int) -> "SeededTransform":
        """The transform.

        Args:
            input_size_px: side S of the model's input.
            seed: the trial's seed.

        Raises:
            OwnCodeError: it can't be made.
        """
        from trainers.data.seeded_transform import SeededTransform
        from trainers.own_code.transform import own_transform

        return SeededTransform(own_transform(self, input_size_px), seed=seed)
