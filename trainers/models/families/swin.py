"""Swin v1: the Gaussian joins each window's table, over the grid of the window.

A window is 7x7 or 12x12 tokens, less in a stage whose whole map is smaller. sigma = 5, the paper's value for whole
images, is nearly flat over 7x7 (1 to 0.24), and a constant cancels in the softmax: sigmas of 1 to 3 fit windows.
One token of stage s (from 0) is 4 * 2^s pixels wide, so the same sigma is another width in pixels in each stage.

Layers are found by themselves, not by the model's class: `features_only=True` takes the model apart.
"""

import torch
from timm.models.swin_transformer import WindowAttention
from torch import nn

from trainers.models.attached_bias import AttachedBias
from trainers.models.families.addition import add_gaussian
from trainers.models.families.family import (
    AttachmentSite,
    Family,
    PositionParameters,
    Swaps,
    make_site,
    path_of,
)
from trainers.models.grid import TokenGrid


class GaussianWindowAttention(WindowAttention):
    """Swin's attention inside windows, plus the Gaussian."""

    gaussian: AttachedBias

    def _get_rel_pos_bias(self) -> torch.Tensor:
        return add_gaussian(super()._get_rel_pos_bias(), self.gaussian)

    def set_window_size(self, window_size: tuple[int, int]) -> None:
        """Resize the table; lay the Gaussian over the new window."""
        super().set_window_size(window_size)
        self.gaussian.set_grid(TokenGrid(*self.window_size))


_SWAPS: Swaps = {WindowAttention: GaussianWindowAttention}


def _find_sites(model: nn.Module) -> list[AttachmentSite]:
    return [
        make_site(name, module, TokenGrid(*module.window_size), module.num_heads, _SWAPS)
        for name, module in model.named_modules()
        if isinstance(module, WindowAttention)
    ]


def _find_position(model: nn.Module) -> PositionParameters:
    names = tuple(
        path_of(name, "relative_position_bias_table")
        for name, module in model.named_modules()
        if isinstance(module, WindowAttention)
    )
    return PositionParameters(names, names)


FAMILY = Family(
    title="Swin", timm_files=("swin_transformer",), find_sites=_find_sites, find_position=_find_position, windowed=True
)
