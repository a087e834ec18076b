"""Where timm's ViTs take an attention bias, and the class swap that gives them one.

A module that makes (or can take) a bias gets the Gaussian as its child `gaussian`, and its `__class__` becomes a
subclass with one method more. So the state dict gains the Gaussian's keys and loses none, and `deepcopy`, pickle,
`torch.save` and `torch.compile` see ordinary modules. `get_bias` is what is overridden, because timm's fused
attention never calls `rel_pos.forward`.
"""

from dataclasses import dataclass

import torch
from timm.layers.attention import Attention
from timm.layers.patch_embed import PatchEmbed
from timm.layers.pos_embed_rel import RelPosBias, RelPosMlp
from timm.models.vision_transformer import Block, ResPostBlock, VisionTransformer
from timm.models.vision_transformer_relpos import RelPosBlock, ResPostRelPosBlock, VisionTransformerRelPos
from torch import nn

from trainers.errors import ConfigError
from trainers.models.gaussian import GaussianAttentionBias, GaussianBias, PermutedGaussianBias
from trainers.models.grid import TokenGrid


class GaussianRelPosBias(RelPosBias):
    """timm's table of relative positions, plus the Gaussian."""

    gaussian: GaussianAttentionBias

    def get_bias(self) -> torch.Tensor:
        """Table + Gaussian: [1, heads, N, N]."""
        return _add(super().get_bias(), self.gaussian)

    def set_window_size(self, window_size: tuple[int, int]) -> None:
        """Resize the table; lay the Gaussian over the new grid."""
        super().set_window_size(window_size)
        self.gaussian.set_grid(TokenGrid(*window_size, self.prefix_tokens))


class GaussianRelPosMlp(RelPosMlp):
    """timm's MLP of relative positions, plus the Gaussian."""

    gaussian: GaussianAttentionBias

    def get_bias(self) -> torch.Tensor:
        """MLP + Gaussian: [1, heads, N, N]."""
        # Only the Gaussian could be cached over a step: the MLP has dropout inside.
        return _add(super().get_bias(), self.gaussian)

    def set_window_size(self, window_size: tuple[int, int]) -> None:
        """Resize the MLP's grid; lay the Gaussian over the new one."""
        super().set_window_size(window_size)
        self.gaussian.set_grid(TokenGrid(*window_size, self.prefix_tokens))


class GaussianAttention(Attention):
    """timm's attention without a position bias, plus the Gaussian as its mask."""

    gaussian: GaussianAttentionBias

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False) -> torch.Tensor:
        """[B, N, C] -> [B, N, C], with Gaussian + `attn_mask` on the logits.

        Raises:
            ConfigError: the sequence is not the one that the Gaussian was made for, or attention is causal.
        """
        if x.shape[1] != self.gaussian.num_tokens:
            raise _wrong_length(x.shape[1], self.gaussian)
        if is_causal:
            raise ConfigError("a Gaussian attention bias can't be combined with causal attention")
        bias_1hNN = self.gaussian().unsqueeze(0).to(x.dtype)
        if attn_mask is None:
            attn_mask = bias_1hNN
        elif attn_mask.dtype == torch.bool:
            attn_mask = torch.where(attn_mask, bias_1hNN, float("-inf"))
        else:
            attn_mask = bias_1hNN + attn_mask
        return super().forward(x, attn_mask=attn_mask)


_WITH_GAUSSIAN: dict[type[nn.Module], type[nn.Module]] = {
    RelPosBias: GaussianRelPosBias,
    RelPosMlp: GaussianRelPosMlp,
    Attention: GaussianAttention,
}


@dataclass(frozen=True)
class AttachmentSite:
    """A module of a model that makes or takes an attention bias; `name` is its path in the model."""

    name: str
    module: nn.Module
    grid: TokenGrid
    num_heads: int

    def attach(self, config: GaussianBias | PermutedGaussianBias) -> None:
        """Give the module its Gaussian, in place."""
        device = next(self.module.parameters()).device
        gaussian = GaussianAttentionBias(config, self.grid, self.num_heads, device)
        self.module.add_module("gaussian", gaussian.train(self.module.training))
        self.module.__class__ = _WITH_GAUSSIAN[type(self.module)]


def find_sites(model: nn.Module) -> list[AttachmentSite]:
    """All modules of `model` that should get a Gaussian, in layer order.

    Raises:
        ConfigError: there is none, or a layer is of a kind that can't take a bias.
    """
    sites: list[AttachmentSite] = []
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, VisionTransformerRelPos):
            sites += _rel_pos_sites(module, prefix)
        elif isinstance(module, VisionTransformer):
            sites += _plain_sites(module, prefix)
    if not sites:
        raise ConfigError(
            f"{type(model).__name__} has no layer that can take an attention bias; "
            "timm's VisionTransformer and VisionTransformerRelPos have"
        )
    for site in sites:
        if type(site.module) not in _WITH_GAUSSIAN:
            raise _unknown(site.name, site.module)
    return sites


def patch_embedding(vit: VisionTransformer | VisionTransformerRelPos) -> PatchEmbed:
    """The layer that cuts the image into patches.

    Raises:
        ConfigError: it is none that lays plain patches on a grid (a convolutional stem, say).
    """
    if not isinstance(vit.patch_embed, PatchEmbed):
        raise ConfigError(
            f"{type(vit).__name__} makes its tokens with {type(vit.patch_embed).__name__}; an attention bias needs "
            "timm's PatchEmbed"
        )
    return vit.patch_embed


def _patch_grid(vit: VisionTransformer | VisionTransformerRelPos) -> TokenGrid:
    grid_size = patch_embedding(vit).grid_size
    if grid_size is None:
        raise ConfigError(f"{type(vit).__name__} has no fixed image size, so no attention bias can be added")
    height, width = grid_size
    return TokenGrid(height, width, vit.num_prefix_tokens)


def _rel_pos_sites(vit: VisionTransformerRelPos, prefix: str) -> list[AttachmentSite]:
    grid = _patch_grid(vit)
    sites = []
    for i, block in enumerate(vit.blocks):
        if not isinstance(block, RelPosBlock | ResPostRelPosBlock):
            raise _unknown(f"{prefix}blocks.{i}", block)
        if block.attn.rel_pos is not None:
            sites.append(
                AttachmentSite(f"{prefix}blocks.{i}.attn.rel_pos", block.attn.rel_pos, grid, block.attn.num_heads)
            )
        elif vit.shared_rel_pos is not None and not sites:
            # vit_srelpos_*: one module, and so one Gaussian, for all layers.
            sites.append(AttachmentSite(f"{prefix}shared_rel_pos", vit.shared_rel_pos, grid, block.attn.num_heads))
    return sites


def _plain_sites(vit: VisionTransformer, prefix: str) -> list[AttachmentSite]:
    if vit.dynamic_img_size:
        raise ConfigError(
            f"{type(vit).__name__} with dynamic_img_size has no fixed grid of tokens, so no attention bias can be "
            "added; build it with dynamic_img_size=False"
        )
    grid = _patch_grid(vit)
    sites = []
    for i, block in enumerate(vit.blocks):
        if not isinstance(block, Block | ResPostBlock):
            raise _unknown(f"{prefix}blocks.{i}", block)
        if not isinstance(block.attn, Attention):
            raise _unknown(f"{prefix}blocks.{i}.attn", block.attn)
        sites.append(AttachmentSite(f"{prefix}blocks.{i}.attn", block.attn, grid, block.attn.num_heads))
    return sites


def _add(bias: torch.Tensor, gaussian: GaussianAttentionBias) -> torch.Tensor:
    """[1, heads, N, N] + the Gaussian, in the dtype of `bias`."""
    if bias.shape[-1] != gaussian.num_tokens:
        raise _wrong_length(bias.shape[-1], gaussian)
    gaussian_hNN: torch.Tensor = gaussian()
    # Under autocast the model's own bias may be bf16: the sum is taken in fp32 and cast last.
    return (bias + gaussian_hNN).to(bias.dtype)


def _wrong_length(num_tokens: int, gaussian: GaussianAttentionBias) -> ConfigError:
    return ConfigError(
        f"the attention bias was made for {gaussian.num_tokens} tokens ({gaussian.num_prefix_tokens} prefix tokens "
        f"and a grid of {gaussian.num_tokens - gaussian.num_prefix_tokens}), but the layer sees {num_tokens}; "
        "build the model for this image size before attaching the bias"
    )


def _unknown(name: str, module: nn.Module) -> ConfigError:
    if type(module) in _WITH_GAUSSIAN.values():
        return ConfigError(f"{name} already has an attention bias")
    return ConfigError(
        f"{name} is a {type(module).__name__}, and no attention bias can be added to that; "
        f"known are {', '.join(known.__name__ for known in _WITH_GAUSSIAN)}"
    )
