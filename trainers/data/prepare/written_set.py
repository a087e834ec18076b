"""Generated sets as files, in the layouts of ADE20K and of COCO, read by `mask_folder` and `coco_format`.

Such a set trains to the numbers of the one in memory, where no augmentation asks for the place of an image in its set.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval import mask as rle
from PIL import Image
from pydantic import JsonValue, ValidationError

from trainers.data import shapes, shapes_objects
from trainers.data.coco_format import CocoFormatConfig, CocoPart
from trainers.data.dataset import Dataset
from trainers.data.mask_folder import CLASSES_FILE, MaskFolderConfig
from trainers.data.shapes import ShapesConfig
from trainers.data.shapes_objects import ShapesObjectsConfig
from trainers.data.split_names import SplitName
from trainers.errors import DataError

_ADE_FOLDERS: dict[SplitName, str] = {"train": "training", "val": "validation", "test": "test"}


class _Range(NamedTuple):
    """Indices of a split."""

    split: SplitName
    start: int
    num_images: int


def write_set(kind: str, fields: Sequence[str], folder: Path) -> Callable[[str], Dataset]:
    """Generate a set and write it, whole or not at all.

    Args:
        kind: of the generated set, `shapes` or `shapes_objects`.
        fields: of its config, each `name=value`.
        folder: to be made; it may be there if it is empty.

    Returns:
        What reads it, by the path of the folder in a spec.

    Raises:
        DataError: there is no such set or field, the folder holds something, or can't be written.
    """
    if kind not in _WRITERS:
        raise DataError(f"no set that is called {kind!r} can be written; there are: {', '.join(_WRITERS)}")
    config_class, write = _WRITERS[kind]
    config = _configured(config_class, kind, fields)
    try:
        with _whole(folder) as unfinished:
            return write(config, unfinished)
    except OSError as error:
        raise DataError(f"{error.filename or folder} can't be written: {error.strerror or error}") from error


def _configured(config_class: type[Dataset], kind: str, fields: Sequence[str]) -> Dataset:
    document: dict[str, Any] = {"kind": kind}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise DataError(f"{field!r} is not of the form FIELD=VALUE, such as num_train=100")
        document[name] = _value(value)
    try:
        return config_class.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        known = ", ".join(each for each in config_class.model_fields if each != "kind")
        hint = f"; its fields are {known}" if first["type"] == "extra_forbidden" else ""
        raise DataError(f"{kind}: {name or 'fields'}: {first['msg']}{hint}") from error


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder beside it, which takes its place at the end."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder.absolute()} is there already; name another folder, or remove it")
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        unfinished.replace(folder.absolute())
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _ranges(config: ShapesConfig | ShapesObjectsConfig, starts: Sequence[int]) -> list[_Range]:
    sizes = (config.num_train, config.num_val, config.num_test)
    splits: tuple[SplitName, ...] = ("train", "val", "test")
    return [_Range(*each) for each in zip(splits, starts, sizes, strict=True)]


def _write_shapes(config: ShapesConfig, folder: Path) -> Callable[[str], Dataset]:
    """ADE20K's two trees; in its masks 0 is no class, and 1 the first one."""
    for split, start, num_images in _ranges(config, shapes.STARTS):
        images, masks = (folder / tree / _ADE_FOLDERS[split] for tree in ("images", "annotations"))
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        pictures = shapes.draw(config, start, num_images)
        for number, (pixels, ids) in enumerate(zip(pictures.pixels, pictures.ids, strict=True)):
            Image.fromarray(pixels).save(images / f"{number:06d}.png")
            Image.fromarray(ids + np.uint8(1)).save(masks / f"{number:06d}.png")
    (folder / CLASSES_FILE).write_text("".join(f"{name}\n" for name in shapes.CLASS_NAMES), "utf-8")
    return lambda path: MaskFolderConfig(path=path, masks="annotations", zero_is_ignored=True)


def _write_objects(config: ShapesObjectsConfig, folder: Path) -> Callable[[str], Dataset]:
    """COCO's files of instances and folders of images; outlines are run lengths, as masks are exact."""
    (folder / "annotations").mkdir()
    parts = {}
    for split, start, num_images in _ranges(config, shapes_objects.STARTS):
        (folder / split).mkdir()
        part = CocoPart(annotations_file=f"annotations/instances_{split}.json", images_folder=split)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in range(num_images):
            drawing = shapes_objects.draw(config, start + number)
            file_name, side = f"{number:06d}.png", config.image_size_px
            Image.fromarray(drawing.pixels).save(folder / split / file_name)
            images.append({"id": number + 1, "file_name": file_name, "height": side, "width": side})
            for class_id, mask in zip(drawing.classes.tolist(), drawing.masks, strict=True):
                if mask.any():
                    annotations.append(
                        {"id": len(annotations) + 1, "image_id": number + 1, "category_id": class_id + 1}
                        | _outlined(mask)
                    )
        categories = [{"id": number + 1, "name": name} for number, name in enumerate(shapes_objects.CLASS_NAMES)]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (folder / part.annotations_file).write_text(json.dumps(document), "utf-8")
        parts[split] = part
    return lambda path: CocoFormatConfig(path=path, train=parts["train"], val=parts["val"], test=parts["test"])


def _outlined(mask: shapes_objects.Mask) -> dict[str, Any]:
    """What COCO says of one object."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top, right, bottom = (int(each) for each in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    written = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "segmentation": {"size": list(mask.shape), "counts": bytes(written["counts"]).decode("ascii")},
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()),
        "iscrowd": 0,
    }


_WRITERS: dict[str, tuple[type[Dataset], Callable[[Any, Path], Callable[[str], Dataset]]]] = {
    "shapes": (ShapesConfig, _write_shapes),
    "shapes_objects": (ShapesObjectsConfig, _write_objects),
}
