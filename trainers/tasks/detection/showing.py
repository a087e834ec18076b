"""An image with objects as it is kept for pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from faster_coco_eval import mask as rle
from torch import Tensor

from trainers.data.objects import Objects
from trainers.tasks.detection.detections import Outlines, ScoredImage, scored_image
from trainers.tasks.detection.image_f1 import SURE
from trainers.tasks.shown_images import NO_REGION, ShownImage, Told
from trainers.tasks.shrinking import kept_size, shrunk_image, shrunk_mask

if TYPE_CHECKING:
    from trainers.tasks.detection.modules import Found

_MAX_OBJECTS = 250
"""Of one image, the largest."""


def shown_objects(image: Tensor, found: "Found", true: Objects, index: int) -> ShownImage:
    """The true objects, crowds left out, and those found whose score counts in `image_f1`; every object is a region.

    Args:
        image: [3, H, W], as it was seen.
        found: what was found in it.
        true: at the size of the stored image.
        index: the image's place in the data set.
    """
    scored = scored_image(found, true, index)
    height, width = scored.height_px, scored.width_px
    # Where objects cover each other, the smaller of the true ones is above, and the surer of those found.
    single = np.flatnonzero(~scored.is_crowd)
    single = single[np.argsort(-scored.areas_px[single], kind="stable")][:_MAX_OBJECTS]
    sure = np.flatnonzero(scored.scores >= SURE)
    sure = sure[np.argsort(scored.scores[sure], kind="stable")]
    return ShownImage(
        index,
        shrunk_image(image, kept_size(height, width)),
        _told(scored, scored.true, single, np.full(len(single), np.nan, dtype=np.float32)),
        _told(scored, scored.found, sure, scored.scores[sure]),
    )


def _told(
    image: ScoredImage, outlines: Outlines, upwards: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]
) -> Told:
    """Regions of these objects, the last one above all others."""
    height, width = image.height_px, image.width_px
    size = kept_size(height, width)
    regions = np.full(size, NO_REGION, dtype=np.uint8)
    for number, mask in enumerate(_masks(image, [outlines.masks[place] for place in upwards.tolist()])):
        regions[shrunk_mask(mask, size) > 0] = number
    ratio = np.array([size[1] / width, size[0] / height] * 2, dtype=np.float32)
    return Told(regions, outlines.classes[upwards], outlines.boxes[upwards] * ratio, scores)


def _masks(image: ScoredImage, run_lengths: Sequence[bytes]) -> list[Tensor]:
    """Each [H, W] uint8."""
    size = [image.height_px, image.width_px]
    return [torch.from_numpy(np.ascontiguousarray(rle.decode({"size": size, "counts": each}))) for each in run_lengths]
