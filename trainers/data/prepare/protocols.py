"""Which image goes into which split: the publisher's way, or the paper's."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from trainers.data.prepare.published_set import ImagesPerClass, OfficialParts, PublishedSet
from trainers.data.split_names import SplitName
from trainers.data.splitting import shared_out, stratified_order

Protocol: TypeAlias = Literal["official", "paper"]
SPLIT_SEED = 0
PAPER_PERCENT = {"train": 70, "val": 15, "test": 15}

Names: TypeAlias = npt.NDArray[np.str_]
Labels: TypeAlias = npt.NDArray[np.int64]


def assign(published: PublishedSet, protocol: Protocol, labels: Labels, parts: Sequence[str]) -> Names:
    """The split of each image.

    Args:
        published: the set.
        protocol: `official` or `paper`.
        labels: [n] in the listing's order.
        parts: [n] the publisher's parts.

    Returns:
        [n] of `train`, `val`, `test`, `unused`.
    """
    if protocol == "paper":
        return paper_split(len(labels))
    if published.dataset is not None and isinstance(published.official, OfficialParts):
        return _as_read(published, published.official, np.asarray(parts))
    if isinstance(published.official, OfficialParts):
        return _by_parts(published.official, labels, np.asarray(parts))
    return _by_classes(published.official, labels)


def split_rule(published: PublishedSet, protocol: Protocol) -> str:
    """The same in words."""
    if protocol == "paper":
        return (
            f"numpy.random.RandomState({SPLIT_SEED}).permutation over all images by class and name, cut at 70 %, "
            "15 % and 15 %, each rounded down; what is left over is not used"
        )
    official = published.official
    how = "seeded, stratified" if published.dataset is None else "seeded"
    drawn = f"a {how} {100 * official.val_fraction:g} % of training"
    if isinstance(official, OfficialParts):
        return f"the publisher's parts: test is {official.test!r}, training {official.train!r}; validation is {drawn}"
    return (
        f"the publisher names no split: {official.num_train_per_class} training images of each class, drawn with seed "
        f"{SPLIT_SEED}, all others for test; validation is {drawn}"
    )


def paper_split(num_images: int) -> Names:
    """The paper's cut of a permutation.

    The shares are taken of whole numbers: `int(.70 * 20580)` is 14405 in floating point, the paper's count is 14406.
    """
    order = np.random.RandomState(SPLIT_SEED).permutation(num_images)
    split = np.full(num_images, "unused", dtype="<U6")
    start = 0
    for name, percent in PAPER_PERCENT.items():
        end = start + percent * num_images // 100
        split[order[start:end]] = name
        start = end
    return split


def _by_parts(official: OfficialParts, labels: Labels, parts: Names) -> Names:
    split = np.full(len(labels), "unused", dtype="<U6")
    split[parts == official.test] = "test"
    split[parts == official.train] = "train"
    _draw_val(split, labels, official.val_fraction)
    return split


def _as_read(published: PublishedSet, official: OfficialParts, parts: Names) -> Names:
    """As the config splits it that reads the set, whose own names the parts' order is."""
    num_images: dict[SplitName, int] = {
        "train": int((parts == official.train).sum()),
        "test": int((parts == official.test).sum()),
    }
    split = np.full(len(parts), "unused", dtype="<U6")
    # Of two parts, `test_fraction` cuts nothing.
    shares = shared_out(
        num_images, val_fraction=official.val_fraction, test_fraction=0, seed=SPLIT_SEED, name=published.title
    )
    for name, share in zip(("train", "val", "test"), shares, strict=True):
        split[share.indices] = name
    return split


def _by_classes(official: ImagesPerClass, labels: Labels) -> Names:
    random = np.random.RandomState(SPLIT_SEED)
    split = np.full(len(labels), "test", dtype="<U6")
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        split[members[: official.num_train_per_class]] = "train"
    _draw_val(split, labels, official.val_fraction)
    return split


def _draw_val(split: Names, labels: Labels, fraction: float) -> None:
    """Turn a share of training, rounded down, into validation."""
    train = np.flatnonzero(split == "train")
    order = stratified_order(labels[train], seed=SPLIT_SEED)
    split[train[order[: int(fraction * len(train))]]] = "val"
