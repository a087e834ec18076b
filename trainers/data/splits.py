"""The three splits of a data set, in the one form in which the training loop sees them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

from trainers.data.image_cache import ImageCache
from trainers.data.seeded_transform import SeededTransform


class Batch(NamedTuple):
    """Images with their labels; B images of S x S pixels."""

    images: Tensor
    """[B, 3, S, S] uint8, or float32 in [0, 1]; normalised later, where the model is."""
    labels: Tensor
    """[B] int64."""
    indices: Tensor
    """[B] int64, each image's fixed place in the whole data set (over all splits)."""


class ImageSplit(ABC, Dataset[tuple[Tensor, int, int]]):
    """One split: a map-style dataset that also gives whole batches.

    torch's DataLoader asks `__getitems__` for a whole batch, so a data set in memory costs no Python per image.
    """

    def __init__(self, labels: Tensor, indices: Tensor, augment: SeededTransform | None) -> None:
        """Keep what all kinds of data sets have.

        Args:
            labels: [n] int64.
            indices: [n] int64, place in the whole data set.
            augment: random changes (training split only).
        """
        self.labels, self.indices, self.augment = labels, indices, augment

    def __len__(self) -> int:
        return len(self.labels)

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation stream of an epoch; reaches loader workers that already run."""
        if self.augment is not None:
            self.augment.set_epoch(epoch)

    def keep_decoded(self, cache: ImageCache) -> None:
        """Keep decoded images from now on; a split that is in memory anyway has nothing to do."""

    @abstractmethod
    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The images at these positions of the split."""

    def __getitem__(self, position: int) -> tuple[Tensor, int, int]:
        """One image [3, S, S], its label and its index."""
        batch = self.__getitems__([position])
        return batch.images[0], int(batch.labels[0]), int(batch.indices[0])


@dataclass(frozen=True)
class Splits:
    """A data set, split: choose on `val`, claim on `test`."""

    train: ImageSplit
    val: ImageSplit
    test: ImageSplit
    class_names: tuple[str, ...]

    def keep_decoded(self, *, limit_gib: float) -> None:
        """Keep decoded images of all splits in memory together, up to a limit; call it before a loader reads."""
        parts = (self.train, self.val, self.test)
        cache = ImageCache(1 + max(int(part.indices.max()) for part in parts), limit_gib=limit_gib)
        for part in parts:
            part.keep_decoded(cache)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)
