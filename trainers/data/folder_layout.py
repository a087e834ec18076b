"""How a data set's folder is laid out: classes, or splits with classes in them; anything else is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainers.counted import counted
from trainers.data.split_names import SplitName, split_named, splits_among
from trainers.data.tree import (
    IMAGE_SUFFIXES,
    FolderEntries,
    ImageFile,
    PassedOver,
    Place,
    TreeReader,
    is_hidden,
    require_no_dead_links,
)
from trainers.errors import DataError
from trainers.fence import fence

LAYOUT = (
    "expected one subfolder of images per class (<folder>/cat/1.jpg, <folder>/dog/2.jpg), or such trees under "
    "<folder>/train, <folder>/val and <folder>/test"
)
NUM_NAMED = 10
"""Classes that a message names."""


@dataclass(frozen=True)
class ImageTree:
    """The images below one folder, classes and files in sorted order (torchvision's ImageFolder order)."""

    folder: str
    class_names: tuple[str, ...]
    files: list[ImageFile]
    labels: list[int]
    num_nested: int
    """Images in folders below their class's own."""


@dataclass(frozen=True)
class FolderContents:
    """All images of a data set's folder, and what lies there beside them."""

    folder: str
    trees: dict[SplitName, ImageTree]
    """`train` first; alone where nothing is split yet, or where `val` and `test` are to be cut from it."""
    passed_over: PassedOver

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of their labels; every tree has the same."""
        return self.trees["train"].class_names

    @property
    def files(self) -> list[ImageFile]:
        """All images, tree by tree."""
        return [file for tree in self.trees.values() for file in tree.files]


def read_folder(folder: Path) -> FolderContents:
    """List a data set's folder; opens no image.

    Raises:
        DataError: it has another layout, its trees differ in their classes, an image would be read twice, a link
            leads nowhere, or images would be left out.
    """
    return _Layout(folder).read()


class _Folder(NamedTuple):
    """A folder that holds class folders."""

    name: str
    """As a split; empty where it is the data set's own."""
    path: Path
    entries: FolderEntries

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted(entry.name for entry in self.entries.folders))


class _Layout:
    """One reading of a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._reader = TreeReader(str(root))

    def read(self) -> FolderContents:
        outer = self._open("", self._root)
        named: dict[SplitName, list[str]] = {}
        for name in outer.class_names:
            if (split := split_named(name)) is not None:
                named.setdefault(split, []).append(name)
        if not named or self._is_class_called_train(outer.class_names, named):
            return self._contents({"train": outer})
        folders = self._split_folders(named)
        self._reader.passed_over.num_outside += len(outer.entries.images)
        contents = self._contents(folders)
        self._require_no_other_images(set(outer.class_names) - {folder.name for folder in folders.values()})
        return contents

    def _open(self, name: str, path: Path) -> _Folder:
        """Look into a folder in which every entry may be a class or a split."""
        entries = self._reader.look_into(str(path))
        require_no_dead_links(str(path), entries.dead_links)
        return _Folder(name, path, entries)

    def _is_class_called_train(self, names: tuple[str, ...], named: dict[SplitName, list[str]]) -> bool:
        """CIFAR-100, COCO and VOC have such a class, and no data set has one that is called like another split."""
        if list(named) != ["train"] or len(names) == 1 or [name.casefold() for name in named["train"]] != ["train"]:
            return False
        inner = self._root / named["train"][0]
        fence().check(inner)
        try:
            return all(is_hidden(entry.name, is_folder=True) for entry in inner.iterdir() if entry.is_dir())
        except OSError as error:
            raise DataError(f"{inner} can't be read: {error.strerror or error}") from error

    def _split_folders(self, named: dict[SplitName, list[str]]) -> dict[SplitName, _Folder]:
        """The folder of each split, training first."""
        for split, names in named.items():
            if len(names) > 1:
                raise DataError(
                    f"{self._root} has {len(names)} folders for the {split} split, {_listed(names)}: leave one there "
                    f"and call it {split}; if they are classes, rename them; {LAYOUT}"
                )
        if "train" not in named:
            lonely = _listed([name for names in named.values() for name in names])
            raise DataError(
                f"{self._root} has {lonely}, but no train beside it: put what is to be trained on under "
                f"{self._root / 'train'}; if {lonely} is a class, rename its folder; {LAYOUT}"
            )
        order: tuple[SplitName, ...] = ("train", "val", "test")
        return {split: self._open(name, self._root / name) for split in order for name in named.get(split, ())}

    def _contents(self, folders: dict[SplitName, _Folder]) -> FolderContents:
        for folder in folders.values():
            self._take_classes(folder)
        self._reader.settle_links()
        trees = {split: self._tree(folder) for split, folder in folders.items()}
        for tree in trees.values():
            _require_same_classes(trees["train"], tree)
        return FolderContents(str(self._root), trees, self._reader.passed_over)

    def _take_classes(self, folder: _Folder) -> None:
        num_flat = len(folder.entries.images)
        if not folder.class_names:
            found = f"{counted(num_flat, 'image')} in no class folder" if num_flat else "no class folders"
            raise DataError(f"{folder.path} holds {found}; {LAYOUT}")
        self._require_no_split_as_class(folder)
        self._reader.passed_over.num_outside += num_flat
        for name in folder.class_names:
            path = folder.path / name
            inner = self._reader.take(str(path), Place(folder.name, name))
            if len(folder.class_names) == 1 and inner:
                raise DataError(
                    f"{folder.path} has 1 class, {name}; did you mean {path}, with {_listed(inner)} in it? {LAYOUT}"
                )
            if splits := list(splits_among(inner)):
                raise DataError(
                    f"{path} holds {_listed(splits)}: splits must be the outer folders, classes the inner ones; "
                    f"if they are not splits, rename them; {LAYOUT}"
                )

    def _require_no_split_as_class(self, folder: _Folder) -> None:
        """`pets_train` and `pets_val` are called otherwise than splits are, and would become classes in silence."""
        if not (targets := splits_among(folder.class_names)):
            return
        if folder.name:
            advice = "splits must be the outer folders, classes the inner ones"
        else:
            renamed = [f"{name} to {self._root / target}" for name, target in targets.items() if name != target]
            advice = f"these names speak of splits, so they are not read as classes: move {_listed(renamed)}"
        raise DataError(
            f"{folder.path} has {_listed(list(targets))}: {advice}; if they are classes, rename them so that only one "
            f"split is spoken of; {LAYOUT}"
        )

    def _tree(self, folder: _Folder) -> ImageTree:
        class_names = folder.class_names
        images = [self._reader.images(Place(folder.name, name)) for name in class_names]
        empty = [name for name, files in zip(class_names, images, strict=True) if not files]
        if empty:
            these = "this folder" if len(empty) == 1 else "these folders"
            raise DataError(
                f"{folder.path} has no image of {_listed(empty)}: remove {these} or add images (files that end in "
                f"{', '.join(IMAGE_SUFFIXES)})"
            )
        depth = str(folder.path / "class" / "image").count("/")
        return ImageTree(
            str(folder.path),
            class_names,
            [file for files in images for file in files],
            [label for label, files in enumerate(images) for _ in files],
            sum(file.path.count("/") > depth for files in images for file in files),
        )

    def _require_no_other_images(self, names: set[str]) -> None:
        """A folder beside `train` that nobody reads would be left out in silence."""
        for name in sorted(names):
            path = self._root / name
            if num_unread := self._reader.count_unread(str(path)):
                raise DataError(
                    f"{path} holds {counted(num_unread, 'image')}, but is neither train, val nor test, so nothing "
                    f"would read {'it' if num_unread == 1 else 'them'}: call it {self._root / 'val'} or "
                    f"{self._root / 'test'}, or move it out of {self._root}"
                )


def _require_same_classes(train: ImageTree, tree: ImageTree) -> None:
    if tree.class_names != train.class_names:
        odd = sorted(set(train.class_names) ^ set(tree.class_names))
        raise DataError(
            f"{train.folder} and {tree.folder} differ in their classes: {_listed(odd)} "
            f"{'is' if len(odd) == 1 else 'are'} in one of them only; every tree needs the same subfolders"
        )


def _listed(names: Sequence[str]) -> str:
    named = list(names[:NUM_NAMED])
    last = f"{len(names) - NUM_NAMED:,} more" if len(names) > NUM_NAMED else named.pop()
    return f"{', '.join(named)} and {last}" if named else last
