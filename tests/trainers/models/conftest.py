"""Small ViTs of every kind that can take an attention bias, on images that are not square."""

from collections.abc import Callable

import pytest
import torch
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch import nn

from tests.contracts.model_examples import ODD


@pytest.fixture(params=list(ODD))
def build(request) -> Callable[[], nn.Module]:
    """Builds a model in eval mode from seed 0, the same weights at every call."""

    def build_seeded() -> nn.Module:
        torch.manual_seed(0)
        return ODD[request.param]().eval()

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
