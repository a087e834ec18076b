"""Where the parts of a data set in COCO's format lie: a file for each, and the images that it names."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainers.counted import counted
from trainers.data.coco_index import CocoIndex, read_coco
from trainers.data.split_names import SplitName
from trainers.data.tree import ImageFile, PassedOver, Place, TreeReader
from trainers.errors import DataError
from trainers.fence import fence, is_file, is_folder

LAYOUT = (
    "expected a file in COCO's format and a folder with the images that it names, <folder>/annotations.json and "
    '<folder>/images/1.jpg, or other names, as in `"train": {"annotations_file": '
    '"annotations/instances_train2017.json", "images_folder": "train2017"}`'
)


class Part(NamedTuple):
    """One file and its images."""

    annotations: CocoIndex
    images: list[ImageFile]
    """As they are numbered there."""


class Tally(NamedTuple):
    """What the files of all parts say, counted."""

    num_objects: int
    """That can be found, crowds not among them."""
    num_crowds: int
    num_empty_images: int
    """Images without an object or crowd."""
    num_left_out: int
    """Objects and crowds without area."""


class CocoContents(NamedTuple):
    """All parts of a data set."""

    parts: dict[SplitName, Part]
    """`train` first; alone where nothing is split yet."""
    passed_over: PassedOver
    num_unnamed: int
    """Images in the folders that no file names."""

    @property
    def images(self) -> list[ImageFile]:
        """Of all parts, one after another."""
        return [image for part in self.parts.values() for image in part.images]

    def tally(self) -> Tally:
        """Count what is there to be found."""
        return Tally(*map(sum, zip(*(_tally(part.annotations) for part in self.parts.values()), strict=True)))


def read_contents(folder: Path, places: Mapping[SplitName, tuple[str, str]]) -> CocoContents:
    """Read the files, and list the images.

    Args:
        folder: the data set's.
        places: split -> its file and its folder of images, below `folder`; `train` first.

    Raises:
        DataError: a file or folder is missing or broken (see `read_coco`), images are missing or belong to two parts,
            or the parts have other classes.
    """
    indexes = {split: _index(folder, file) for split, (file, _) in places.items()}
    _require_same_classes(indexes)
    found, passed_over = _listed(folder, [images for _, images in places.values()])
    parts: dict[SplitName, Part] = {}
    owners: dict[str, SplitName] = {}
    for split, index in indexes.items():
        start = f"{folder / places[split][1]}/"
        paths = [start + name for name in index.file_names]
        _require_there(index, paths, found)
        if shared := next((path for path in paths if path in owners), None):
            raise DataError(f"{shared} is in the parts {owners[shared]} and {split}: take it out of one of their files")
        owners |= dict.fromkeys(paths, split)
        parts[split] = Part(index, [ImageFile(path, found[path]) for path in paths])
    return CocoContents(parts, passed_over, len(found.keys() - owners.keys()))


def _tally(index: CocoIndex) -> Tally:
    num_images = len(index.file_names)
    of_image = np.repeat(np.arange(num_images), np.diff(index.starts))
    num_in_image = np.bincount(of_image[index.has_area], minlength=num_images)
    num_crowds, num_all = int((index.is_crowd & index.has_area).sum()), int(index.has_area.sum())
    return Tally(num_all - num_crowds, num_crowds, int((num_in_image == 0).sum()), len(index.has_area) - num_all)


def _index(folder: Path, name: str) -> CocoIndex:
    file = folder / name
    fence().check(file)
    if not is_file(file):
        raise DataError(f"no file {file}; {LAYOUT}")
    return read_coco(file)


def _require_same_classes(indexes: Mapping[SplitName, CocoIndex]) -> None:
    first = indexes["train"]
    for index in indexes.values():
        ours, theirs = (set(zip(each.category_ids, each.class_names, strict=True)) for each in (first, index))
        if ours != theirs:
            number, name = min(ours ^ theirs)
            has, lacks = (first, index) if (number, name) in ours else (index, first)
            raise DataError(
                f"{has.file} has the category {number} ({name}), and {lacks.file} has not: all parts of a set need the "
                "same `categories`"
            )


def _listed(folder: Path, images: list[str]) -> tuple[dict[str, int], PassedOver]:
    """Path -> bytes of every image in these folders, each folder listed once, and what else is there."""
    found: dict[str, int] = {}
    passed_over = PassedOver()
    for name in dict.fromkeys(images):
        path = folder / name
        if not is_folder(path):
            raise DataError(f"no folder {path}; {LAYOUT}")
        if any(other != name and f"{path}/".startswith(f"{folder / other}/") for other in images):
            # Listed with the folder that it lies in.
            continue
        reader, place = TreeReader(str(folder)), Place("", name)
        reader.take(str(path), place)
        reader.settle_links()
        found |= dict(reader.images(place))
        passed_over.other_files += reader.passed_over.other_files
        passed_over.num_hidden += reader.passed_over.num_hidden
        passed_over.num_repeated += reader.passed_over.num_repeated
    return found, passed_over


def _require_there(index: CocoIndex, paths: list[str], found: Mapping[str, int]) -> None:
    missing = [path for path in paths if path not in found]
    if missing:
        are = "is not there" if len(missing) == 1 else "are not there"
        named = ", ".join(missing[:3]) + ", ..." * (len(missing) > 3)
        raise DataError(
            f"{counted(len(missing), 'image')} of {len(paths):,} that {index.file} names {are}: {named}; "
            "download or unpack them again, or see `images_folder`"
        )
