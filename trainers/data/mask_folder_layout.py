"""How a folder of images and masks is laid out: two trees that mirror each other; anything else is refused."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from trainers.counted import counted
from trainers.data.split_names import SplitName, split_named
from trainers.data.tree import ImageFile, PassedOver, Place, TreeReader, require_no_dead_links
from trainers.errors import DataError
from trainers.fence import is_folder

LAYOUT = (
    "expected two trees that mirror each other, <folder>/images/1.jpg and <folder>/masks/1.png, or both with train, "
    "val and test in them (<folder>/images/train/1.jpg, <folder>/masks/train/1.png); other names are set by `images`, "
    "`masks`, `train_folder`, `val_folder` and `test_folder`"
)
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".pgm")
"""Stored without loss."""
_IMAGES, _MASKS = "images", "masks"


class Pair(NamedTuple):
    """An image and its mask."""

    image: ImageFile
    mask: ImageFile


class MaskFolderContents(NamedTuple):
    """All pairs of a data set's folder."""

    trees: dict[SplitName, list[Pair]]
    """`train` first; alone where nothing is split yet."""
    passed_over: PassedOver

    @property
    def pairs(self) -> list[Pair]:
        """All pairs, tree by tree."""
        return [pair for tree in self.trees.values() for pair in tree]


def read_mask_folder(
    folder: Path, *, images: str, masks: str, split_folders: Mapping[SplitName, str | None]
) -> MaskFolderContents:
    """List a folder of images and masks; opens none.

    Args:
        folder: the data set's.
        images: the tree of images in it.
        masks: the tree of masks in it.
        split_folders: what the folders of the splits are called (`None`: by a name that speaks of the split).

    Raises:
        DataError: it has another layout, an image has no mask or a mask no image, or images would be left out.
    """
    roots = {_IMAGES: folder / images, _MASKS: folder / masks}
    for root in roots.values():
        if not is_folder(root):
            raise DataError(f"no folder {root}; {LAYOUT}")
    # Another reader than the one that counts what is passed over.
    splits = _splits(TreeReader(str(folder)), roots[_IMAGES], split_folders)
    reader = TreeReader(str(folder))
    for split, name in splits.items():
        for tree, root in roots.items():
            path = root / name
            if not is_folder(path):
                raise DataError(f"no folder {path} beside {roots[_IMAGES] / name}: each split needs both; {LAYOUT}")
            reader.take(str(path), Place(split, tree))
    reader.settle_links()
    trees = {
        split: _pairs(*((root / name, reader.images(Place(split, tree))) for tree, root in roots.items()))
        for split, name in splits.items()
    }
    for root in roots.values():
        if num_unread := reader.count_unread(str(root)):
            raise DataError(
                f"{root} has {counted(num_unread, 'image')} in no folder of a split ({', '.join(splits.values())}), so "
                f"nothing would read them: name their folder's split, or move them out of {root}"
            )
    return MaskFolderContents(trees, reader.passed_over)


def _splits(reader: TreeReader, images: Path, named: Mapping[SplitName, str | None]) -> dict[SplitName, str]:
    """Folder of each split below the tree of images; empty where the tree is not split."""
    entries = reader.look_into(str(images))
    require_no_dead_links(str(images), entries.dead_links)
    found: dict[SplitName, str] = {split: name for split, name in named.items() if name is not None}
    folders = sorted(entry.name for entry in entries.folders)
    if missing := [name for name in found.values() if not is_folder(images / name)]:
        raise DataError(f"no folder {images / missing[0]}; {images} has {', '.join(folders) or 'no folders'}")
    for name in folders:
        split = split_named(name)
        if split is None or name in found.values() or split in found:
            continue
        found[split] = name
    if not found:
        return {"train": ""}
    if "train" not in found:
        raise DataError(
            f"{images} has {', '.join(found.values())}, but no train beside it: see `train_folder`; {LAYOUT}"
        )
    order: tuple[SplitName, ...] = ("train", "val", "test")
    return {split: found[split] for split in order if split in found}


def _pairs(images: tuple[Path, Sequence[ImageFile]], masks: tuple[Path, Sequence[ImageFile]]) -> list[Pair]:
    image_of, mask_of = _by_stem(*images), _by_stem(*masks)
    if not image_of:
        raise DataError(f"{images[0]} holds no images; {LAYOUT}")
    for stem, mask in mask_of.items():
        if not mask.path.lower().endswith(MASK_SUFFIXES):
            raise DataError(
                f"the mask {mask.path} is of a kind that may change ids: store masks without loss, as one of "
                f"{', '.join(MASK_SUFFIXES)}"
            )
        if stem not in image_of:
            raise DataError(f"the mask {mask.path} has no image {images[0] / stem}.*: add it, or remove the mask")
    for stem, image in image_of.items():
        if stem not in mask_of:
            raise DataError(f"the image {image.path} has no mask {masks[0] / stem}.png: add it, or remove the image")
    return [Pair(image, mask_of[stem]) for stem, image in image_of.items()]


def _by_stem(folder: Path, files: Sequence[ImageFile]) -> dict[str, ImageFile]:
    """Path below the folder, without its ending -> file."""
    start = len(str(folder / "x")) - 1
    by_stem: dict[str, ImageFile] = {}
    for file in files:
        stem = os.path.splitext(file.path[start:])[0]  # noqa: PTH122  (as in `tree`: a set may have a million files)
        if stem in by_stem:
            raise DataError(
                f"{by_stem[stem].path} and {file.path} have one name, so no mask is theirs alone; rename one"
            )
        by_stem[stem] = file
    return by_stem
