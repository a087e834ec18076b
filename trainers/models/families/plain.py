"""Plain ViT and DeiT (distilled too): no bias of their own, so the Gaussian is passed as the attention mask."""

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block, ResPostBlock, VisionTransformer
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


class GaussianAttention(Attention):
    """timm's attention without a position bias, plus the Gaussian as its mask."""

    gaussian: AttachedBias

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False) -> torch.Tensor:
        """[B, N, C] -> [B, N, C], with Gaussian + `attn_mask` on the logits.

        Raises:
            ConfigError: the sequence is not the one that the Gaussian was made for, or attention is causal.
        """
        return super().forward(x, attn_mask=gaussian_mask(x, self.gaussian, attn_mask, is_causal))


_BLOCKS = (Block, ResPostBlock)
_SWAPS: Swaps = {Attention: GaussianAttention}


def _find_sites(model: nn.Module) -> list[AttachmentSite]:
    return sites_of_blocks(model, VisionTransformer, _BLOCKS, _SWAPS)


def _find_position(model: nn.Module) -> PositionParameters:
    # With `pos_embed="none"` the attribute is None.
    names = tuple(
        path_of(name, "pos_embed") for name, vit in modules_of(model, VisionTransformer) if vit.pos_embed is not None
    )
    return PositionParameters(names, names)


FAMILY = Family(
    title="plain ViTs and DeiTs",
    timm_files=("vision_transformer", "deit"),
    find_sites=_find_sites,
    find_position=_find_position,
)
