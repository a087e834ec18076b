"""How images are dealt out to training, validation and test."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]


class SplitSizes(NamedTuple):
    """Images of each split."""

    train: int
    val: int
    test: int


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
