"""Feature maps at the sizes that a pyramid wants: hierarchical backbones give them, a ViT's are made so."""

import math
from collections.abc import Sequence

from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional as F

FINEST_STRIDE_PX = 4


def pyramid_strides(strides_px: Sequence[int]) -> list[int]:
    """Strides of a pyramid on such maps: their own, or 4, 8, 16 and 32 pixels where all maps are of one size."""
    if len(set(strides_px)) > 1:
        return list(strides_px)
    return [FINEST_STRIDE_PX * 2**level for level in range(len(strides_px))]


class SimplePyramid(nn.Module):
    """Maps [B, C, H, W], the finest first -> the same number of maps, each at its level's stride.

    Those of a hierarchical backbone stay as they are. A ViT's are doubled by transposed convolutions (with a norm and
    GELU between two of them) and halved by maxima: the pyramid of BEiT's UPerNet (microsoft/unilm,
    `beit/semantic_segmentation/backbone/beit.py`, fpn1 to fpn4) with the layer norms of ViTDet's (arXiv 2203.16527).
    Of patches whose side is not a power of two, the rest is interpolated.
    """

    def __init__(self, channels: Sequence[int], strides_px: Sequence[int]) -> None:
        """Draw its weights, if it has any.

        Args:
            channels: of each map.
            strides_px: of each map.
        """
        super().__init__()
        wanted = pyramid_strides(strides_px)
        self.levels = nn.ModuleList(
            _rescaled(each, stride / level) for each, stride, level in zip(channels, strides_px, wanted, strict=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The maps at their strides."""
        return [level(each) for level, each in zip(self.levels, maps, strict=True)]


def _rescaled(channels: int, factor: float) -> nn.Module:
    """Makes a map larger by a factor, or smaller."""
    num_doublings = round(math.log2(factor))
    rest = factor / 2**num_doublings
    steps: list[nn.Module] = []
    for number in range(num_doublings):
        if number:
            steps += [LayerNorm2d(channels), nn.GELU()]
        steps.append(nn.ConvTranspose2d(channels, channels, kernel_size=2, stride=2))
    if num_doublings < 0:
        steps.append(nn.MaxPool2d(2**-num_doublings))
    if rest != 1:
        steps.append(_Interpolated(rest))
    return steps[0] if len(steps) == 1 else nn.Sequential(*steps)


class _Interpolated(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def forward(self, maps: Tensor) -> Tensor:
        return F.interpolate(maps, scale_factor=self._factor, mode="bilinear", align_corners=False)
