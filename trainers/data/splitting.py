"""How images are dealt out to training, validation and test."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainers.counted import counted
from trainers.data.split_names import SplitName
from trainers.errors import DataError

Positions = npt.NDArray[np.int64]


class SplitSizes(NamedTuple):
    """Images of each split."""

    train: int
    val: int
    test: int


class Share(NamedTuple):
    """What a split is made of."""

    part: SplitName
    """The published part that it is, or is cut from."""
    rows: Positions
    """Images of the part."""
    indices: Positions
    """The same, numbered over all parts."""


def shared_out(
    num_images: Mapping[SplitName, int], *, val_fraction: float, test_fraction: float, seed: int, name: str
) -> tuple[Share, Share, Share]:
    """Train, val and test: the parts as they are, and what is missing cut out of training.

    Args:
        num_images: of each part, in their order; of `train` at least.
        val_fraction: share of training for validation, where it has no part.
        test_fraction: share of training for test, where it has no part.
        seed: of numpy's RandomState.
        name: of the data set, for the message.

    Raises:
        DataError: a split would be empty.
    """
    num_train = num_images["train"]
    order = np.random.RandomState(seed).permutation(num_train).astype(np.int64)
    num_val = 0 if "val" in num_images else int(val_fraction * num_train)
    num_test = 0 if "test" in num_images else int(test_fraction * num_train)
    val, test, train = np.split(order, [num_val, num_val + num_test])
    starts = dict(zip(num_images, np.cumsum([0, *num_images.values()]).tolist(), strict=False))

    def share(split: SplitName, cut: Positions) -> Share:
        is_part = split in num_images and split != "train"
        rows = np.arange(num_images[split]) if is_part else cut
        if not len(rows):
            raise DataError(
                f"{name} has no image left for {split}: {counted(num_train, 'image')} can't be shared out so; "
                f"add images or a part for {split}, or change val_fraction and test_fraction"
            )
        part = split if is_part else "train"
        return Share(part, rows, starts[part] + rows)

    # In the files' order: a set whose every split is a part trains as it would from memory.
    return share("train", np.sort(train)), share("val", val), share("test", test)


def stratified_order(labels: Positions, *, seed: int) -> Positions:
    """An order of all images whose every prefix, and every window, holds the classes in proportion (within 1 or 2).

    The images of a class are shuffled and spread evenly, with jitter, over [0, 1); sorting by that place interleaves
    the classes. Cutting the order makes stratified splits, and a longer prefix only adds images to a shorter one.

    Args:
        labels: [n] class of each image.
        seed: seed of numpy's RandomState, whose numbers never change between versions of numpy.

    Returns:
        [n] positions.
    """
    random = np.random.RandomState(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + random.uniform(size=len(members))) / len(members)
    return np.argsort(place, kind="stable").astype(np.int64)
