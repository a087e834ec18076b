"""EVA, EVA02 and the ViTs that timm builds from the same class: the Gaussian is passed as the attention mask.

Their rotary position turns queries and keys, and is no bias. Mostly it has no parameters: then only the absolute
embedding can be re-initialised or zeroed, and a model without one has nothing to change. The frequencies of
`vit_*_rope_mixed_*` are learned, and count; at zero they turn nothing.
"""

import torch
from timm.layers.attention import AttentionRope
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
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


class _MaskedByGaussian(nn.Module):
    """Over an attention that turns queries and keys: adds the Gaussian as its mask."""

    gaussian: AttachedBias

    def forward(
        self,
        x: torch.Tensor,
        rope: torch.Tensor | None = None,
        attn_mask: torch.Tensor | None = None,
        is_causal: bool = False,
    ) -> torch.Tensor:
        """[B, N, C] -> [B, N, C], with Gaussian + `attn_mask` on the logits.

        Raises:
            ConfigError: the sequence is not the one that the Gaussian was made for, or attention is causal.
        """
        mask_1hNN = gaussian_mask(x, self.gaussian, attn_mask, is_causal)
        out: torch.Tensor = super().forward(x, rope=rope, attn_mask=mask_1hNN)
        return out


class GaussianEvaAttention(_MaskedByGaussian, EvaAttention):
    """EVA's attention, plus the Gaussian."""


class GaussianAttentionRope(_MaskedByGaussian, AttentionRope):
    """timm's attention with rotary position, plus the Gaussian."""


_BLOCKS = (EvaBlock, EvaBlockPostNorm)
_SWAPS: Swaps = {EvaAttention: GaussianEvaAttention, AttentionRope: GaussianAttentionRope}


def _find_sites(model: nn.Module) -> list[AttachmentSite]:
    return sites_of_blocks(model, Eva, _BLOCKS, _SWAPS)


def _find_position(model: nn.Module) -> PositionParameters:
    names = tuple(
        path_of(name, each)
        for name, eva in modules_of(model, Eva)
        for each, _ in eva.named_parameters()
        if each in ("pos_embed", "rope.freqs")
    )
    return PositionParameters(names, names)


FAMILY = Family(
    title="EVA, EVA02 and ViTs with rotary position",
    timm_files=("eva",),
    find_sites=_find_sites,
    find_position=_find_position,
)
