"""Small models of every family, the one roster of the tests.

Each is made by the config's own `build`, with timm's sizes cut down, on square images as configs have them. Its
`odd` ones are made by timm's classes: over a grid that is not square, and with what no name of timm's brings along.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.models.beit import Beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from timm.models.vision_transformer_relpos import ResPostRelPosBlock, VisionTransformerRelPos
from torch import nn

from trainers.kinds import ModelConfig
from trainers.models.bias import attached_biases
from trainers.models.gaussian import GaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig

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
    odd: dict[str, Callable[[], nn.Module]] = field(default_factory=dict)
    """The same family over 3 x 5 tokens of images of 12 x 20 px, in its variants; of timm's names at least one."""

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
    GaussianBias(per_head=per_head).attach(model)
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


# Non-square on purpose: 3 x 5 patch tokens of an image of 12 x 20 px.
SIZES = {"img_size": (12, 20), "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 3, "num_classes": 4}
SIZES_OF_SWIN = {
    "img_size": (12, 20), "patch_size": 4, "embed_dim": 12, "depths": (2,), "num_heads": (3,), "window_size": (3, 5),
    "num_classes": 4, "drop_path_rate": 0.0,
}  # fmt: skip
# timm starts these heads at a thousandth: no bias would show.
FULL_HEAD = {"head_init_scale": 1.0}
NO_LAYER_SCALE = {"init_values": 0.0}


def with_unit_gain(model: nn.Module) -> nn.Module:
    """Swin v2 starts with the gain 0 behind its attention: no bias would show."""
    for block in model.layers[0].blocks:
        nn.init.ones_(block.norm1.weight)
        nn.init.ones_(block.norm2.weight)
    return model


EXAMPLES = {
    "small_vit-rel_bias": _small("rel_bias"),
    "small_vit-rel_mlp": _small("rel_mlp"),
    "small_vit-absolute": _small("absolute"),
    "relpos": _timm(
        "vit_relpos_small_patch16_224",
        _patches(16, 4, 5),
        0,
        VIT,
        resized=VIT_RESIZED,
        odd={
            "rel_bias": lambda: VisionTransformerRelPos(**SIZES, **NO_LAYER_SCALE, rel_pos_type="bias"),
            "rel_mlp": lambda: VisionTransformerRelPos(**SIZES, **NO_LAYER_SCALE, rel_pos_type="mlp"),
            "rel_mlp_respost": lambda: VisionTransformerRelPos(
                **SIZES, init_values=None, rel_pos_type="mlp", block_fn=ResPostRelPosBlock
            ),
        },
    ),
    "relpos_cls": _timm(
        "vit_relpos_medium_patch16_cls_224",
        _patches(16, 4, 5),
        1,
        VIT,
        resized=VIT_RESIZED,
        odd={
            "rel_bias_cls": lambda: VisionTransformerRelPos(
                **SIZES, **NO_LAYER_SCALE, rel_pos_type="bias", class_token=True, global_pool="token"
            ),
        },
    ),
    "relpos_clsgap": _timm(
        "vit_relpos_base_patch16_clsgap_224",
        _patches(16, 4, 5),
        1,
        VIT,
        resized=VIT_RESIZED,
        odd={
            "rel_mlp_clsgap": lambda: VisionTransformerRelPos(
                **SIZES, **NO_LAYER_SCALE, rel_pos_type="mlp", class_token=True, global_pool="avg", fc_norm=True
            ),
        },
    ),
    "srelpos": _timm(
        "vit_srelpos_small_patch16_224",
        _patches(16, 4, 5),
        0,
        VIT,
        resized=VIT_RESIZED,
        odd={
            "shared_bias": lambda: VisionTransformerRelPos(
                **SIZES, **NO_LAYER_SCALE, rel_pos_type="bias", shared_rel_pos=True
            ),
            "shared_mlp_cls": lambda: VisionTransformerRelPos(
                **SIZES, **NO_LAYER_SCALE, rel_pos_type="mlp", shared_rel_pos=True, class_token=True
            ),
        },
    ),
    "plain": _timm(
        "vit_tiny_patch16_224",
        _patches(16, 4, 5),
        1,
        VIT,
        odd={
            "plain": lambda: VisionTransformer(**SIZES, class_token=False, global_pool="avg"),
            "plain_cls_registers": lambda: VisionTransformer(**SIZES, reg_tokens=2),
            "plain_respost": lambda: VisionTransformer(**SIZES, block_fn=ResPostBlock),
        },
    ),
    "deit_distilled": _timm(
        "deit_tiny_distilled_patch16_224",
        _patches(16, 4, 5),
        2,
        VIT,
        odd={
            "distilled": lambda: VisionTransformerDistilled(**SIZES),
        },
    ),
    "beit": _timm(
        "beit_base_patch16_224",
        _patches(16, 4, 5),
        1,
        VIT,
        resized=VIT_RESIZED,
        odd={
            "beit": lambda: Beit(**SIZES, **FULL_HEAD, use_abs_pos_emb=False, use_rel_pos_bias=True),
            "beit_absolute": lambda: Beit(**SIZES, **FULL_HEAD),
        },
    ),
    "beit_shared": _timm(
        "beitv2_base_patch16_224",
        _patches(16, 4, 5),
        1,
        {**VIT, "use_rel_pos_bias": False, "use_shared_rel_pos_bias": True, "use_abs_pos_emb": True},
        resized=VIT_RESIZED,
        odd={"beit_shared": lambda: Beit(**SIZES, **FULL_HEAD, use_shared_rel_pos_bias=True)},
    ),
    "swin": _timm(
        "swin_tiny_patch4_window7_224",
        SWIN_GRIDS,
        0,
        SWIN,
        resized=SWIN_RESIZED,
        position_vanishes=False,
        odd={
            "swin": lambda: SwinTransformer(**SIZES_OF_SWIN),
        },
    ),
    "swin_v2": _timm(
        "swinv2_tiny_window8_256",
        SWIN_GRIDS,
        0,
        SWIN,
        resized=SWIN_RESIZED,
        position_vanishes=False,
        odd={
            "swin_v2": lambda: with_unit_gain(SwinTransformerV2(**SIZES_OF_SWIN)),
        },
    ),
    # Its rotary position has no parameters, so it stays.
    "eva02": _timm(
        "eva02_tiny_patch14_224",
        _patches(14, 4, 5),
        1,
        VIT,
        position_vanishes=False,
        odd={
            "eva": lambda: Eva(**SIZES, **FULL_HEAD, use_rot_pos_emb=True, global_pool="avg"),
        },
    ),
    "rope_mixed": _timm(
        "vit_small_patch16_rope_mixed_224",
        _patches(16, 4, 5),
        1,
        VIT,
        odd={
            "eva_rope": lambda: Eva(
                **SIZES, **FULL_HEAD, use_abs_pos_emb=False, use_rot_pos_emb=True, rope_type="mixed", attn_type="rope"
            ),
        },
    ),
}
ODD = {name: make for example in EXAMPLES.values() for name, make in example.odd.items()}
