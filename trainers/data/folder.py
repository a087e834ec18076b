"""Any folder of images: one subfolder per class, or train/val/test trees of such."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from trainers.data.augmentation import AugmentationConfig
from trainers.data.splitting import Positions, SplitSizes, stratified_order
from trainers.data.tree import ImageTree, fingerprint, scan
from trainers.errors import DataError
from trainers.strict import StrictModel

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.data.image_file import FileSplit
    from trainers.data.splits import Splits

LAYOUT = (
    "expected one subfolder of images per class (<folder>/cat/1.jpg, <folder>/dog/2.jpg), or such trees under "
    "<folder>/train, <folder>/val and <folder>/test"
)

_OTHER_NAMES_OF_VAL = ("valid", "validation")


class FolderConfig(StrictModel):
    """An ImageFolder tree (split by seed), or a folder with `train/`, `val/` and `test/` trees (used as they are)."""

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1)
    """The folder; a relative path starts at the runtime's data root."""
    val_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of images for validation, where there is no `val/` tree."""
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of images for test, where there is no `test/` tree."""
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    """Which images go into which split."""

    @property
    def label(self) -> str:
        """Short name for tables: the folder's own."""
        suffix = f"-split{self.split_seed}" if self.split_seed else ""
        name = Path(self.path).name
        # `..` is no name; and in a URL it means another page.
        return f"{name if name.strip('.') else 'folder'}{suffix}"

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of the tree: see `trainers.data.tree.fingerprint`.

        Raises:
            DataError: there is no such folder, or it holds no images.
        """
        return fingerprint(self._folder(data_root))

    def sizes(self, data_root: Path | None) -> SplitSizes:
        """Images of each split; lists the folder, opens no image.

        Raises:
            DataError: as `load`.
        """
        folder = self._folder(data_root)
        trees = self._trees(folder)
        labels = np.array([label for tree in trees for label in tree.labels])
        return SplitSizes(*(len(part) for part in self._split(folder, trees, labels)))

    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: AugmentationConfig,
        seed: int,
    ) -> "Splits":
        """The splits; images are read when a batch needs them.

        Args:
            data_root: where a relative path starts (`None`: the current folder).
            input_size_px: side of the model's input.
            augmentation: random changes to training images.
            seed: the trial's seed, for the augmentation stream.

        Raises:
            DataError: the folder is missing, has another layout, or its trees differ in their classes.
        """
        import torch

        from trainers.data.image_file import CenterCrop, FileSplit
        from trainers.data.splits import Splits

        folder = self._folder(data_root)
        trees = self._trees(folder)
        paths = [path for tree in trees for path in tree.paths]
        labels = torch.tensor([label for tree in trees for label in tree.labels])
        crop = CenterCrop(input_size_px)
        augment = augmentation.build(input_size_px=input_size_px, seed=seed)
        train, val, test = (torch.from_numpy(part) for part in self._split(folder, trees, labels.numpy()))

        def split(indices: "Tensor") -> "FileSplit":
            chosen = [paths[index] for index in indices.tolist()]
            return FileSplit(chosen, labels[indices], indices, crop, augment if indices is train else None)

        return Splits(train=split(train), val=split(val), test=split(test), class_names=trees[0].class_names)

    def _folder(self, data_root: Path | None) -> Path:
        folder = (data_root or Path()) / self.path
        if not folder.is_dir():
            where = f"data root {data_root.resolve()}" if data_root else f"current folder {Path.cwd()}"
            raise DataError(f"no folder {folder.resolve()} (path {self.path!r}, from the {where}); {LAYOUT}")
        return folder

    def _trees(self, folder: Path) -> tuple[ImageTree, ...]:
        """The whole folder as one tree, or its train, val and test trees (val and test where they exist)."""
        if not _has_subfolders(folder / "train"):
            return (scan(folder, LAYOUT),)
        for other_name in _OTHER_NAMES_OF_VAL:
            # Else it would be ignored in silence, and validation cut from training.
            if _has_subfolders(folder / other_name):
                raise DataError(f"{folder / other_name} should be called {folder / 'val'}: rename it; {LAYOUT}")
        train = scan(folder / "train", LAYOUT)
        others = [scan(folder / name, LAYOUT) for name in ("val", "test") if (folder / name).is_dir()]
        for tree in others:
            if tree.class_names != train.class_names:
                missing = sorted(set(train.class_names) ^ set(tree.class_names))
                raise DataError(
                    f"{train.folder} and {tree.folder} differ in their classes: {', '.join(missing[:10])} "
                    f"{'is' if len(missing) == 1 else 'are'} in one of them only; every tree needs the same subfolders"
                )
        return (train, *others)

    def _split(
        self, folder: Path, trees: Sequence[ImageTree], labels: Positions
    ) -> tuple[Positions, Positions, Positions]:
        """Indices of train, val and test, of all images of all trees in order."""
        has = {tree.folder.name: tree for tree in trees[1:]}
        num_first = len(trees[0].paths)
        order = stratified_order(labels[:num_first], seed=self.split_seed)
        num_val = 0 if "val" in has else int(self.val_fraction * num_first)
        num_test = 0 if "test" in has else int(self.test_fraction * num_first)
        val, test, train = np.split(order, [num_val, num_val + num_test])
        start = num_first
        for name, tree in has.items():
            indices = np.arange(start, start + len(tree.paths))
            start += len(tree.paths)
            val, test = (indices, test) if name == "val" else (val, indices)
        for name, part in (("training", train), ("validation", val), ("test", test)):
            if len(part) == 0:
                raise DataError(
                    f"the {name} split of {folder} is empty: {num_first} images are too few for val_fraction "
                    f"{self.val_fraction} and test_fraction {self.test_fraction}"
                )
        return train, val, test


def _has_subfolders(folder: Path) -> bool:
    return folder.is_dir() and any(entry.is_dir() for entry in folder.iterdir())
