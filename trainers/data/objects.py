"""The objects in an image: what a data set says of it where boxes and masks are learned."""

from typing import NamedTuple

import torch
from torch import Tensor


class Objects(NamedTuple):
    """n objects of one image of H x W pixels; n may be 0."""

    boxes: Tensor
    """[n, 4] float32: left, top, right and bottom edge, in pixels."""
    classes: Tensor
    """[n] int64."""
    masks: Tensor
    """[n, H, W] uint8: 1 where the object is."""
    areas_px: Tensor
    """[n] float32, by which COCO calls an object small, medium or large."""
    is_crowd: Tensor
    """[n] bool: it stands for many objects; what is found in it is neither right nor wrong, and it isn't learned."""


def fitted_size(height_px: int, width_px: int, short_side_px: int, max_long_side_px: int | None) -> tuple[int, int]:
    """Height and width of an image in its own ratio, as large as both bounds allow.

    Args:
        height_px: that it has.
        width_px: that it has.
        short_side_px: of the shorter side.
        max_long_side_px: of the longer side (`None`: none).
    """
    shorter, longer = sorted((height_px, width_px))
    # A side that reaches its bound is exactly as long: integers, not their ratio.
    wanted, had = short_side_px, shorter
    if max_long_side_px is not None and max_long_side_px * shorter < short_side_px * longer:
        wanted, had = max_long_side_px, longer
    height, width = (max(1, round(side * wanted / had)) for side in (height_px, width_px))
    return height, width


def objects_of_masks(classes: Tensor, masks: Tensor, is_crowd: Tensor) -> Objects:
    """Objects whose boxes and areas follow from their masks; those without a pixel are gone.

    Args:
        classes: [n] int64.
        masks: [n, H, W] uint8.
        is_crowd: [n] bool.
    """
    areas = masks.sum(dim=(1, 2), dtype=torch.int64)
    is_seen = areas > 0
    masks = masks[is_seen]
    return Objects(_tight_boxes(masks), classes[is_seen], masks, areas[is_seen].float(), is_crowd[is_seen])


def _tight_boxes(masks: Tensor) -> Tensor:
    """[n, 4] edges of the masks' pixels: one pixel has a box of one pixel, where torchvision's would have no area."""
    columns, rows = masks.amax(dim=1) > 0, masks.amax(dim=2) > 0
    (left, right), (top, bottom) = (_first_and_end(each) for each in (columns, rows))
    return torch.stack([left, top, right, bottom], dim=1).float()


def _first_and_end(is_there: Tensor) -> tuple[Tensor, Tensor]:
    """[n] first place of each row that is true, and the place behind the last, of [n, L] with one at least."""
    length = is_there.shape[1]
    places = torch.arange(length, device=is_there.device)
    first = torch.where(is_there, places, length).amin(dim=1)
    return first, torch.where(is_there, places + 1, 0).amax(dim=1)
