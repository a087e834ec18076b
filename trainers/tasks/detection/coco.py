"""COCO's twelve numbers of boxes and of masks, and its AP of each class."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

if TYPE_CHECKING:
    from trainers.tasks.detection.detections import ScoredImage

NAMES = (
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
)
"""In COCO's order."""
_NO_SUCH_OBJECT = -1


def coco_metrics(images: Sequence["ScoredImage"]) -> dict[str, float]:
    """Each number of boxes and masks as a fraction, `ap_box`, `ap_mask`, ...; those of sizes that no object has, not.

    Args:
        images: of a whole split, each with a number of its own.
    """
    return {
        f"{each}_{name}": float(value)
        for name, evaluation in _evaluated(images)
        for each, value in zip(NAMES, evaluation.stats[: len(NAMES)], strict=True)
        if value != _NO_SUCH_OBJECT
    }


def class_precisions(images: Sequence["ScoredImage"], num_classes: int) -> dict[str, npt.NDArray[np.float64]]:
    """`ap_box` and `ap_mask` [K] of each class; NaN of one that no object has. Their means are COCO's numbers.

    Args:
        images: of a whole split, each with a number of its own.
        num_classes: K.
    """
    found = {}
    for name, evaluation in _evaluated(images):
        # [thresholds, recalls, classes, areas (0: all), most finds per image (-1: 100)]
        precisions = evaluation.eval["precision"][:, :, :, 0, -1]
        by_class = np.full(num_classes, np.nan)
        for place, class_id in enumerate(evaluation.params.catIds):
            told = precisions[:, :, place]
            if (told > _NO_SUCH_OBJECT).any():
                by_class[class_id] = told[told > _NO_SUCH_OBJECT].mean()
        found[f"ap_{name}"] = by_class
    return found


def _evaluated(images: Sequence["ScoredImage"]) -> Iterator[tuple[str, Any]]:
    """COCO's evaluation of boxes, and of masks."""
    truth = true_annotations(images)
    for name, kind, found in (("box", "bbox", found_boxes(images)), ("mask", "segm", found_masks(images))):
        true = COCO(truth)
        evaluation = COCOeval_faster(true, true.loadRes(found), kind)
        evaluation.run()
        yield name, evaluation


def true_annotations(images: Sequence["ScoredImage"]) -> dict[str, Any]:
    """The objects of a split as COCO's file has them; numbers of annotations begin at 1."""
    annotations: list[dict[str, Any]] = []
    for image in images:
        true = image.true
        for box, class_id, mask, area, is_crowd in zip(
            true.boxes.tolist(),
            true.classes.tolist(),
            true.masks,
            image.areas_px.tolist(),
            image.is_crowd.tolist(),
            strict=True,
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image.place,
                    "category_id": class_id,
                    "bbox": _left_top_width_height(box),
                    "segmentation": _rle(image, mask),
                    "area": area,
                    "iscrowd": int(is_crowd),
                }
            )
    # One that no object has counts nowhere.
    classes = {class_id for image in images for part in (image.true, image.found) for class_id in part.classes.tolist()}
    return {
        "images": [{"id": image.place, "height": image.height_px, "width": image.width_px} for image in images],
        "annotations": annotations,
        "categories": [{"id": class_id, "name": str(class_id)} for class_id in sorted(classes)],
    }


def found_boxes(images: Sequence["ScoredImage"]) -> list[dict[str, Any]]:
    """What was found, as COCO's file of results of boxes has it."""
    return [
        {"image_id": image.place, "category_id": class_id, "bbox": _left_top_width_height(box), "score": score}
        for image in images
        for box, class_id, score in zip(
            image.found.boxes.tolist(), image.found.classes.tolist(), image.scores.tolist(), strict=True
        )
    ]


def found_masks(images: Sequence["ScoredImage"]) -> list[dict[str, Any]]:
    """What was found, as COCO's file of results of masks has it: without boxes, so sizes are those of the masks."""
    return [
        {"image_id": image.place, "category_id": class_id, "segmentation": _rle(image, mask), "score": score}
        for image in images
        for mask, class_id, score in zip(
            image.found.masks, image.found.classes.tolist(), image.scores.tolist(), strict=True
        )
    ]


def _left_top_width_height(box: list[float]) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]


def _rle(image: "ScoredImage", counts: bytes) -> dict[str, Any]:
    return {"size": [image.height_px, image.width_px], "counts": counts.decode()}
