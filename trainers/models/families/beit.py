"""BEiT and BEiT v2: the Gaussian joins the position bias that a layer is given from outside.

A layer of timm's BEiT adds `shared_rel_pos_bias` to its own table; the Gaussian is passed the same way. So a layer
with its own table, one that reads a table shared by all layers, and one with neither take it alike, and each layer
has its own sigma. timm starts BEiT's tables at zero: re-initialising them and zeroing them is the same thing.
"""

import torch
from timm.models.beit import Attention, Beit, Block
from torch import nn

from trainers.models.attached_bias import AttachedBias
from trainers.models.families.addition import gaussian_mask
from trainers.models.families.family import (
    AttachmentSite,
    Family,
    PositionParameters,
    Swaps,
    modules_of,
    path_of,
    sites_of_blocks,
)
from trainers.models.grid import TokenGrid


class GaussianBeitAttention(Attention):
    """BEiT's attention, plus the Gaussian."""

    gaussian: AttachedBias

    def forward(self, x: torch.Tensor, shared_rel_pos_bias: torch.Tensor | None = None) -> torch.Tensor:
        """[B, N, C] -> [B, N, C], with table + shared table + Gaussian on the logits.

        Raises:
            ConfigError: the sequence is not the one that the Gaussian was made for.
        """
        return super().forward(x, shared_rel_pos_bias=gaussian_mask(x, self.gaussian, shared_rel_pos_bias))

    def set_window_size(self, window_size: tuple[int, int]) -> None:
        """Resize the table, if there is one; lay the Gaussian over the new grid."""
        super().set_window_size(window_size)
        self.gaussian.set_grid(TokenGrid(*window_size, self.gaussian.num_prefix_tokens))


_BLOCKS = (Block,)
_SWAPS: Swaps = {Attention: GaussianBeitAttention}


def _find_sites(model: nn.Module) -> list[AttachmentSite]:
    return sites_of_blocks(model, Beit, _BLOCKS, _SWAPS)


def _find_position(model: nn.Module) -> PositionParameters:
    names = tuple(
        path_of(name, each)
        for name, beit in modules_of(model, Beit)
        for each, _ in beit.named_parameters()
        if _embeds_position(each)
    )
    return PositionParameters(names, names)


def _embeds_position(name: str) -> bool:
    return name == "pos_embed" or name.endswith("relative_position_bias_table")


FAMILY = Family(title="BEiT and BEiT v2", timm_files=("beit",), find_sites=_find_sites, find_position=_find_position)
