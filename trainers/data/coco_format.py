"""Any data set in COCO's format: files of images with objects, and folders of these images."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from trainers.counted import counted
from trainers.data.account import DataAccount
from trainers.data.augmentation import Augmentation
from trainers.data.coco_index import CocoIndex
from trainers.data.coco_layout import LAYOUT, CocoContents, read_contents
from trainers.data.copies import seek_copies
from trainers.data.dataset import Dataset
from trainers.data.fingerprint import content_digest, fingerprint
from trainers.data.missing_folder import missing_folder
from trainers.data.scored_view import ScoredView
from trainers.data.split_names import SplitName
from trainers.data.splitting import Share, SplitSizes, shared_out
from trainers.data.survey import Survey
from trainers.errors import DataError
from trainers.fence import reach_folder
from trainers.strict import StrictModel

if TYPE_CHECKING:
    from trainers.data.coco_split import CocoSplit
    from trainers.data.splits import Splits


def _below(name: str) -> str:
    if name != "." and any(part in ("", ".", "..") or "\0" in part for part in name.split("/")):
        raise ValueError(f"{name!r} is not below `path`; write it without a slash at its ends, `.` and `..`")
    return name


Below = Annotated[str, AfterValidator(_below)]
"""A file or folder in the data set's folder; `.` is that folder itself."""


class CocoPart(StrictModel):
    """A file in COCO's format, and the folder of its images."""

    annotations_file: Below = "annotations.json"
    """The file of instances, below `path`."""
    images_folder: Below = "images"
    """Where its `file_name` start, below `path` (`.`: there)."""


class CocoFormatConfig(Dataset):
    """Images with objects as COCO's files of instances have them: polygons or run lengths, crowds, images with none.

    Classes are the file's categories by ascending id, whatever gaps the ids have. Crowds are not learned, and what is
    found in one is neither right nor wrong.
    """

    targets: ClassVar[Literal["class", "mask", "objects"]] = "objects"
    reads_files: ClassVar[bool] = True
    libraries: ClassVar[tuple[str, ...]] = ("faster-coco-eval",)

    kind: Literal["coco_format"] = "coco_format"
    path: str = Field(min_length=1)
    """The folder; `~` is the home of whoever trains, a relative path starts at the runtime's data root."""
    train: CocoPart = CocoPart()
    """What is trained on; or all images, where nothing is split."""
    val: CocoPart | None = None
    """What is validated on (`null`: a share of `train`)."""
    test: CocoPart | None = None
    """What is tested on (`null`: a share of `train`). Of COCO `val2017` is, as everybody reports."""
    val_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of the training images for validation, where it has no part."""
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of the training images for test, where it has no part."""
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    """Which images go into which split."""
    without_area: Literal["refuse", "leave_out"] = "refuse"
    """What to do about objects of which nothing can be found: with a box or a polygon without area, or no outline."""
    exif: Literal["ignore", "apply"] = "ignore"
    """Whether images are turned as EXIF says, if their objects were outlined so, or read as they are stored."""

    @property
    def label(self) -> str:
        """Short name for tables: the folder's own."""
        name = Path(self.path).name
        suffix = f"-split{self.split_seed}" if self.split_seed else ""
        # `..` is not a name; and in a URL it means another page.
        return f"{name if name.strip('.') else 'coco'}{suffix}"

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of the files, and of all images that they name (see `trainers.data.fingerprint`).

        Raises:
            DataError: as `load`.
        """
        folder = self._folder(data_root)
        return self._identity(folder, self._read(folder))[0]

    def survey(self, data_root: Path | None) -> Survey:
        """What the files say, and what lies in the folders; decodes no image.

        Raises:
            DataError: as `load`, or an image is of another size than its file says.
        """
        from trainers.data.image_header import count_headers

        folder = self._folder(data_root)
        contents = self._read(folder)
        shares, images = self._shares(contents), contents.images
        identity, sha256 = self._identity(folder, contents)
        train, *scored = ([images[index] for index in share.indices.tolist()] for share in shares)
        copies = seek_copies(train, [image for part in scored for image in part], sha256)
        headers = count_headers(images)
        if self.exif == "ignore":
            _require_said_sizes(contents, headers.sizes_px)
        sizes = SplitSizes(*(len(share.rows) for share in shares))
        tally = contents.tally()
        account = DataAccount(
            num_classes=len(contents.parts["train"].annotations.class_names),
            num_images=sizes,
            num_objects=tally.num_objects,
            num_crowds=tally.num_crowds,
            num_empty_images=tally.num_empty_images,
            num_left_out=tally.num_left_out,
            num_unnamed=contents.num_unnamed,
            other_files=dict(sorted(contents.passed_over.other_files.items())),
            num_hidden=contents.passed_over.num_hidden,
            num_repeated=contents.passed_over.num_repeated,
            num_copies=copies.number,
            num_sought=copies.num_sought if copies.num_sought < sizes.val + sizes.test else None,
            num_turned=headers.num_turned,
            is_turned_as_shown=self.exif == "apply",
            num_with_alpha=headers.num_with_alpha,
            num_animated=headers.num_animated,
            unreadable=headers.unreadable,
            num_looked_at=headers.num_looked_at if headers.num_looked_at < len(images) else None,
        )
        return Survey(identity, sizes, account)

    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: Augmentation,
        seed: int,
        view: ScoredView | None = None,
    ) -> "Splits":
        """The splits; images are read, and outlines filled, when a batch needs them.

        Args:
            data_root: where a relative path starts (`None`: the current folder).
            input_size_px: side of the model's input.
            augmentation: random changes to training images, which move objects.
            seed: the trial's seed, for the augmentation stream.
            view: how large images are that are scored, or trained on without an augmentation.

        Raises:
            DataError: a folder or file is missing or broken (see `read_contents`), objects have no area, or a split
                would be empty.
        """
        import torch

        from trainers.data.coco_split import CocoSplit
        from trainers.data.splits import Splits

        contents = self._read(self._folder(data_root))
        augment = augmentation.build(input_size_px=input_size_px, seed=seed)

        def split(share: Share, *, is_scored: bool) -> "CocoSplit":
            part = contents.parts[share.part]
            return CocoSplit(
                part.annotations,
                share.rows,
                [part.images[row].path for row in share.rows.tolist()],
                torch.from_numpy(share.indices),
                None if is_scored else augment,
                turn=self.exif == "apply",
                input_size_px=input_size_px,
                is_scored=is_scored,
                view=view,
            )

        train, val, test = self._shares(contents)
        return Splits(
            train=split(train, is_scored=False),
            val=split(val, is_scored=True),
            test=split(test, is_scored=True),
            class_names=contents.parts[train.part].annotations.class_names,
        )

    def missing_publication(self, data_root: Path | None) -> str | None:
        """See `missing_folder`."""
        return missing_folder(self.path, data_root, label=self.label)

    def _folder(self, data_root: Path | None) -> Path:
        return reach_folder(self.path, data_root, expected=LAYOUT)

    def _read(self, folder: Path) -> CocoContents:
        named: dict[SplitName, CocoPart | None] = {"train": self.train, "val": self.val, "test": self.test}
        contents = read_contents(
            folder, {split: (part.annotations_file, part.images_folder) for split, part in named.items() if part}
        )
        if self.without_area == "refuse":
            for part in contents.parts.values():
                _require_areas(part.annotations)
        return contents

    def _identity(self, folder: Path, contents: CocoContents) -> tuple[str, dict[str, bytes]]:
        """Fingerprint, and the digests of images that were taken for it."""
        read = fingerprint(str(folder), contents.images)
        files = (content_digest(str(part.annotations.file)).hex() for part in contents.parts.values())
        return hashlib.sha256("\n".join((read.text, *files)).encode()).hexdigest()[:20], read.sha256

    def _shares(self, contents: CocoContents) -> tuple[Share, Share, Share]:
        return shared_out(
            {split: len(part.images) for split, part in contents.parts.items()},
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.split_seed,
            name=self.path,
        )


def _require_said_sizes(contents: CocoContents, sizes_px: Mapping[str, tuple[int, int]]) -> None:
    """Refuse images of another size than their file says, as far as their headers were read."""
    from trainers.data.coco_split import require_said_size

    for part in contents.parts.values():
        for image, (height, width) in zip(part.images, part.annotations.sizes_px.tolist(), strict=True):
            if image.path in sizes_px:
                require_said_size(image.path, sizes_px[image.path], (width, height), part.annotations)


def _require_areas(index: CocoIndex) -> None:
    num_without = int((~index.has_area).sum())
    if num_without:
        more = f" ({counted(num_without - 1, 'more is so', 'more are so')})" if num_without > 1 else ""
        raise DataError(
            f"{index.first_without_area}{more}: nothing can be found of it; mend or remove it, or set `without_area` "
            'to "leave_out"'
        )
