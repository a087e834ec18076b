"""Any folder of images: one subfolder per class, or train/val/test trees of such."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from trainers.counted import counted
from trainers.data.account import DataAccount
from trainers.data.augmentation import Augmentation
from trainers.data.copies import seek_copies
from trainers.data.dataset import Dataset
from trainers.data.fingerprint import fingerprint
from trainers.data.folder_layout import LAYOUT, FolderContents, read_folder
from trainers.data.jpeg import JpegDecoding, shorter_side_px
from trainers.data.scored_view import ScoredView
from trainers.data.splitting import Positions, SplitSizes, stratified_order
from trainers.data.survey import Survey
from trainers.errors import DataError
from trainers.fence import reach_folder

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.data.image_file import FileSplit
    from trainers.data.splits import Splits


class _Parts(NamedTuple):
    """Indices of the images of each split, among all images of all trees."""

    train: Positions
    val: Positions
    test: Positions


class FolderConfig(Dataset):
    """An ImageFolder tree (split by seed), or a folder with `train/`, `val/` and `test/` trees (used as they are).

    Transparent images are laid on white; of animated ones the first frame is read.
    """

    reads_files: ClassVar[bool] = True

    kind: Literal["folder"] = "folder"
    path: str = Field(min_length=1)
    """The folder; `~` is the home of whoever trains, a relative path starts at the runtime's data root."""
    val_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of images for validation, where there is no `val/` tree."""
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of images for test, where there is no `test/` tree."""
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    """Which images go into which split."""
    exif: Literal["ignore", "apply"] = "ignore"
    """Whether images are turned and mirrored as EXIF says (`apply`), or read as they are stored (`ignore`), as timm and
    torchvision do."""
    jpeg: JpegDecoding = Field(default="full", exclude_if=lambda value: value == "full")
    """`scaled` decodes a JPEG at a half, a quarter or an eighth of its side, whose shorter one keeps twice that of the
    model's input: quicker for photographs of 1,000 pixels and more, and other pixels than `full` gives."""

    @property
    def label(self) -> str:
        """Short name for tables: the folder's own."""
        suffix = f"-split{self.split_seed}" if self.split_seed else ""
        name = Path(self.path).name
        # `..` is not a name; and in a URL it means another page.
        return f"{name if name.strip('.') else 'folder'}{suffix}"

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of all images that are read: see `trainers.data.fingerprint`.

        Raises:
            DataError: as `load`.
        """
        contents = read_folder(self._folder(data_root))
        return fingerprint(contents.folder, contents.files).text

    def survey(self, data_root: Path | None) -> Survey:
        """What lies in the folder; decodes no image.

        Raises:
            DataError: as `load`.
        """
        from trainers.data.image_header import count_headers

        contents = read_folder(self._folder(data_root))
        files, labels, parts = contents.files, _labels(contents), self._split(contents)
        digest = fingerprint(contents.folder, files)
        train, *scored = ([files[index] for index in part] for part in parts)
        copies = seek_copies(train, [file for part in scored for file in part], digest.sha256)
        headers = count_headers(files)
        sizes = SplitSizes(*map(len, parts))
        found = contents.passed_over
        account = DataAccount(
            num_classes=len(contents.class_names),
            num_images=sizes,
            other_files=dict(sorted(found.other_files.items())),
            num_hidden=found.num_hidden,
            num_outside=found.num_outside,
            num_repeated=found.num_repeated,
            num_nested=sum(tree.num_nested for tree in contents.trees.values()),
            num_unscored_classes=len(set(labels.tolist()) - set(labels[parts.test].tolist())),
            num_copies=copies.number,
            num_sought=copies.num_sought if copies.num_sought < sizes.val + sizes.test else None,
            num_turned=headers.num_turned,
            is_turned_as_shown=self.exif == "apply",
            num_with_alpha=headers.num_with_alpha,
            num_animated=headers.num_animated,
            unreadable=headers.unreadable,
            num_looked_at=headers.num_looked_at if headers.num_looked_at < len(files) else None,
        )
        return Survey(digest.text, sizes, account)

    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: Augmentation,
        seed: int,
        view: ScoredView | None = None,
    ) -> "Splits":
        """The splits; images are read when a batch needs them.

        Args:
            data_root: where a relative path starts (`None`: the current folder).
            input_size_px: side of the model's input.
            augmentation: random changes to training images.
            seed: the trial's seed, for the augmentation stream.
            view: of images that are scored (`None`: the usual one).

        Raises:
            DataError: the folder is missing, has another layout (see `read_folder`), or a split would be empty.
        """
        import torch

        from trainers.data.image_file import CenterCrop, FileSplit
        from trainers.data.splits import Splits

        contents = read_folder(self._folder(data_root))
        files, labels = contents.files, torch.from_numpy(_labels(contents))
        crop = CenterCrop(input_size_px, view)
        augment = augmentation.build(input_size_px=input_size_px, seed=seed)
        train, val, test = (torch.from_numpy(part) for part in self._split(contents))
        keep_px = shorter_side_px(self.jpeg, input_size_px)

        def split(indices: "Tensor") -> "FileSplit":
            chosen = [files[index].path for index in indices.tolist()]
            changes = augment if indices is train else None
            return FileSplit(
                chosen, labels[indices], indices, crop, changes, turn=self.exif == "apply", keep_px=keep_px
            )

        return Splits(train=split(train), val=split(val), test=split(test), class_names=contents.class_names)

    def _folder(self, data_root: Path | None) -> Path:
        return reach_folder(self.path, data_root, expected=LAYOUT)

    def _split(self, contents: FolderContents) -> _Parts:
        """Indices of train, val and test, of all images of all trees in order."""
        trees = contents.trees
        labels = np.array(trees["train"].labels)
        order = stratified_order(labels, seed=self.split_seed)
        num_val = 0 if "val" in trees else int(self.val_fraction * len(labels))
        num_test = 0 if "test" in trees else int(self.test_fraction * len(labels))
        val, test, train = np.split(order, [num_val, num_val + num_test])
        train, val, test = _with_every_class(labels, train, val, test)
        start = len(labels)
        for name in ("val", "test"):
            if name in trees:
                indices = np.arange(start, start + len(trees[name].labels))
                start += len(indices)
                val, test = (indices, test) if name == "val" else (val, indices)
        for name, part in (("training", train), ("validation", val), ("test", test)):
            if len(part) == 0:
                are = counted(len(labels), "image is", "images are")
                raise DataError(
                    f"the {name} split of {contents.folder} is empty: {are} too few for "
                    f"val_fraction {self.val_fraction} and test_fraction {self.test_fraction}"
                )
        return _Parts(train, val, test)


def _labels(contents: FolderContents) -> Positions:
    return np.array([label for tree in contents.trees.values() for label in tree.labels], dtype=np.int64)


def _with_every_class(labels: Positions, train: Positions, val: Positions, test: Positions) -> _Parts:
    """Give training one image of each class that the cut has left without: a class that is never seen can't be known.

    Where every class has one, as in all but tiny classes, the cut stays as it is.
    """
    unseen = set(labels.tolist()) - set(labels[train].tolist())
    if not unseen:
        return _Parts(train, val, test)
    scored = np.concatenate([val, test])
    # The last of each: the next that training would have got.
    moved = np.array([scored[labels[scored] == label][-1] for label in sorted(unseen)])
    return _Parts(np.concatenate([train, moved]), val[~np.isin(val, moved)], test[~np.isin(test, moved)])
