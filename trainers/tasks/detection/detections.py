"""Detected objects beside the true ones: of one image, of a split, and in the file that is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from faster_coco_eval import mask as rle
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from trainers.data.objects import Objects
from trainers.errors import DataError
from trainers.tasks.detection.coco import NAMES, class_precisions, coco_metrics
from trainers.tasks.detection.image_f1 import image_f1
from trainers.tasks.detection.modules import Found
from trainers.tasks.evidence import Evidence

KINDS: tuple[Literal["box", "mask"], ...] = ("box", "mask")
"""What is scored of an object."""
_AT_LEAST = 0.5
"""Probability from which a place belongs to the mask."""


class Outlines(NamedTuple):
    """n objects at the size of the stored image."""

    boxes: npt.NDArray[np.float32]
    """[n, 4] left, top, right and bottom edge, in pixels."""
    classes: npt.NDArray[np.int64]
    """[n]."""
    masks: tuple[bytes, ...]
    """n, by COCO's run lengths (compressed)."""


class ScoredImage(NamedTuple):
    """One image."""

    place: int
    """In the data set."""
    height_px: int
    width_px: int
    """As stored."""
    found: Outlines
    scores: npt.NDArray[np.float32]
    """[n found]."""
    true: Outlines
    areas_px: npt.NDArray[np.float32]
    """[n true], by which COCO calls an object small, medium or large."""
    is_crowd: npt.NDArray[np.bool_]
    """[n true]."""
    is_finite: bool
    """Whether the network still gave numbers."""


def scored_image(found: Found, true: Objects, index: int) -> ScoredImage:
    """What was found, at the size of the stored image, beside the truth.

    Args:
        found: in pixels of the image as it was seen.
        true: at the size of the stored image.
        index: the image's place in the data set.
    """
    height, width = true.masks.shape[-2:]
    boxes = found.boxes * found.boxes.new_tensor([width / found.width_px, height / found.height_px] * 2)
    boxes = torch.stack([boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)], dim=2).flatten(1)
    # Cut off at the edge of the image, a box may have no area left.
    is_inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes = boxes[is_inside]
    masks = paste_masks_in_image(found.masks[is_inside], boxes, (height, width))[:, 0] >= _AT_LEAST
    return ScoredImage(
        place=index,
        height_px=height,
        width_px=width,
        found=Outlines(_array(boxes), _array(found.classes[is_inside]), _run_lengths(masks)),
        scores=_array(found.scores[is_inside]),
        true=Outlines(_array(true.boxes), _array(true.classes), _run_lengths(true.masks)),
        areas_px=_array(true.areas_px),
        is_crowd=_array(true.is_crowd),
        is_finite=bool(found.is_finite),
    )


def _array(values: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = values.cpu().numpy()
    return array


def _run_lengths(masks: Tensor) -> tuple[bytes, ...]:
    stacked = np.asfortranarray(masks.to(torch.uint8).cpu().numpy().transpose(1, 2, 0))
    return tuple(bytes(each["counts"]) for each in rle.encode(stacked)) if len(masks) else ()


@dataclass(frozen=True)
class Detections(Evidence):
    """A whole split, or one rank's share of it."""

    images: tuple[ScoredImage, ...]
    """In the order of their places in the data set; each once."""

    @classmethod
    def of_ranks(cls, parts: Sequence[Self]) -> Self:
        """Join the ranks' shares of a split, at least one, in an order that does not depend on how it was shared."""
        by_index = {image.place: image for part in parts for image in part.images}
        return cls(tuple(by_index[index] for index in sorted(by_index)))

    def metrics(self) -> dict[str, float]:
        """COCO's numbers as fractions, by faster-coco-eval; those of sizes that no object of the split has, not.

        Beside them `image_f1_box` and `image_f1_mask`, means over images.

        Raises:
            DataError: there is no object to be found at all.
        """
        if not any((~image.is_crowd).any() for image in self.images):
            raise DataError(
                f"there is no object to be found in the {len(self.images)} scored images, so nothing can be said of "
                "what was found; take a split with objects that are no crowds"
            )
        if not all(image.is_finite for image in self.images):
            return {f"{name}_{kind}": float("nan") for kind in KINDS for name in (*NAMES, "image_f1")}
        by_image = {f"image_f1_{kind}": float(self._image_f1(kind).mean()) for kind in KINDS}
        return coco_metrics(self.images) | by_image

    def class_scores(self, num_classes: int) -> dict[str, npt.NDArray[np.float64]]:
        """`ap_box` and `ap_mask` [K] of each class; NaN where no object is of it."""
        return class_precisions(self.images, num_classes)

    def _image_f1(self, kind: Literal["box", "mask"]) -> npt.NDArray[np.float64]:
        """[n] see `image_f1`."""
        return np.array([image_f1(image, kind) for image in self.images])

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Of n images: `index`, `size_px` [n, 2] (height, width), `is_finite`, `image_f1_box` and `image_f1_mask`.

        `num_found` and `num_true` are its objects. Those of all images follow one another, with a name that begins with
        `found` or `true`: `_box` [N, 4], `_class`, `_score` or `_area_px` and `_is_crowd`;
        `_mask` holds the bytes of all run lengths, `_mask_length` [N] how many are each object's.
        """
        images = self.images
        return {
            "index": np.array([image.place for image in images], dtype=np.int64),
            "size_px": np.array([(image.height_px, image.width_px) for image in images], dtype=np.int64).reshape(-1, 2),
            "is_finite": np.array([image.is_finite for image in images], dtype=np.bool_),
            **{f"image_f1_{kind}": self._image_f1(kind) for kind in KINDS},
            **_stored("found", [image.found for image in images]),
            "found_score": np.concatenate([image.scores for image in images]),
            **_stored("true", [image.true for image in images]),
            "true_area_px": np.concatenate([image.areas_px for image in images]),
            "true_is_crowd": np.concatenate([image.is_crowd for image in images]),
        }


def _stored(name: str, images: Sequence[Outlines]) -> dict[str, npt.NDArray[np.generic]]:
    masks = [mask for image in images for mask in image.masks]
    return {
        f"num_{name}": np.array([len(image.classes) for image in images], dtype=np.int64),
        f"{name}_box": np.concatenate([image.boxes for image in images]),
        f"{name}_class": np.concatenate([image.classes for image in images]),
        f"{name}_mask": np.frombuffer(b"".join(masks), dtype=np.uint8),
        f"{name}_mask_length": np.array([len(mask) for mask in masks], dtype=np.int64),
    }


def read_detections(file: Path, split: str) -> Detections:
    """What `write_evidence` wrote of a split.

    Args:
        file: the trial's file of predictions.
        split: `val` or `test`.

    Raises:
        OSError, KeyError, ValueError, zipfile.BadZipFile: it can't be read, or does not hold them.
    """
    with np.load(file) as stored:
        arrays = {name.removeprefix(f"{split}_"): stored[name] for name in stored if name.startswith(f"{split}_")}
    found, true = _read("found", arrays), _read("true", arrays)
    scores = np.split(arrays["found_score"], _ends(arrays["num_found"]))
    areas, crowds = (np.split(arrays[name], _ends(arrays["num_true"])) for name in ("true_area_px", "true_is_crowd"))
    images = (
        ScoredImage(int(index), int(height), int(width), *rest)
        for index, (height, width), *rest in zip(
            arrays["index"], arrays["size_px"], found, scores, true, areas, crowds, arrays["is_finite"], strict=True
        )
    )
    return Detections(tuple(images))


def _ends(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where the rows of each image but the last end."""
    ends: npt.NDArray[np.int64] = np.cumsum(numbers)[:-1]
    return ends


def _read(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> list[Outlines]:
    ends = _ends(arrays[f"num_{name}"])
    boxes, classes = (np.split(arrays[f"{name}_{part}"], ends) for part in ("box", "class"))
    stops = np.cumsum(arrays[f"{name}_mask_length"]).tolist()
    counts = arrays[f"{name}_mask"].tobytes()
    masks = [counts[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]
    starts = [0, *ends.tolist(), len(masks)]
    return [
        Outlines(image_boxes, image_classes, tuple(masks[start:stop]))
        for image_boxes, image_classes, start, stop in zip(boxes, classes, starts, starts[1:], strict=False)
    ]
