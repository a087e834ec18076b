"""A random transform, tied to one image of one epoch."""

from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor

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
        # In shared memory: loader workers live through all epochs and hold a copy of this object.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose numbers come next."""
        self._epoch.fill_(epoch)

    def __call__(self, image: ImageT, *, index: int) -> ImageT:
        """The changed image.

        Args:
            image: a PIL image, or a float tensor [3, H, W] in [0, 1].
            index: the image's fixed place in the data set.
        """
        with seeded_libraries(derive_seed(self._seed, Stream.AUGMENTATION, int(self._epoch), index)):
            changed: ImageT = self._transform(image)
        return changed
