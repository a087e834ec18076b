"""Any folder of images with masks: the class of each pixel."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from trainers.data.account import DataAccount
from trainers.data.augmentation import Augmentation
from trainers.data.copies import seek_copies
from trainers.data.dataset import Dataset
from trainers.data.fingerprint import Fingerprint, fingerprint
from trainers.data.mask_folder_layout import LAYOUT, MaskFolderContents, read_mask_folder
from trainers.data.missing_folder import missing_folder
from trainers.data.scored_view import ScoredView
from trainers.data.split_names import SplitName
from trainers.data.splitting import Positions, SplitSizes, shared_out
from trainers.data.survey import Survey
from trainers.errors import DataError
from trainers.fence import is_file, reach, reach_folder

if TYPE_CHECKING:
    from trainers.data.mask_file import MaskFileSplit, MaskValues
    from trainers.data.splits import Splits

CLASSES_FILE = "classes.txt"
MAX_CLASSES = 255
"""Ids are bytes, and 255 is no class."""


def _below(name: str) -> str:
    if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
        raise ValueError(f"{name!r} is not a folder below `path`; write it without a slash at its ends, `.` and `..`")
    return name


FolderName = Annotated[str, AfterValidator(_below)]
"""Below the data set's folder."""
Parts = tuple[Positions, Positions, Positions]


class MaskFolderConfig(Dataset):
    """Two trees that mirror each other, `images/` and `masks/`, with train, val and test in both, or split by seed.

    Masks are palette or grey images of 8 bits whose values are class ids; 255 is no class.
    """

    targets: ClassVar[Literal["class", "mask"]] = "mask"
    reads_files: ClassVar[bool] = True

    kind: Literal["mask_folder"] = "mask_folder"
    path: str = Field(min_length=1)
    """The folder; `~` is the home of whoever trains, a relative path starts at the runtime's data root."""
    images: FolderName = "images"
    """The tree of images in it."""
    masks: FolderName = "masks"
    """The tree of masks in it (ADE20K: `annotations`)."""
    train_folder: FolderName | None = None
    """What the training split is called in both trees (`null`: train, training, ...)."""
    val_folder: FolderName | None = None
    """What the validation split is called (`null`: val, validation, ...)."""
    test_folder: FolderName | None = None
    """What the test split is called (`null`: test, ...). Of ADE20K `validation` is tested on, as everybody reports."""
    class_names: tuple[str, ...] = ()
    """The classes, in the order of their ids; empty: the lines of `classes.txt` in the folder."""
    ignore: tuple[Annotated[int, Field(ge=0, le=255)], ...] = ()
    """Values of masks that are no class: neither learned nor scored, as 255 is."""
    zero_is_ignored: bool = False
    """Whether 0 is no class and 1 the first one, as in ADE20K."""
    val_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of training images for validation, where it has no folder."""
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of training images for test, where it has no folder."""
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    """Which images go into which split."""
    exif: Literal["ignore", "apply"] = "ignore"
    """Whether images are turned as EXIF says, if their masks were drawn so, or read as they are stored."""

    @model_validator(mode="after")
    def _classes_are_named_once(self) -> Self:
        if self.class_names:
            _require_names(self.class_names)
        return self

    @property
    def label(self) -> str:
        """Short name for tables: the folder's own."""
        name = Path(self.path).name
        suffix = f"-split{self.split_seed}" if self.split_seed else ""
        # `..` is not a name; and in a URL it means another page.
        return f"{name if name.strip('.') else 'masks'}{suffix}"

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of all images and masks that are read (see `trainers.data.fingerprint`), and of the classes' names.

        Raises:
            DataError: as `load`.
        """
        folder = self._folder(data_root)
        return self._identity(folder, self._files(folder, self._read(folder)))

    def survey(self, data_root: Path | None) -> Survey:
        """What lies in the folder; decodes no image, and a few masks.

        Raises:
            DataError: as `load`, or one of these masks is broken.
        """
        from trainers.data.image_header import count_headers
        from trainers.data.mask_file import look_into_masks

        folder = self._folder(data_root)
        contents, names = self._read(folder), self._names(folder)
        pairs, parts = contents.pairs, self._split(contents)
        read = self._files(folder, contents)
        train, *scored = ([pairs[index].image for index in part] for part in parts)
        copies = seek_copies(train, [file for part in scored for file in part], read.sha256)
        headers = count_headers([pair.image for pair in pairs])
        unreadable = headers.unreadable + count_headers([pair.mask for pair in pairs]).unreadable
        if not unreadable:
            look_into_masks(pairs, self._values(names), turn=self.exif == "apply")
        sizes = SplitSizes(*map(len, parts))
        account = DataAccount(
            num_classes=len(names),
            num_images=sizes,
            other_files=dict(sorted(contents.passed_over.other_files.items())),
            num_hidden=contents.passed_over.num_hidden,
            num_repeated=contents.passed_over.num_repeated,
            num_copies=copies.number,
            num_sought=copies.num_sought if copies.num_sought < sizes.val + sizes.test else None,
            num_turned=headers.num_turned,
            is_turned_as_shown=self.exif == "apply",
            num_with_alpha=headers.num_with_alpha,
            num_animated=headers.num_animated,
            unreadable=unreadable,
            num_looked_at=headers.num_looked_at if headers.num_looked_at < len(pairs) else None,
        )
        return Survey(self._identity(folder, read), sizes, account)

    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: Augmentation,
        seed: int,
        view: ScoredView | None = None,
    ) -> "Splits":
        """The splits; images and masks are read when a batch needs them.

        Args:
            data_root: where a relative path starts (`None`: the current folder).
            input_size_px: side of the model's input.
            augmentation: random changes to training images, which move masks.
            seed: the trial's seed, for the augmentation stream.
            view: not used: images with masks are scored whole.

        Raises:
            DataError: the folder is missing, has another layout (see `read_mask_folder`), names no classes, or a split
                would be empty.
        """
        import torch

        from trainers.data.mask_file import MaskFileSplit
        from trainers.data.splits import Splits

        folder = self._folder(data_root)
        contents, names = self._read(folder), self._names(folder)
        pairs, values = contents.pairs, self._values(names)
        augment = augmentation.build(input_size_px=input_size_px, seed=seed)
        train, val, test = self._split(contents)

        def split(part: Positions) -> "MaskFileSplit":
            is_scored = part is not train
            return MaskFileSplit(
                [pairs[index] for index in part],
                torch.from_numpy(part),
                None if is_scored else augment,
                values=values,
                turn=self.exif == "apply",
                input_size_px=input_size_px,
                is_scored=is_scored,
            )

        return Splits(train=split(train), val=split(val), test=split(test), class_names=names)

    def missing_publication(self, data_root: Path | None) -> str | None:
        """See `missing_folder`."""
        return missing_folder(self.path, data_root, label=self.label)

    def _folder(self, data_root: Path | None) -> Path:
        return reach_folder(self.path, data_root, expected=LAYOUT)

    def _read(self, folder: Path) -> MaskFolderContents:
        named: dict[SplitName, str | None]
        named = {"train": self.train_folder, "val": self.val_folder, "test": self.test_folder}
        return read_mask_folder(folder, images=self.images, masks=self.masks, split_folders=named)

    def _names(self, folder: Path) -> tuple[str, ...]:
        if self.class_names:
            return self.class_names
        file = reach(str(folder / CLASSES_FILE), None)
        if not is_file(file):
            raise DataError(
                f"no classes are named for {folder}: list them in `class_names`, or in {folder / CLASSES_FILE}, one a "
                "line, in the order of their ids"
            )
        try:
            names = tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())
            _require_names(names)
        except (OSError, ValueError) as error:
            raise DataError(f"{folder / CLASSES_FILE} can't be read as names of classes: {error}") from error
        return names

    def _values(self, names: tuple[str, ...]) -> "MaskValues":
        from trainers.data.mask_file import MaskValues

        return MaskValues(len(names), self.ignore, self.zero_is_ignored)

    def _files(self, folder: Path, contents: MaskFolderContents) -> Fingerprint:
        return fingerprint(str(folder), [file for pair in contents.pairs for file in pair])

    def _identity(self, folder: Path, read: Fingerprint) -> str:
        text = "\n".join((read.text, *self._names(folder)))
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def _split(self, contents: MaskFolderContents) -> Parts:
        """Indices of train, val and test, of all pairs of all trees in order."""
        train, val, test = shared_out(
            {split: len(tree) for split, tree in contents.trees.items()},
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            name=self.path,
        )
        return train.indices, val.indices, test.indices


def _require_names(names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"the class {twice[0]!r} is named twice")
    if not 2 <= len(names) <= MAX_CLASSES:
        raise ValueError(f"{len(names)} classes are named; 2 to {MAX_CLASSES} are possible")
