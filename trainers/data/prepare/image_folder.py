"""A published tree of image files, one subfolder per class, as torchvision lists it."""

from dataclasses import dataclass
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

from trainers.errors import DataError


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
    try:
        class_names, class_to_label = find_classes(str(folder))
        samples: list[tuple[str, int]] = make_dataset(str(folder), class_to_label, extensions=IMG_EXTENSIONS)
    except FileNotFoundError as error:
        raise DataError(f"{folder.resolve()} is not an image tree: {error}; {layout}") from error
    return ImageTree(folder, tuple(class_names), [Path(path) for path, _ in samples], [label for _, label in samples])
