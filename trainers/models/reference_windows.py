"""Windowed attention as Swin's reference implementations have it on images of any size: fill up, then shift.

timm shifts first: where a map's side is not a multiple of the window's, windows at its edge hold other tokens then
(timm issue 2438). And a stage whose map is no larger than a window gets a smaller window from timm, which does not
shift. At the size that weights are published for, the first makes no difference.
"""

from typing import TYPE_CHECKING, cast

import torch
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock, window_partition
from timm.models.swin_transformer_v2 import SwinTransformerV2, SwinTransformerV2Block
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from timm.layers.patch_embed import PatchEmbed


class _FillsUpFirst:
    """In the place of timm's `_attn`; the rest of a block is timm's."""

    window_size: tuple[int, int]
    shift_size: tuple[int, int]

    def _attn(self, x: Tensor) -> Tensor:
        """Attention inside windows of a map [B, H, W, C]."""
        num_images, height, width, channels = x.shape
        (window_height, window_width), (down, right) = self.window_size, self.shift_size
        x = F.pad(x, (0, 0, 0, -width % window_width, 0, -height % window_height))
        if down or right:
            x = torch.roll(x, shifts=(-down, -right), dims=(1, 2))
        # Which tokens lay side by side before the shift depends on the filled-up map.
        mask = self.get_attn_mask(x)  # type: ignore[attr-defined]
        windows = window_partition(x, self.window_size).flatten(1, 2)
        windows = self.attn(windows, mask=mask)  # type: ignore[attr-defined]
        num_rows, num_columns = x.shape[1] // window_height, x.shape[2] // window_width
        windows = windows.view(num_images, num_rows, num_columns, window_height, window_width, channels)
        x = windows.transpose(2, 3).reshape(x.shape)
        if down or right:
            x = torch.roll(x, shifts=(down, right), dims=(1, 2))
        return x[:, :height, :width].contiguous()


class _Block(_FillsUpFirst, SwinTransformerBlock):
    pass


class _BlockV2(_FillsUpFirst, SwinTransformerV2Block):
    pass


_SWAPS: dict[type[nn.Module], type[nn.Module]] = {SwinTransformerBlock: _Block, SwinTransformerV2Block: _BlockV2}


def see_any_size(model: nn.Module) -> None:
    """Make a Swin of timm, v1 or v2, see images of any size as the reference does, in place; other models stay.

    Its windows are as large as it was built with; timm's `always_partition` keeps them from being cut to a small map.
    """
    if not isinstance(model, (SwinTransformer, SwinTransformerV2)):
        return
    patches = cast("PatchEmbed", model.patch_embed)
    patches.strict_img_size, patches.dynamic_img_pad = False, True
    for module in model.modules():
        if type(module) in _SWAPS:
            module.__class__ = _SWAPS[type(module)]
