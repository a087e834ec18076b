"""What a model says about its bias, and what the optimizer asks it."""

import pytest
import torch
from torch import nn

from trainers.models.bias import NoBias, attached_biases, bias_metrics, bias_parameters, token_sides_px
from trainers.models.gaussian import GaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig


def treated(config: GaussianBias | NoBias, **sizes) -> nn.Module:
    model = SmallVitConfig(width=12, depth=2, image_size_px=16, patch_size_px=8, **sizes).build(4)
    config.attach(model)
    return model


def test_metrics_of_every_layer():
    model = treated(GaussianBias(sigma=2.0, amplitude=1.5))
    with torch.no_grad():
        attached_biases(model)[1].sigma_param.fill_(-3.0)
    assert bias_metrics(model) == {"sigma/00": 2.0, "sigma/01": 3.0, "amplitude/00": 1.5, "amplitude/01": 1.5}


def test_metrics_of_every_head():
    model = treated(GaussianBias(per_head=True, sigma=2.0))
    with torch.no_grad():
        attached_biases(model)[0].sigma_param.copy_(torch.tensor([1.0, 2.0, 4.0]))
    metrics = bias_metrics(model)
    assert [key for key in metrics if key.startswith("sigma")] == [
        f"sigma/{layer:02d}_head{head}" for layer in range(2) for head in range(3)
    ]
    assert [metrics[f"sigma/00_head{head}"] for head in range(3)] == [1.0, 2.0, 4.0]
    assert metrics["amplitude/01_head2"] == 1.0


def test_a_token_of_a_later_stage_is_larger():
    assert token_sides_px(treated(GaussianBias())) == (8, 8)
    assert token_sides_px(treated(NoBias())) == ()
    sizes = {"depths": [1, 2, 1, 1], "embed_dim": 12, "num_heads": [1, 1, 2, 2]}
    with torch.device("meta"):
        swin = TimmConfig(name="swin_tiny_patch4_window7_224", pretrained=False, arguments=sizes).build(4)
        GaussianBias().attach(swin)
    assert token_sides_px(swin) == (4, 8, 8, 16, 32)


def test_names_of_many_heads_sort():
    keys = list(bias_metrics(treated(GaussianBias(per_head=True), num_heads=12)))
    assert keys[2] == "sigma/00_head02"
    assert keys == sorted(keys, key=lambda key: (key.startswith("amplitude"), key))


def test_no_bias_says_nothing():
    model = treated(NoBias())
    assert bias_metrics(model) == {}
    assert bias_parameters(model) == []
    assert attached_biases(model) == []


@pytest.mark.parametrize("per_head", [True, False])
def test_parameters_are_vectors_in_fp32(per_head):
    model = treated(GaussianBias(per_head=per_head, learn_amplitude=False))
    parameters = bias_parameters(model)
    assert len(parameters) == 4
    assert all(p.shape == (3 if per_head else 1,) and p.dtype == torch.float32 for p in parameters)
    assert sum(p.requires_grad for p in parameters) == 2
    assert {id(p) for p in parameters} <= {id(p) for p in model.parameters()}
