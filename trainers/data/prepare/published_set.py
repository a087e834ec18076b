"""What is known of a data set before one looks: its counts, its layout on disk, where people get it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainers.data.dataset import Dataset
from trainers.data.splitting import SplitSizes
from trainers.data.stored_image import StoredImage
from trainers.errors import DataError

PACKED = (".tar", ".tar.gz", ".tgz", ".zip")


class ListedImage(NamedTuple):
    """One image that a set's own lists or folders name."""

    stored: StoredImage
    label: int
    part: str
    """The publisher's part: `train`, `test`, ...; `all` where there are none."""


class Listing(NamedTuple):
    """All images of a set, in the order that numbers them."""

    folder: Path
    """Where the images' paths start."""
    class_names: tuple[str, ...]
    """In the order of the labels."""
    images: list[ListedImage]


class NamedImage(NamedTuple):
    """An image whose class is known by name."""

    class_name: str
    path: str
    part: str


def in_class_order(folder: Path, images: Iterable[NamedImage], class_names: Iterable[str] = ()) -> Listing:
    """The listing that torchvision's ImageFolder would make of one folder per class: sorted by class, then by path.

    Args:
        folder: where paths start.
        images: in any order, each a file of its own.
        class_names: classes that must have a label even if no image is of them.
    """
    ordered = sorted(images)
    names = tuple(sorted({*class_names, *(image.class_name for image in ordered)}))
    labels = {name: label for label, name in enumerate(names)}
    listed = [ListedImage(StoredImage(image.path), labels[image.class_name], image.part) for image in ordered]
    return Listing(folder, names, listed)


@dataclass(frozen=True)
class OfficialParts:
    """The publisher's parts are the splits; validation is cut from the training part."""

    train: str
    test: str
    val_fraction: float


@dataclass(frozen=True)
class ImagesPerClass:
    """The publisher names no split: so many training images of each class, drawn by seed, and the others for test."""

    num_train_per_class: int
    val_fraction: float


@dataclass(frozen=True)
class PublishedSet:
    """A data set as its publisher describes it."""

    name: str
    title: str
    num_classes: int
    num_images: Mapping[str, int]
    """Part -> images in it."""
    official: OfficialParts | ImagesPerClass
    paper_counts: tuple[int, int, int] | None
    """Images of training, validation and test in the paper (`None`: the paper does not cut this set)."""
    source: str
    """Where people get it."""
    layout: str
    """What lies where once it is unpacked."""
    list_images: Callable[["PublishedSet", Path], Listing]
    """Reads the layout below a folder.

    Raises:
        DataError: it is not there, or contradicts itself.
    """
    dataset: Callable[[str], Dataset] | None = None
    """Of a set with masks or objects: what reads it in the folder of this path, and splits it as a manifest tells
    (`None`: the manifest is read)."""

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols that this set can be prepared for."""
        return ("official",) if self.paper_counts is None else ("official", "paper")

    def sizes(self, protocol: str) -> SplitSizes:
        """Images of each split that the whole set makes under one of its protocols."""
        if protocol == "paper" and self.paper_counts is not None:
            return SplitSizes(*self.paper_counts)
        official = self.official
        if isinstance(official, OfficialParts):
            num_train, num_test = self.num_images[official.train], self.num_images[official.test]
        else:
            num_train = official.num_train_per_class * self.num_classes
            num_test = sum(self.num_images.values()) - num_train
        num_val = int(official.val_fraction * num_train)
        return SplitSizes(num_train - num_val, num_val, num_test)


def locate(published: PublishedSet, root: Path, inner_folders: Iterable[str], needed: Iterable[str]) -> Path:
    """The folder that holds a set: `root` itself or one of the folders that its archives unpack to.

    Args:
        published: the set, for the message.
        root: what the user named.
        inner_folders: below `root`, `.` for itself.
        needed: files and folders that must be there.

    Raises:
        DataError: says where it was looked for, what should be there, where people get it and what to type.
    """
    needed = tuple(needed)
    candidates = [root / inner for inner in inner_folders]
    for candidate in candidates:
        if all((candidate / name).exists() for name in needed):
            return candidate
    # The folder that comes nearest tells what is missing.
    best = max(candidates, key=lambda candidate: sum((candidate / name).exists() for name in needed))
    lacking = [name for name in needed if not (best / name).exists()]
    raise DataError(absence(published, root, candidates, f"{best.absolute()} lacks {', '.join(lacking)}"))


def absence(published: PublishedSet, root: Path, looked_in: Iterable[Path], found: str) -> str:
    """What to say where a set is not there."""
    lines = [f"{published.title} is not below {root.absolute()}"]
    if not root.is_dir():
        lines.append(f"  found          no folder {root.absolute()}")
    else:
        lines.append(f"  found          {found}")
        names = (entry.relative_to(root).as_posix() for pattern in ("*", "*/*") for entry in root.glob(pattern))
        packed = sorted(name for name in names if name.endswith(PACKED))
        if packed:
            lines.append(f"  still packed   {', '.join(packed[:5])}: unpack first")
    lines.append(f"  looked in      {', '.join(str(folder.absolute()) for folder in looked_in)}")
    lines.append("  expected")
    lines.extend(f"    {line}" for line in published.layout.strip("\n").splitlines())
    lines.append(f"  get it from    {published.source}")
    protocols = "|".join(published.protocols)
    lines.append(f"  then type      sigmalab data prepare {published.name} --root <folder> --protocol {protocols}")
    return "\n".join(lines)
