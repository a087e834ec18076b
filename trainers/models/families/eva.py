"""EVA, EVA02 and the ViTs that timm builds from the same class: the Gaussian is passed as the attention mask.

Their rotary position turns queries and keys, and is no bias. Mostly it has no parameters: then only the absolute
embedding can be re-initialised or zeroed, and a model without one has nothing to change. The frequencies of
`vit_*_rope_mixed_*` are learned, and count; at zero they turn nothing.
"""

import torch
from timm.layers.attention import AttentionRope
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from torch import nn

from trainers.models.families.addition import gaussian_mask
from trainers.models.families.family import (
    AttachmentSite,
    Family,
    PositionParameters,
    Swaps,
    make_site,
    path_of,
    unknown_layer,
)
from trainers.models.families.patches import patch_grid
from trainers.models.gaussian import GaussianAttentionBias


class GaussianEvaAttention(EvaAttention):
    """EVA's attention, plus the Gaussian as its mask."""

    gaussian: GaussianAttentionBias

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


class GaussianAttentionRope(AttentionRope):
    """timm's attention with rotary position, plus the Gaussian as its mask."""

    gaussian: GaussianAttentionBias

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


_SWAPS: Swaps = {EvaAttention: GaussianEvaAttention, AttentionRope: GaussianAttentionRope}


def _find_sites(model: nn.Module) -> list[AttachmentSite]:
    sites: list[AttachmentSite] = []
    for name, module in model.named_modules():
        if isinstance(module, Eva):
            sites += _sites_of(module, name)
    return sites


def _sites_of(eva: Eva, name: str) -> list[AttachmentSite]:
    grid = patch_grid(eva, eva.num_prefix_tokens)
    sites = []
    for i, block in enumerate(eva.blocks):
        path = path_of(name, f"blocks.{i}")
        if not isinstance(block, EvaBlock | EvaBlockPostNorm):
            raise unknown_layer(path, block, EvaBlock, EvaBlockPostNorm)
        sites.append(make_site(f"{path}.attn", block.attn, grid, block.attn.num_heads, _SWAPS))
    return sites


def _find_position(model: nn.Module) -> PositionParameters:
    names: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, Eva):
            own = [each for each, _ in module.named_parameters() if each in ("pos_embed", "rope.freqs")]
            names += [path_of(name, each) for each in own]
    return PositionParameters(tuple(names), tuple(names))


FAMILY = Family(
    title="EVA, EVA02 and ViTs with rotary position",
    timm_files=("eva",),
    find_sites=_find_sites,
    find_position=_find_position,
)
