"""Swin v2: the Gaussian is added to a window's finished logits, right before their softmax.

timm writes the position bias of Swin v2 inline, 16 * sigmoid(MLP), and has no fused path. Its mask [nW, N, N] has
no axis for heads, so a Gaussian per head could not go through it; the softmax sees [nW*B, heads, N, N] in every
case. As for `swin.py`, sigmas of 1 to 3 tokens fit windows. With the MLP's last layer at zero the bias is the
constant 8, which the softmax cancels.
"""

import torch
from timm.models.swin_transformer_v2 import WindowAttention
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


class GaussianWindowAttentionV2(WindowAttention):
    """Swin v2's attention inside windows, plus the Gaussian."""

    gaussian: AttachedBias

    def softmax(self, logits: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Weights [nW*B, heads, N, N] of logits + Gaussian.

        A method of the class is found before timm's child module of this name, which has no parameters.
        """
        return add_gaussian(logits, self.gaussian).softmax(dim=-1)

    def set_window_size(self, window_size: tuple[int, int]) -> None:
        """Set the MLP's grid; lay the Gaussian over the new window."""
        super().set_window_size(window_size)
        self.gaussian.set_grid(TokenGrid(*self.window_size))


_SWAPS: Swaps = {WindowAttention: GaussianWindowAttentionV2}


def _find_sites(model: nn.Module) -> list[AttachmentSite]:
    return [
        make_site(name, module, TokenGrid(*module.window_size), module.num_heads, _SWAPS)
        for name, module in model.named_modules()
        if isinstance(module, WindowAttention)
    ]


def _find_position(model: nn.Module) -> PositionParameters:
    found = PositionParameters()
    for name, module in model.named_modules():
        if isinstance(module, WindowAttention):
            parameters = tuple(path_of(name, f"cpb_mlp.{each}") for each, _ in module.cpb_mlp.named_parameters())
            found += PositionParameters(parameters, (path_of(name, "cpb_mlp.2.weight"),))
    return found


FAMILY = Family(
    title="Swin v2",
    timm_files=("swin_transformer_v2",),
    find_sites=_find_sites,
    find_position=_find_position,
    windowed=True,
)
