"""Feature maps at the sizes that a pyramid wants: hierarchical backbones give them, a ViT's are resized."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

FINEST_STRIDE_PX = 4


def pyramid_strides(strides_px: Sequence[int]) -> list[int]:
    """Strides of a pyramid on such maps: their own, or 4, 8, 16 and 32 pixels where all maps are of one size."""
    if len(set(strides_px)) > 1:
        return list(strides_px)
    return [FINEST_STRIDE_PX * 2**level for level in range(len(strides_px))]


def as_pyramid(maps: Sequence[Tensor], strides_px: Sequence[int]) -> list[Tensor]:
    """The maps [B, C, H, W], each at its level's stride.

    Args:
        maps: the finest first.
        strides_px: of each map.
    """
    return [
        each
        if stride == wanted
        else F.interpolate(each, scale_factor=stride / wanted, mode="bilinear", align_corners=False)
        for each, stride, wanted in zip(maps, strides_px, pyramid_strides(strides_px), strict=True)
    ]
