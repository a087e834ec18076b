"""The three splits of a data set, in the one form in which the training loop sees them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from trainers.data.image_cache import ImageCache, image_cache
from trainers.data.seeded_transform import SeededTransform
from trainers.nested import Nested


class Batch(NamedTuple):
    """B images with what is to be said of them."""

    images: Nested
    """[B, 3, S, S] uint8, or float32 in [0, 1], of S x S pixels; where sizes differ, a list of [3, H, W]. They are
    normalised later, where the model is."""
    targets: Nested
    """What the task learns; `targets[i]` is that of image i. Of classification: labels, [B] int64."""
    indices: Tensor
    """[B] int64, each image's fixed place in the whole data set (over all splits)."""


def squares(images: Nested, size_px: int) -> Tensor:
    """A batch's images as [B, 3, S, S]: of those that differ in size, their middle.

    Where a side is shorter than S, the image is filled up at the right or at the bottom, black.

    Args:
        images: of a batch.
        size_px: S.
    """
    if isinstance(images, Tensor):
        return images
    return torch.stack([_middle(image, size_px) for image in images])


def _middle(image: Tensor, size_px: int) -> Tensor:
    y, x = (max(0, side - size_px) // 2 for side in image.shape[-2:])
    middle = image[:, y : y + size_px, x : x + size_px]
    height, width = middle.shape[-2:]
    return F.pad(middle, (0, size_px - width, 0, size_px - height))


class ImageSplit(ABC, Dataset[tuple[Tensor, Nested, int]]):
    """One split: a map-style dataset that also gives whole batches.

    torch's DataLoader asks `__getitems__` for a whole batch, so a data set in memory costs no Python per image.
    """

    def __init__(self, indices: Tensor, augment: SeededTransform | None) -> None:
        """Keep what all kinds of data sets have.

        Args:
            indices: [n] int64, place in the whole data set.
            augment: random changes (training split only).
        """
        self.indices, self.augment = indices, augment

    def __len__(self) -> int:
        return len(self.indices)

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation stream of an epoch, in this process."""
        if self.augment is not None:
            self.augment.set_epoch(epoch)

    @property
    def decoding(self) -> str:
        """What decoded images depend on beside their data set (empty: nothing)."""
        return ""

    def keep_decoded(self, cache: ImageCache) -> None:
        """Keep decoded images from now on; a split that is in memory anyway has nothing to do."""

    @abstractmethod
    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The images at these positions of the split."""

    def __getitem__(self, position: int) -> tuple[Tensor, Nested, int]:
        """One image [3, S, S], its target and its index."""
        images, targets, indices = self.__getitems__([position])
        return images[0], targets[0], int(indices[0])


@dataclass(frozen=True)
class Splits:
    """A data set, split: choose on `val`, claim on `test`."""

    train: ImageSplit
    val: ImageSplit
    test: ImageSplit
    class_names: tuple[str, ...]

    def keep_decoded(self, *, limit_gib: float, key: str) -> None:
        """Keep decoded images of all splits in memory together, up to a limit; call it before a loader reads.

        Args:
            limit_gib: room for pixels.
            key: says what the images are and how they are decoded (see `ImageCache`).

        Raises:
            ConfigError: the machine does not have that much memory.
        """
        parts = (self.train, self.val, self.test)
        cache = image_cache(
            1 + max(int(part.indices.max()) for part in parts), limit_gib=limit_gib, key=key + self.train.decoding
        )
        for part in parts:
            part.keep_decoded(cache)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)
