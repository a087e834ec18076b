"""A mask of class ids."""

import torch
from torch import Tensor

from trainers.data.nearest_mask import NearestMask

UNSCORED = 255
"""In a mask: the pixel has no class; it is neither learned nor scored."""


class ClassMask(NearestMask):
    """[H, W] uint8: a class id for each pixel of an image, or `UNSCORED`."""


def moved_ids(mask: ClassMask) -> Tensor:
    """A mask as targets are: a plain tensor, int64."""
    ids: Tensor = mask.as_subclass(Tensor)
    return ids.to(torch.int64)
