"""Small ViTs of every kind that can take an attention bias."""

from collections.abc import Callable

import pytest
import torch
from timm.models.beit import Beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from timm.models.vision_transformer_relpos import ResPostRelPosBlock, VisionTransformerRelPos
from torch import nn

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


MODELS: dict[str, Callable[[], nn.Module]] = {
    "rel_bias": lambda: VisionTransformerRelPos(**SIZES, **NO_LAYER_SCALE, rel_pos_type="bias"),
    "rel_mlp": lambda: VisionTransformerRelPos(**SIZES, **NO_LAYER_SCALE, rel_pos_type="mlp"),
    "rel_bias_cls": lambda: VisionTransformerRelPos(
        **SIZES, **NO_LAYER_SCALE, rel_pos_type="bias", class_token=True, global_pool="token"
    ),
    "rel_mlp_clsgap": lambda: VisionTransformerRelPos(
        **SIZES, **NO_LAYER_SCALE, rel_pos_type="mlp", class_token=True, global_pool="avg", fc_norm=True
    ),
    "rel_mlp_respost": lambda: VisionTransformerRelPos(
        **SIZES, init_values=None, rel_pos_type="mlp", block_fn=ResPostRelPosBlock
    ),
    "shared_bias": lambda: VisionTransformerRelPos(**SIZES, **NO_LAYER_SCALE, rel_pos_type="bias", shared_rel_pos=True),
    "shared_mlp_cls": lambda: VisionTransformerRelPos(
        **SIZES, **NO_LAYER_SCALE, rel_pos_type="mlp", shared_rel_pos=True, class_token=True
    ),
    "plain": lambda: VisionTransformer(**SIZES, class_token=False, global_pool="avg"),
    "plain_cls_registers": lambda: VisionTransformer(**SIZES, reg_tokens=2),
    "plain_respost": lambda: VisionTransformer(**SIZES, block_fn=ResPostBlock),
    "distilled": lambda: VisionTransformerDistilled(**SIZES),
    "beit": lambda: Beit(**SIZES, **FULL_HEAD, use_abs_pos_emb=False, use_rel_pos_bias=True),
    "beit_shared": lambda: Beit(**SIZES, **FULL_HEAD, use_shared_rel_pos_bias=True),
    "beit_absolute": lambda: Beit(**SIZES, **FULL_HEAD),
    "swin": lambda: SwinTransformer(**SIZES_OF_SWIN),
    "swin_v2": lambda: with_unit_gain(SwinTransformerV2(**SIZES_OF_SWIN)),
    "eva": lambda: Eva(**SIZES, **FULL_HEAD, use_rot_pos_emb=True, global_pool="avg"),
    "eva_rope": lambda: Eva(
        **SIZES, **FULL_HEAD, use_abs_pos_emb=False, use_rot_pos_emb=True, rope_type="mixed", attn_type="rope"
    ),
}


@pytest.fixture(params=list(MODELS))
def build(request) -> Callable[[], nn.Module]:
    """Builds a model in eval mode from seed 0, the same weights at every call."""

    def build_seeded() -> nn.Module:
        torch.manual_seed(0)
        return MODELS[request.param]().eval()

    return build_seeded


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 12, 20, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def set_fused() -> Callable[[nn.Module, bool], None]:
    """Switch timm's fused attention of a built model."""

    def switch(model: nn.Module, fused: bool) -> None:
        layers = [module for module in model.modules() if hasattr(module, "fused_attn")]
        # Swin v2 has no fused attention.
        assert layers or isinstance(model, SwinTransformerV2)
        for layer in layers:
            layer.fused_attn = fused

    return switch
