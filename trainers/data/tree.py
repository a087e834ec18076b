"""A tree of image files, one subfolder per class: what is in it, and its fingerprint."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from trainers.errors import DataError

# Whole contents up to this size; reading more would cost more than it tells.
MAX_BYTES_READ = 256 * 2**20
NUM_FILES_SAMPLED = 256


@dataclass(frozen=True)
class ImageTree:
    """The images below one folder, classes and files in sorted order (torchvision's ImageFolder order)."""

    folder: Path
    class_names: tuple[str, ...]
    paths: list[Path]
    labels: list[int]


def scan(folder: Path, layout: str) -> ImageTree:
    """List a tree.

    Args:
        folder: holds one subfolder per class.
        layout: what should be there, for the error message.

    Raises:
        DataError: no subfolders, or a class without a single image.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    try:
        class_names, class_to_label = find_classes(str(folder))
        samples: list[tuple[str, int]] = make_dataset(str(folder), class_to_label, extensions=IMG_EXTENSIONS)
    except FileNotFoundError as error:
        raise DataError(f"{folder.resolve()} is not an image tree: {error}; {layout}") from error
    return ImageTree(folder, tuple(class_names), [Path(path) for path, _ in samples], [label for _, label in samples])


def fingerprint(folder: Path) -> str:
    """Digest of all image files below a folder: 20 hex digits.

    Over every file's relative path and size, and over contents: of all files if they are below 256 MiB together,
    else of 256 files spread evenly over the sorted list. So a file added, removed, renamed or resized is always
    noticed; an edit in a large set that keeps a file's size may not be.

    Raises:
        DataError: there is no image below the folder, or a file can't be read.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS

    # os.walk, because like `scan` it follows links to folders.
    found = (Path(root) / name for root, _, names in os.walk(folder, followlinks=True) for name in names)
    files = sorted(path for path in found if path.suffix.lower() in IMG_EXTENSIONS)
    if not files:
        raise DataError(f"{folder.resolve()} holds no images ({', '.join(IMG_EXTENSIONS)})")
    digest = hashlib.sha256()
    try:
        sizes = [path.stat().st_size for path in files]
        for path, size in zip(files, sizes, strict=True):
            digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        stride = 1 if sum(sizes) <= MAX_BYTES_READ else -(-len(files) // NUM_FILES_SAMPLED)
        for path in files[::stride]:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise DataError(f"an image file can't be read: {error}") from error
    return digest.hexdigest()[:20]
