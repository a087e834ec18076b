"""Small models of every family, for contracts: made by the config's own `build`, with timm's sizes cut down."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from trainers.models import GaussianBias, ModelConfig, SmallVitConfig, TimmConfig
from trainers.models.bias import attach_bias, attached_biases

Grids = list[tuple[int, int]]


@dataclass(frozen=True)
class Example:
    """One model; the grids are worked out by hand from patch, window and image, not asked of the code."""

    config_class: type[SmallVitConfig | TimmConfig]
    fields: dict[str, Any]
    grids: dict[int, Grids]
    """Image size -> grid of tokens in each layer's attention."""
    prefix: int = 0
    sizes: dict[str, Any] = field(default_factory=dict)
    """timm's keyword arguments that make the model small."""
    resized: tuple[int, Grids] | None = None
    """Grids after timm's own `set_input_size` to another image size, where the bias follows it."""
    position_vanishes: bool = True
    """Whether a zeroed position embedding leaves a model for which patches have no order."""

    def config(self, image_size_px: int | None = None, **changes: Any) -> ModelConfig:
        return self.config_class(**self.fields, image_size_px=image_size_px or self.image_size_px, **changes)

    @property
    def image_size_px(self) -> int:
        return next(iter(self.grids))

    def images(self, image_size_px: int | None = None) -> torch.Tensor:
        side = image_size_px or self.image_size_px
        return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))

    def worn(self, image_size_px: int | None = None) -> nn.Module:
        """As if trained: no weight keeps a value that hides attention (a LayerScale of 1e-5, a norm's zero gain)."""
        model = build(self.config(image_size_px))
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        return model.eval()


def build(config: ModelConfig, *, position_seed: int = 0) -> nn.Module:
    torch.manual_seed(0)
    return config.build(num_classes=7, position_seed=position_seed)


def treat(model: nn.Module, *, per_head: bool = False) -> nn.Module:
    """Attach Gaussians whose sigma and A differ from layer to layer, and from head to head."""
    attach_bias(model, GaussianBias(per_head=per_head))
    with torch.no_grad():
        for layer, bias in enumerate(attached_biases(model)):
            steps = torch.arange(len(bias.sigma_param))
            bias.sigma_param.copy_(0.8 + 0.3 * layer + 0.2 * steps)
            bias.amplitude_param.copy_(2.0 - 0.2 * layer + 0.1 * steps)
    return model


def _patches(patch_size_px: int, *sides: int) -> dict[int, Grids]:
    """Grids of two layers that attend over the whole image."""
    return {patch_size_px * side: [(side, side)] * 2 for side in sides}


VIT = {"embed_dim": 24, "depth": 2, "num_heads": 3}
VIT_RESIZED = (80, [(5, 5)] * 2)
SWIN = {"embed_dim": 12, "depths": (2, 2), "num_heads": (3, 6), "window_size": 4}
# A 6 x 6 map in windows of 4 (padded; the second block is shifted and masked), then 3 x 3: a clipped window.
SWIN_GRIDS = {24: [(4, 4), (4, 4), (3, 3), (3, 3)], 48: [(4, 4)] * 4}
# timm scales the window with the map: 12 x 12 in windows of 8, then 6 x 6.
SWIN_RESIZED = (48, [(8, 8), (8, 8), (6, 6), (6, 6)])


def _small(position: str) -> Example:
    fields = {"position": position, "width": 24, "depth": 2}
    return Example(
        SmallVitConfig,
        fields,
        _patches(4, 4, 5),
        resized=None if position == "absolute" else (20, [(5, 5)] * 2),
    )


def _timm(name: str, grids: dict[int, Grids], prefix: int, sizes: dict[str, Any], **more: Any) -> Example:
    return Example(TimmConfig, {"name": name}, grids, prefix, sizes, **more)


EXAMPLES = {
    "small_vit-rel_bias": _small("rel_bias"),
    "small_vit-rel_mlp": _small("rel_mlp"),
    "small_vit-absolute": _small("absolute"),
    "relpos": _timm("vit_relpos_small_patch16_224", _patches(16, 4, 5), 0, VIT, resized=VIT_RESIZED),
    "relpos_cls": _timm("vit_relpos_medium_patch16_cls_224", _patches(16, 4, 5), 1, VIT, resized=VIT_RESIZED),
    "relpos_clsgap": _timm("vit_relpos_base_patch16_clsgap_224", _patches(16, 4, 5), 1, VIT, resized=VIT_RESIZED),
    "srelpos": _timm("vit_srelpos_small_patch16_224", _patches(16, 4, 5), 0, VIT, resized=VIT_RESIZED),
    "plain": _timm("vit_tiny_patch16_224", _patches(16, 4, 5), 1, VIT),
    "deit_distilled": _timm("deit_tiny_distilled_patch16_224", _patches(16, 4, 5), 2, VIT),
    "beit": _timm("beit_base_patch16_224", _patches(16, 4, 5), 1, VIT, resized=VIT_RESIZED),
    "beit_shared": _timm(
        "beitv2_base_patch16_224",
        _patches(16, 4, 5),
        1,
        {**VIT, "use_rel_pos_bias": False, "use_shared_rel_pos_bias": True, "use_abs_pos_emb": True},
        resized=VIT_RESIZED,
    ),
    "swin": _timm("swin_tiny_patch4_window7_224", SWIN_GRIDS, 0, SWIN, resized=SWIN_RESIZED, position_vanishes=False),
    "swin_v2": _timm("swinv2_tiny_window8_256", SWIN_GRIDS, 0, SWIN, resized=SWIN_RESIZED, position_vanishes=False),
    # Its rotary position has no parameters, so it stays.
    "eva02": _timm("eva02_tiny_patch14_224", _patches(14, 4, 5), 1, VIT, position_vanishes=False),
    "rope_mixed": _timm("vit_small_patch16_rope_mixed_224", _patches(16, 4, 5), 1, VIT),
}
