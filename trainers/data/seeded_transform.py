"""A random transform, tied to one image of one epoch."""

from typing import TypeVar, overload

import torch
from PIL import Image
from torch import Tensor

from trainers.data.nearest_mask import MaskT
from trainers.seeding import Stream, derive_seed, seeded_libraries

ImageT = TypeVar("ImageT", Image.Image, Tensor)


class SeededTransform:
    """A random transform whose numbers depend on (seed, epoch, image) and on nothing else.

    Not on the arm, the rank, the number of loader workers, the order of images, or whether the run was resumed.
    """

    def __init__(self, transform: torch.nn.Module, *, seed: int) -> None:
        """Wrap a transform that draws from global generators: torch's (on the CPU), numpy's or Python's."""
        self._transform = transform
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose numbers come next."""
        self._epoch = epoch

    @overload
    def __call__(self, image: ImageT, *, index: int) -> ImageT: ...
    @overload
    def __call__(self, image: ImageT, *, index: int, mask: MaskT) -> tuple[ImageT, MaskT]: ...
    def __call__(self, image: ImageT, *, index: int, mask: MaskT | None = None) -> ImageT | tuple[ImageT, MaskT]:
        """The changed image, or image and mask, moved alike.

        Args:
            image: a PIL image, or a float tensor [3, H, W] in [0, 1].
            index: the image's fixed place in the data set.
            mask: of the image's size (`None`: it has none), for transforms of an augmentation that `moves_masks`. It
                moves no random number, unless the transform looks into it.
        """
        with seeded_libraries(derive_seed(self._seed, Stream.AUGMENTATION, self._epoch, index)):
            changed: ImageT | tuple[ImageT, MaskT]
            changed = self._transform(image) if mask is None else self._transform(image, mask)
        return changed
