"""ImageNet-1K in folders: `train/` with one folder per class, `val/` likewise or flat with Kaggle's list."""

import csv
from pathlib import Path

from trainers.data.prepare.image_folder import ImageTree, scan
from trainers.data.prepare.published_set import ListedImage, Listing
from trainers.data.stored_image import StoredImage
from trainers.errors import DataError

LAYOUT = "expected one folder of images per class, such as n01440764"
SOLUTION = "LOC_val_solution.csv"
SOLUTION_PLACES = 4
"""Kaggle's archive has the list beside `ILSVRC/`, three folders above `train/` and `val/`."""


def list_folder(folder: Path, root: Path) -> Listing:
    """Training images in ImageFolder order, then validation images likewise.

    Raises:
        DataError: a tree has another layout, or the trees differ in their classes.
    """
    train = scan(folder / "train", LAYOUT)
    images = _listed(train, folder, "train")
    val = folder / "val"
    if any(entry.is_dir() for entry in val.iterdir()):
        tree = scan(val, LAYOUT)
        _require_same_classes(train.class_names, tree.class_names, str(val))
        images += _listed(tree, folder, "val")
    else:
        images += _flat(val, folder, root, train.class_names)
    return Listing(folder, train.class_names, images)


def _listed(tree: ImageTree, folder: Path, part: str) -> list[ListedImage]:
    return [
        ListedImage(StoredImage(path.relative_to(folder).as_posix()), label, part)
        for path, label in zip(tree.paths, tree.labels, strict=True)
    ]


def _flat(val: Path, folder: Path, root: Path, class_names: tuple[str, ...]) -> list[ListedImage]:
    """Images of a flat `val/`, by class, then name, as the sorted tree would have them."""
    places = [root, *folder.absolute().parents[: SOLUTION_PLACES - 1], folder]
    solution = next((place / SOLUTION for place in places if (place / SOLUTION).is_file()), None)
    if solution is None:
        raise DataError(
            f"{val.absolute()} has no folders of classes, and there is no {SOLUTION} to tell them: sort the images "
            f"into folders ({LAYOUT}), or put Kaggle's {SOLUTION} into {root.absolute()}"
        )
    rows = _solution_rows(solution)
    _require_same_classes(class_names, tuple(sorted({class_name for _, class_name in rows})), str(solution))
    rows.sort(key=lambda row: (row[1], row[0]))
    labels = {class_name: label for label, class_name in enumerate(class_names)}
    return [ListedImage(StoredImage(f"{val.name}/{name}.JPEG"), labels[class_name], "val") for name, class_name in rows]


def _solution_rows(file: Path) -> list[tuple[str, str]]:
    """Image and class of lines such as `ILSVRC2012_val_00048981,n03995372 85 1 499 272` (a class and its boxes)."""
    with file.open(newline="") as opened:
        lines = list(csv.reader(opened))[1:]
    rows = []
    for number, line in enumerate(lines, start=2):
        if len(line) != 2 or not line[1].split():
            raise DataError(
                f"line {number} of {file} is {','.join(line)!r}; expected an image and its class, such as "
                "'ILSVRC2012_val_00048981,n03995372 85 1 499 272'"
            )
        rows.append((line[0], line[1].split()[0]))
    return rows


def _require_same_classes(train: tuple[str, ...], other: tuple[str, ...], name: str) -> None:
    if train != other:
        odd = sorted(set(train) ^ set(other))
        raise DataError(
            f"train/ and {name} differ in their classes: {', '.join(odd[:10])} {'is' if len(odd) == 1 else 'are'} in "
            "one of them only"
        )
