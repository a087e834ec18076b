"""Where an object is, as COCO's files say it: polygons, or run lengths, compressed or not."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from trainers.data.run_lengths import counts_of, mask_of, num_ones, require_fit

Outline: TypeAlias = Any
"""The `segmentation` of an annotation, as JSON has it."""
MIN_POINTS = 3
"""Of a polygon: fewer have no area."""


class Extent(NamedTuple):
    """What can be told of an outline before its image is known."""

    left: float
    top: float
    right: float
    bottom: float
    """Bounds of all points of polygons; of run lengths, of the image that they were made for."""
    is_run_lengths: bool
    lacks: str = ""
    """Why no pixel can be the object's (empty: some may be)."""


def extent_of(outline: Outline) -> Extent:
    """Check what can be checked of an outline by itself.

    Args:
        outline: of an object.

    Raises:
        ValueError: it is broken; says what is wrong.
    """
    if isinstance(outline, list):
        return _extent_of_polygons(outline)
    if isinstance(outline, dict):
        return _extent_of_run_lengths(outline)
    if outline is None:
        return Extent(0, 0, 0, 0, is_run_lengths=False, lacks="has no outline (`segmentation`)")
    raise ValueError("its `segmentation` is neither a list of polygons nor run lengths")


def outlined_mask(outline: Outline, height: int, width: int) -> npt.NDArray[np.uint8]:
    """[H, W]: 1 where the object is; pixels on the border are those that COCO's own code takes.

    Args:
        outline: for which `extent_of` finds nothing wrong.
        height: H, the image's.
        width: W.
    """
    if isinstance(outline, dict):
        return mask_of(counts_of(outline["counts"]), height, width)
    from faster_coco_eval import mask

    parts = mask.frPyObjects(outline, height, width)
    decoded: npt.NDArray[np.uint8] = mask.decode(mask.merge(parts))
    return decoded


def _extent_of_polygons(polygons: list[Any]) -> Extent:
    if not polygons:
        return Extent(0, 0, 0, 0, is_run_lengths=False, lacks="has no outline (`segmentation`)")
    if not all(isinstance(polygon, list) for polygon in polygons):
        raise ValueError("its `segmentation` is not a list of polygons [[x, y, x, y, ...], ...]")
    lacks = ""
    try:
        for polygon in polygons:
            if len(polygon) % 2:
                raise ValueError(f"a polygon has {len(polygon)} numbers: each point needs two")
            if len(polygon) < 2 * MIN_POINTS:
                lacks = f"has a polygon of {len(polygon) // 2} points, and {MIN_POINTS} have an area"
        columns = [(min(polygon[::2]), max(polygon[::2])) for polygon in polygons if polygon]
        rows = [(min(polygon[1::2]), max(polygon[1::2])) for polygon in polygons if polygon]
        left, right = min(columns, default=(0, 0))[0], max((high for _, high in columns), default=0)
        top, bottom = min(rows, default=(0, 0))[0], max((high for _, high in rows), default=0)
        return Extent(float(left), float(top), float(right), float(bottom), is_run_lengths=False, lacks=lacks)
    except (TypeError, OverflowError):
        raise ValueError("a polygon holds what is not a number") from None


def _extent_of_run_lengths(outline: dict[str, Any]) -> Extent:
    try:
        height, width = outline["size"]
        written = outline["counts"]
    except (KeyError, TypeError, ValueError):
        raise ValueError("its run lengths need `size` [height, width] and `counts`") from None
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise ValueError(f"its run lengths are of the size {height} x {width}, which no image has")
    if not isinstance(written, str | list):
        raise ValueError("its `counts` are neither a list nor text")  # noqa: TRY004  (of what a file holds)
    counts = counts_of(written)
    require_fit(counts, height, width)
    lacks = "" if num_ones(counts) else "has no pixel"
    return Extent(0, 0, float(width), float(height), is_run_lengths=True, lacks=lacks)
