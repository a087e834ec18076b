"""F1 of what is found in one image: a number for laying images beside each other, which AP is not.

COCO's AP orders the finds of all images by their scores; one image alone has too few for that, and without an object
none at all. So here one score and one IoU decide, and where there is nothing, and nothing is found, all is right.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from faster_coco_eval import mask as rle

if TYPE_CHECKING:
    from trainers.tasks.detection.detections import Outlines, ScoredImage

SURE = 0.5
"""Score from which a find counts."""
MIN_IOU = 0.5
"""With an object of the same class, from which a find is right."""


def image_f1(image: "ScoredImage", kind: Literal["box", "mask"]) -> float:
    """2 right / (2 right + wrong + missed), from 0 to 1; 1 where there is nothing and nothing is found.

    The surest find chooses first, among the objects of its class that no other one has. What lies in a crowd of its
    class, by half of itself, is neither right nor wrong.

    Args:
        image: what was found beside the truth.
        kind: whether boxes or masks must cover each other.
    """
    sure = np.flatnonzero(image.scores >= SURE)
    order = sure[np.argsort(-image.scores[sure], kind="stable")]
    iou = _ious(image, order, kind)
    iou[image.found.classes[order][:, None] != image.true.classes[None]] = 0
    is_free = ~image.is_crowd
    num_true, num_right, num_wrong = int(is_free.sum()), 0, 0
    for row in iou:
        best = int(np.argmax(np.where(is_free, row, -1))) if is_free.any() else None
        if best is not None and row[best] >= MIN_IOU:
            is_free[best] = False
            num_right += 1
        elif not (row[image.is_crowd] >= MIN_IOU).any():
            num_wrong += 1
    if num_true + num_right + num_wrong == 0:
        return 1.0
    return 2 * num_right / (num_right + num_wrong + num_true)


def _ious(image: "ScoredImage", order: npt.NDArray[np.int64], kind: Literal["box", "mask"]) -> npt.NDArray[np.float64]:
    """[found, true]; of a crowd the share of the find that lies in it."""
    if not len(order) or not len(image.true.classes):
        return np.zeros((len(order), len(image.true.classes)))
    crowds = image.is_crowd.tolist()
    if kind == "box":
        found = rle.iou(_sized(image.found.boxes[order]), _sized(image.true.boxes), crowds)
    else:
        found = rle.iou(_run_lengths(image, image.found, order), _run_lengths(image, image.true), crowds)
    ious: npt.NDArray[np.float64] = np.array(found, dtype=np.float64)
    return ious


def _sized(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """[n, 4] left, top, width and height."""
    corners = boxes.astype(np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def _run_lengths(
    image: "ScoredImage", outlines: "Outlines", order: npt.NDArray[np.int64] | None = None
) -> list[dict[str, object]]:
    places = range(len(outlines.masks)) if order is None else order.tolist()
    return [{"size": [image.height_px, image.width_px], "counts": outlines.masks[place]} for place in places]
