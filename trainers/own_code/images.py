"""A data set of the user's own: built, read, cut into splits, and named by its content."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainers.counted import counted
from trainers.data.fingerprint import MAX_BYTES_READ, NUM_FILES_SAMPLED
from trainers.data.split_names import SplitName
from trainers.data.splitting import Positions, SplitSizes, stratified_order
from trainers.errors import DataError, OwnCodeError
from trainers.own_code.facts import DatasetFacts
from trainers.own_code.generators import generators_for_import
from trainers.own_code.items import OwnItems, Parts
from trainers.own_code.loading import built, kind_of_object, takes
from trainers.own_code.place import own_code_here
from trainers.seeding import Stream, derive_seed

if TYPE_CHECKING:
    from trainers.data.python_dataset import PythonDataset

_SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
_NUM_CHECKED = 8
"""Images of each part that are read in any case, and again after it was built again."""


class OwnShare(NamedTuple):
    """A split."""

    items: OwnItems
    rows: Positions
    """Of the items."""
    start: int
    """What is added to a row to be the image's place in the whole data set."""


class OwnImages(NamedTuple):
    """A data set that was built and looked at."""

    shares: Mapping[SplitName, OwnShare]
    class_names: tuple[str, ...]


class _Read(NamedTuple):
    """What was read of one part."""

    digests: dict[int, bytes]
    """Place -> digest of the pixels."""
    labels: dict[int, int]
    """The same places -> label."""
    all_labels: Positions | None
    """Of every image (`None`: neither declared nor read)."""


_latest: dict[tuple[str, Path | None, Path | None], OwnImages] = {}
"""The set that was looked at last: a trial looks, then loads, and what it loads is what it has looked at."""


def scored_seed(place: int) -> int:
    """What the user's code draws from for an image that is scored, or looked at: the same for every seed and epoch."""
    return drawn_seed(0, epoch=0, index=place)


def drawn_seed(seed: int, *, epoch: int, index: int) -> int:
    """What the user's code draws from for a training image; beside the stream of our own augmentations."""
    return derive_seed(seed, Stream.AUGMENTATION, epoch, index, 1)


def images_of(config: "PythonDataset", data_root: Path | None) -> OwnImages:
    """A data set, as it was looked at last, or looked at now.

    Raises:
        DataError: see `look_at`.
        OwnCodeError: see `look_at`.
    """
    key = _key(config, data_root)
    if key not in _latest:
        look_at(config, data_root)
    return _latest[key]


def look_at(config: "PythonDataset", data_root: Path | None) -> DatasetFacts:
    """Build a data set and read of it what its fingerprint needs.

    Raises:
        DataError: it does not give images and labels, or a split would be empty.
        OwnCodeError: it can't be built.
    """
    _latest.clear()
    parts = _parts(config, data_root)
    needs_labels = not _class_names(config, parts) or len(parts) < len(_SPLITS)
    # By the first image: nobody knows how large they are before they are read.
    total = sum(part.num * part.item(0, seed=scored_seed(0)).num_bytes for part in parts.values())
    read = {
        name: _read(
            part, needs_labels=needs_labels, stated=config.version is not None, is_small=total <= MAX_BYTES_READ
        )
        for name, part in parts.items()
    }
    for part in parts.values():
        part.require_length()
    class_names = _class_names(config, parts) or _numbers(config, read.values())
    _require_classes(config, read, class_names)
    images = OwnImages(_shared_out(config, parts, read), class_names)
    _latest[_key(config, data_root)] = images
    return _facts(config, parts, read, images)


def require_same_again(config: "PythonDataset", data_root: Path | None) -> None:
    """Build a data set that was just looked at once more, and see that it is the same.

    Raises:
        DataError: it is not; says what differs.
    """
    before = {id(share.items): share.items for share in images_of(config, data_root).shares.values()}.values()
    again = _parts(config, data_root).values()
    told = f"{config.target} must be the same data set whenever it is built"
    sizes = [[part.num for part in parts] for parts in (before, again)]
    if sizes[0] != sizes[1]:
        first, second = (" and ".join(map(str, each)) for each in sizes)
        raise DataError(f"{told}: it has {first} images, and {second} when it is built again")
    for one, other in zip(before, again, strict=True):
        for place in _spread(one.num, _NUM_CHECKED):
            item, twin = (part.item(place, seed=scored_seed(place)) for part in (one, other))
            if (item.label, item.digest()) != (twin.label, twin.digest()):
                what = "label" if item.label != twin.label else "image"
                raise DataError(
                    f"{told}, and gives another {what} {place} then: what is drawn must come from torch's, numpy's or "
                    "Python's global generator, which are set before it is built and before each image is read, and "
                    "not from a generator without a seed, the time, or an order of files that nobody sorts"
                )


def _key(config: "PythonDataset", data_root: Path | None) -> tuple[str, Path | None, Path | None]:
    return config.model_dump_json(), data_root, own_code_here().folder


def _parts(config: "PythonDataset", data_root: Path | None) -> dict[SplitName, OwnItems]:
    """Its parts by name; a set that is to be cut is all `train`."""
    is_whole = False

    def make() -> Mapping[SplitName, Any]:
        nonlocal is_whole
        made = _made(config, data_root)
        is_whole = not isinstance(made, Mapping)
        return {"train": made} if is_whole else made

    parts = Parts(make)
    names = [name for name in _SPLITS if name in parts.here()]
    return {name: OwnItems(config.target, "" if is_whole else name, name, parts) for name in names}


def _made(config: "PythonDataset", data_root: Path | None) -> Any:  # noqa: ANN401 (theirs)
    """What the user's code makes: objects by split, or one of all images."""
    given = {"data_root": data_root or Path.cwd()}
    with generators_for_import():
        if takes(config, "split"):
            made: Any = {name: built(config, wanted="a data set", given=given | {"split": name}) for name in _SPLITS}
        else:
            made = built(config, wanted="a data set", given=given)
    if isinstance(made, tuple | list) and len(made) == len(_SPLITS) and all(hasattr(each, "__len__") for each in made):
        made = dict(zip(_SPLITS, made, strict=True))
    if isinstance(made, Mapping) and ("train" not in made or not made.keys() <= set(_SPLITS)):
        raise OwnCodeError(
            f"{config.target} gives {kind_of_object(made)} of {', '.join(map(repr, made)) or 'nothing'}; parts are "
            "'train', 'val' and 'test' ('train' at least; what is missing is cut out of it)"
        )
    return made


def _read(part: OwnItems, *, needs_labels: bool, stated: bool, is_small: bool) -> _Read:
    declared = part.declared_labels()
    checked = set(_spread(part.num, _NUM_CHECKED))
    items = {place: part.item(place, seed=scored_seed(place)) for place in sorted(checked)}
    if declared is not None and any(items[place].label != declared[place] for place in checked):
        # A transform of targets, say: what is given counts.
        declared = None
    if (needs_labels and declared is None) or (is_small and not stated):
        more: Iterable[int] = range(part.num)
    else:
        more = () if stated else _spread(part.num, NUM_FILES_SAMPLED)
    digests = {place: item.digest() for place, item in items.items()}
    labels = {place: item.label for place, item in items.items()}
    # One after another: all of them together need not fit into memory.
    for place in more:
        if place not in digests:
            item = part.item(place, seed=scored_seed(place))
            digests[place], labels[place] = item.digest(), item.label
    if len(labels) == part.num:
        declared = np.array([labels[place] for place in range(part.num)], dtype=np.int64)
    return _Read(dict(sorted(digests.items())), labels, declared)


def _spread(num: int, num_chosen: int) -> Iterable[int]:
    """So many places, spread evenly."""
    chosen = min(num, num_chosen)
    return dict.fromkeys(number * num // chosen for number in range(chosen))


def _class_names(config: "PythonDataset", parts: Mapping[SplitName, OwnItems]) -> tuple[str, ...]:
    return config.class_names or parts["train"].declared_classes()


def _numbers(config: "PythonDataset", read: Iterable[_Read]) -> tuple[str, ...]:
    labels = [each.all_labels for each in read if each.all_labels is not None]
    smallest, largest = min(int(each.min()) for each in labels), max(int(each.max()) for each in labels)
    if smallest > 0:
        raise DataError(
            f"the labels of {config.target} are {smallest} to {largest}, and no image has the label 0: number classes "
            "from 0, or say in `class_names` what they are, if the first ones have no images"
        )
    return tuple(str(number) for number in range(largest + 1))


def _require_classes(config: "PythonDataset", read: Mapping[SplitName, _Read], class_names: tuple[str, ...]) -> None:
    for name, each in read.items():
        labels = dict(enumerate(each.all_labels.tolist())) if each.all_labels is not None else each.labels
        wrong = next((place for place, label in labels.items() if label >= len(class_names)), None)
        if wrong is not None:
            raise DataError(
                f"image {wrong} of {config.target} ({name}) has the label {labels[wrong]}, and there are "
                f"{counted(len(class_names), 'class', 'classes')}: {', '.join(class_names[:5])}"
                f"{', ...' if len(class_names) > 5 else ''}"
            )


def _shared_out(
    config: "PythonDataset", parts: Mapping[SplitName, OwnItems], read: Mapping[SplitName, _Read]
) -> dict[SplitName, OwnShare]:
    """The parts as they are, and what is missing cut out of training, class by class."""
    num_train, labels = parts["train"].num, read["train"].all_labels
    if len(parts) == len(_SPLITS):
        rows: dict[SplitName, Positions] = {}
    else:
        assert labels is not None  # read, as the set is to be cut
        order = stratified_order(labels, seed=config.split_seed)
        num_val = 0 if "val" in parts else int(config.val_fraction * num_train)
        num_test = 0 if "test" in parts else int(config.test_fraction * num_train)
        val, test, train = np.split(order, [num_val, num_val + num_test])
        rows = {"train": np.sort(train), "val": val, "test": test}
    shares: dict[SplitName, OwnShare] = {}
    starts = dict(zip(parts, np.cumsum([0, *(part.num for part in parts.values())]).tolist(), strict=False))
    for name in _SPLITS:
        source = name if name in parts else "train"
        is_cut = source == "train" and name in rows
        chosen = rows[name] if is_cut else np.arange(parts[source].num, dtype=np.int64)
        if not len(chosen):
            raise DataError(
                f"{config.target} has no image left for {name}: {counted(num_train, 'image')} can't be shared out so; "
                f"give a part for {name}, or change val_fraction and test_fraction"
            )
        shares[name] = OwnShare(parts[source], chosen, starts[source])
    return shares


def _facts(
    config: "PythonDataset", parts: Mapping[SplitName, OwnItems], read: Mapping[SplitName, _Read], images: OwnImages
) -> DatasetFacts:
    digest = hashlib.sha256(f"{config.version!r} {images.class_names!r}".encode())
    for name, part in parts.items():
        digest.update(f"{name} {part.num} ".encode())
        found = read[name]
        if config.version is None:
            digest.update(repr([(place, found.labels[place]) for place in found.digests]).encode())
            for each in found.digests.values():
                digest.update(each)
        if found.all_labels is not None:
            digest.update(found.all_labels.tobytes())
    for share in images.shares.values():
        digest.update(share.rows.tobytes())
    train, val, test = (images.shares[name] for name in _SPLITS)
    is_all_read = all(len(each.digests) == part.num for each, part in zip(read.values(), parts.values(), strict=True))
    seen = {id(parts[name]): each for name, each in read.items()}
    return DatasetFacts(
        fingerprint=digest.hexdigest()[:20],
        sizes=SplitSizes(len(train.rows), len(val.rows), len(test.rows)),
        class_names=images.class_names,
        num_copies=_num_copies(train, (val, test), seen) if is_all_read else 0,
        num_unscored_classes=_num_unscored(images, seen),
    )


def _num_copies(train: OwnShare, scored: Iterable[OwnShare], seen: Mapping[int, _Read]) -> int:
    def digests(share: OwnShare) -> list[bytes]:
        return [seen[id(share.items)].digests[int(row)] for row in share.rows]

    trained_on = set(digests(train))
    return sum(digest in trained_on for share in scored for digest in digests(share))


def _num_unscored(images: OwnImages, seen: Mapping[int, _Read]) -> int:
    test = images.shares["test"]
    labels = seen[id(test.items)].all_labels
    return 0 if labels is None else len(images.class_names) - len(set(labels[test.rows].tolist()))
