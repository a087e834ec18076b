"""What a file in COCO's format says, in a few bytes for each object: where its outline is written, not the outline."""

import json
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from trainers.counted import counted
from trainers.data.coco_outline import Extent, Outline, extent_of
from trainers.data.fingerprint import content_digest
from trainers.data.large_json import Element, LargeJson
from trainers.errors import DataError
from trainers.remembered import Arrays, remembered_arrays

MAX_OUTSIDE_PX = 2.0
"""How far a box or a point may lie outside of its image: tools round, and COCO's own file does so by a pixel."""
_LISTS = ("images", "annotations", "categories")
_EXPECTED = (
    "expected COCO's file of instances: an object with `images` (id, file_name, height, width), `annotations` (id, "
    "image_id, category_id, bbox, segmentation, area, iscrowd) and `categories` (id, name)"
)
_WRONG_ID = "has an id that is not a whole number of at most 64 bits"
_NUM_NAMED = 3
KEPT_BYTES = 16 * 2**20
"""The index of a file of this size is kept on disk: to read COCO's own takes most of a minute."""
_NAMES = ("category_ids", "class_names", "file_names", "first_without_area")

Integers = npt.NDArray[np.int64]


class CocoIndex(NamedTuple):
    """The I images and N objects of one file. Objects of an image stand together, in the file's order."""

    file: Path
    category_ids: tuple[int, ...]
    """Of the classes 0, 1, ...: the file's own numbers, ascending, whatever gaps they have."""
    class_names: tuple[str, ...]
    """In the same order."""
    file_names: tuple[str, ...]
    """[I], below the folder of images."""
    sizes_px: Integers
    """[I, 2] height and width."""
    starts: Integers
    """[I + 1]: the objects of image i are those from `starts[i]` to `starts[i + 1]`."""
    classes: npt.NDArray[np.int32]
    """[N]."""
    boxes: npt.NDArray[np.float64]
    """[N, 4] left, top, width and height, in pixels."""
    areas_px: npt.NDArray[np.float64]
    """[N], by which COCO calls an object small, medium or large (NaN: the file does not say)."""
    is_crowd: npt.NDArray[np.bool_]
    """[N]."""
    has_area: npt.NDArray[np.bool_]
    """[N], whether there is anything to be found of it at all."""
    first_without_area: str
    """One that has none, in words (empty: all have)."""
    places: Integers
    """[N, 2] first byte of the annotation in the file, and the one behind its last."""

    def outlines(self, image: int) -> list[Outline]:
        """The `segmentation` of each object of an image, read now.

        Raises:
            DataError: the file is not what it was.
        """
        first, end = self.starts[image : image + 2].tolist()
        if first == end:
            return []
        try:
            with self.file.open("rb") as file:
                return [_outline(file, *place) for place in self.places[first:end].tolist()]
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(f"{self.file} has changed since it was read: {error}; start again") from error


def _outline(file: BinaryIO, start: int, end: int) -> Outline:
    file.seek(start)
    return json.loads(file.read(end - start)).get("segmentation")


def read_coco(file: Path) -> CocoIndex:
    """Read and check a file; kept in memory as long as it does not change.

    Raises:
        DataError: it can't be read, is not JSON or not COCO's, or contradicts itself.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(f"{file} can't be read: {error.strerror or error}") from error
    return _read(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=3)
def _read(file: Path, modified_ns: int, size: int) -> CocoIndex:
    if size < KEPT_BYTES:
        return _parsed(file)
    # Messages name the file, so two of the same content are kept apart.
    about = f"{content_digest(str(file)).hex()} {file}"
    return _of_arrays(file, remembered_arrays("coco_index", about, lambda: _arrays(_parsed(file))))


def _arrays(index: CocoIndex) -> Arrays:
    """All but the file, for the cache."""
    columns = {name: value for name, value in index._asdict().items() if name not in ("file", *_NAMES)}
    return columns | {name: np.frombuffer(json.dumps(getattr(index, name)).encode(), np.uint8) for name in _NAMES}


def _of_arrays(file: Path, arrays: Arrays) -> CocoIndex:
    written: dict[str, Any] = {name: json.loads(arrays[name].tobytes()) for name in _NAMES}
    names = {name: tuple(value) if isinstance(value, list) else value for name, value in written.items()}
    fields: dict[str, Any] = arrays | names | {"file": file}
    return CocoIndex(**fields)


def _parsed(file: Path) -> CocoIndex:
    text = LargeJson(file)
    images, objects, categories = _Images(text), _Objects(text), _Categories(text)
    takers = {"images": images.take, "annotations": objects.take, "categories": categories.take}
    for element in text.walk(_LISTS):
        if element.member in takers:
            takers[element.member](element)
    if missing := [name for name in _LISTS if name not in text.members]:
        has = ", ".join(text.members[:8]) or "nothing"
        raise DataError(f"{file} has no {' and no '.join(f'`{name}`' for name in missing)} (it has {has}); {_EXPECTED}")
    return _indexed(file, images, objects, categories)


class _Images:
    """What is said of images."""

    def __init__(self, text: LargeJson) -> None:
        self._text = text
        self.ids, self.sizes_px = array("q"), array("q")
        self.file_names: list[str] = []

    def take(self, element: Element) -> None:
        """One more."""
        number, name, height, width = _fields(self._text, element, "image", ("id", "file_name", "height", "width"))
        if not (_is_whole(height) and _is_whole(width) and height > 0 and width > 0):
            wrong = f"is {width!r} x {height!r} pixels, which no image is"
        elif not isinstance(name, str) or not _is_below(name):
            wrong = f"has the file_name {name!r}; expected one below the folder of images"
        else:
            wrong = "" if _is_whole(number) else _WRONG_ID
        if wrong:
            raise DataError(f"{_where(self._text, element, 'image')} {wrong}")
        self.ids.append(number)
        self.sizes_px.extend((height, width))
        self.file_names.append(name)


class _Categories:
    """What is said of classes."""

    def __init__(self, text: LargeJson) -> None:
        self._text = text
        self.names: dict[int, str] = {}

    def take(self, element: Element) -> None:
        """One more."""
        number, name = _fields(self._text, element, "category", ("id", "name"))
        if not isinstance(name, str) or not name.strip():
            wrong = f"has the name {name!r}; expected text"
        elif not _is_whole(number):
            wrong = _WRONG_ID
        else:
            wrong = "has an id that another category has, too" if number in self.names else ""
        if wrong:
            raise DataError(f"{_where(self._text, element, 'category')} {wrong}")
        self.names[number] = name


class _Objects:
    """What is said of objects, column by column: a Python object for each would take a gigabyte."""

    def __init__(self, text: LargeJson) -> None:
        self._text = text
        self.ids, self.image_ids, self.category_ids, self.places = (array("q") for _ in range(4))
        self.boxes, self.areas, self.extents = (array("d") for _ in range(3))
        self.is_crowd, self.is_run_lengths, self.has_area = (array("b") for _ in range(3))
        self.first_without_area = ""

    def take(self, element: Element) -> None:
        """One more."""
        value = element.value
        number, image_id, category_id, box = _fields(
            self._text, element, "annotation", ("id", "image_id", "category_id", "bbox")
        )
        try:
            left, top, width, height = box
            self.boxes.extend((left, top, width, height))
            self.ids.append(number)
            self.image_ids.append(image_id)
            self.category_ids.append(category_id)
            area = value.get("area")
            self.areas.append(np.nan if area is None else area)
            crowd = value.get("iscrowd", 0)
            self.is_crowd.append(crowd)
            extent = extent_of(value.get("segmentation"))
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(self._refused(element, error)) from None
        if crowd not in (0, 1):
            raise DataError(f"{self.where(element)} has iscrowd {crowd!r}; expected 0 or 1")
        lacks = extent.lacks
        if not (width > 0 and height > 0):
            lacks = lacks or f"has a box of {width:g} x {height:g} pixels"
        if lacks and not self.first_without_area:
            self.first_without_area = f"{self.where(element)} {lacks}"
        self._keep(extent, element, has_area=not lacks)

    def _keep(self, extent: Extent, element: Element, *, has_area: bool) -> None:
        self.extents.extend(extent[:4])
        self.is_run_lengths.append(extent.is_run_lengths)
        self.has_area.append(has_area)
        self.places.extend((element.start, element.end))

    def where(self, element: Element) -> str:
        """How messages name it."""
        return _where(self._text, element, "annotation")

    def _refused(self, element: Element, error: Exception) -> str:
        value, where = element.value, self.where(element)
        for name in ("id", "image_id", "category_id"):
            if not _is_whole(value[name]):
                return f"{where} has the {name} {value[name]!r}; ids are whole numbers of at most 64 bits"
        if not _is_box(value["bbox"]):
            return f"{where} has the bbox {value['bbox']!r}; expected [left, top, width, height]"
        if not isinstance(error, ValueError):
            return f"{where} has an `area` or `iscrowd` that is not a number"
        return f"{where}: {error}"

    def place_in_words(self, place: int) -> str:
        """How messages name the object that was taken as this number."""
        line = self._text.line_of(self.places[2 * place])
        return f"annotation {self.ids[place]} (line {line} of {self._text.path})"


def _indexed(file: Path, images: _Images, objects: _Objects, categories: _Categories) -> CocoIndex:
    if not images.file_names or not categories.names:
        what = "images" if categories.names else "categories"
        raise DataError(f"{file} names no {what}; {_EXPECTED}")
    _require_once(file, "images have the id", np.asarray(images.ids))
    _require_once(file, "annotations have the id", np.asarray(objects.ids))
    _require_names(file, images.file_names, "images have the file_name")
    category_ids = tuple(sorted(categories.names))
    class_names = tuple(categories.names[number] for number in category_ids)
    _require_names(file, class_names, "categories have the name")
    of_image = _positions(objects, objects.image_ids, np.asarray(images.ids), "image")
    of_class = _positions(objects, objects.category_ids, np.asarray(category_ids), "category")
    sizes = np.asarray(images.sizes_px).reshape(-1, 2)
    _require_inside(objects, sizes[of_image], lambda place: images.file_names[of_image[place]])
    order = np.argsort(of_image, kind="stable")
    return CocoIndex(
        file=file,
        category_ids=category_ids,
        class_names=class_names,
        file_names=tuple(images.file_names),
        sizes_px=sizes,
        starts=np.searchsorted(of_image[order], np.arange(len(sizes) + 1)).astype(np.int64),
        classes=of_class[order].astype(np.int32),
        boxes=np.asarray(objects.boxes).reshape(-1, 4)[order],
        areas_px=np.asarray(objects.areas)[order],
        is_crowd=np.asarray(objects.is_crowd)[order].astype(np.bool_),
        has_area=np.asarray(objects.has_area)[order].astype(np.bool_),
        first_without_area=objects.first_without_area,
        places=np.asarray(objects.places).reshape(-1, 2)[order],
    )


def _positions(objects: _Objects, spoken_of: Sequence[int], known: Integers, what: str) -> Integers:
    """[N] place of each id among the known ones.

    Raises:
        DataError: an id is not known.
    """
    ids = np.asarray(spoken_of)
    order = np.argsort(known)
    found = np.minimum(np.searchsorted(known[order], ids), len(known) - 1)
    positions: Integers = order[found]
    if len(unknown := np.flatnonzero(known[positions] != ids)):
        first = int(unknown[0])
        plural = {"image": "images", "category": "categories"}[what]
        more = f", and so do {counted(len(unknown) - 1, 'more', 'more')}" if len(unknown) > 1 else ""
        raise DataError(
            f"{objects.place_in_words(first)} speaks of the {what} {ids[first]}, which is not among the `{plural}` of "
            f"the file{more}: are its parts of one set?"
        )
    return positions


def _require_inside(objects: _Objects, sizes_px: Integers, file_name: Callable[[int], str]) -> None:
    """Refuse boxes and outlines that are not their image's.

    Args:
        objects: N of them.
        sizes_px: [N, 2] height and width of each one's image.
        file_name: of the image of an object.
    """
    heights, widths = sizes_px[:, 0], sizes_px[:, 1]
    extents = np.asarray(objects.extents).reshape(-1, 4)
    is_fitting = np.asarray(objects.is_run_lengths).astype(np.bool_)
    has_other_size = is_fitting & ((extents[:, 2] != widths) | (extents[:, 3] != heights))
    if len(wrong := np.flatnonzero(has_other_size)):
        first = int(wrong[0])
        raise DataError(
            f"{objects.place_in_words(first)} has run lengths of {extents[first, 2]:g} x {extents[first, 3]:g} pixels, "
            f"and its image {file_name(first)} is {widths[first]} x {heights[first]}"
        )
    boxes = np.asarray(objects.boxes).reshape(-1, 4)
    boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    for corners, what, hint in (
        (boxes, "a box", "boxes are [left, top, width, height], in pixels"),
        (extents, "a polygon", "points are in pixels of the stored image"),
    ):
        is_outside = (corners[:, :2] < -MAX_OUTSIDE_PX).any(axis=1)
        is_outside |= ~(corners[:, 2] <= widths + MAX_OUTSIDE_PX) | ~(corners[:, 3] <= heights + MAX_OUTSIDE_PX)
        if len(wrong := np.flatnonzero(is_outside)):
            first = int(wrong[0])
            left, top, right, bottom = corners[first].tolist()
            more = f"; {counted(len(wrong) - 1, 'more is so', 'more are so')}" if len(wrong) > 1 else ""
            raise DataError(
                f"{objects.place_in_words(first)} has {what} from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), "
                f"outside of its image {file_name(first)} of {widths[first]} x {heights[first]} pixels: {hint}{more}"
            )


def _require_once(file: Path, what: str, ids: Integers) -> None:
    values, numbers = np.unique(ids, return_counts=True)
    if len(repeated := values[numbers > 1]):
        named = ", ".join(map(str, repeated[:_NUM_NAMED].tolist()))
        more = ", ..." if len(repeated) > _NUM_NAMED else ""
        raise DataError(f"{file}: several {what} {named}{more}; each needs one of its own")


def _require_names(file: Path, names: Sequence[str], what: str) -> None:
    if len(set(names)) == len(names):
        return
    ((name, _),) = Counter(names).most_common(1)
    raise DataError(f"{file}: several {what} {name!r}; each needs one of its own")


def _fields(text: LargeJson, element: Element, what: str, names: Sequence[str]) -> list[Any]:
    value = element.value
    if not isinstance(value, dict):
        line = text.line_of(element.start)
        found = f"{str(value)[:40]!r} among its `{element.member}`"
        raise DataError(f"{text.path} is not COCO's: line {line} has {found}; {_EXPECTED}")
    try:
        return [value[name] for name in names]
    except KeyError as error:
        where = _where(text, element, what)
        raise DataError(
            f"{where} has no `{error.args[0]}` (it has {', '.join(list(value)[:8])}); {_EXPECTED}"
        ) from None


def _where(text: LargeJson, element: Element, what: str) -> str:
    """How messages name an element; counting lines takes its time."""
    number = element.value.get("id", "?")
    return f"{what} {number} (line {text.line_of(element.start)} of {text.path})"


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and abs(number) < 2**63


def _is_box(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(isinstance(each, int | float) for each in box)


def _is_below(name: str) -> bool:
    """Whether a name leads to a file below a folder, and is written in one way only."""
    return "\0" not in name and all(part not in ("", ".", "..") for part in name.split("/"))
