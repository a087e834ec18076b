"""Models of timm that take no attention bias (CNNs, mixers), and arguments of its `create_model`."""

import pytest
import torch
from pydantic import ValidationError

from trainers.config import TrialConfig
from trainers.errors import AnalysisError, ConfigError
from trainers.models.gaussian import GaussianBias
from trainers.models.timm_model import TimmConfig
from trainers.optimization.parameter_groups import parameter_groups
from trainers.runtime import Runtime
from trainers.training.trial import train

CNN = "test_resnet"


def trial(model, **changes):
    document = {
        "model": {"kind": "timm", **model},
        "dataset": {"kind": "digits", "num_train": 60, "num_val": 20},
        "optimization": {"epochs": 2, "global_batch_size": 30, "layer_decay": 0.8},
    }
    return TrialConfig.model_validate(document | changes)


@pytest.mark.parametrize(
    ("name", "size", "features"),
    [
        (CNN, 64, (2, 2)),
        ("test_convnext", 64, (2, 2)),
        ("test_efficientnet", 64, (2, 2)),
        ("mixer_s32_224", 224, (7, 7)),
        # A ViT whose tokens come from a CNN.
        ("vit_tiny_r_s16_p8_224", 224, (7, 7)),
    ],
)
def test_any_model_of_timm_is_one(name, size, features):
    config = TimmConfig(name=name, image_size_px=size)
    state = torch.random.get_rng_state()
    assert config.input_size_px == size
    assert config.grids().features[-1] == features
    assert config.grids().attention == ()
    assert config.forward_flops_per_image() > 1e5
    assert torch.equal(torch.random.get_rng_state(), state)
    assert "an attention bias" in str(config.no_bias)
    assert TimmConfig(name="test_vit").no_bias is None


def test_a_cnn_is_trained_looked_at_and_resumed_bit_for_bit(tmp_path):
    config = trial(
        {"name": CNN, "image_size_px": 32, "arguments": {"drop_rate": 0.1}},
        analyses=[{"kind": "receptive_field", "num_images": 4, "point": {"layer": 1}}],
    )

    def interrupt(report):
        if report.epoch == 1:
            raise KeyboardInterrupt

    def run(folder, on_epoch=None):
        return train(
            config,
            Runtime(device="cpu", num_threads=1, storage=tmp_path / folder, checkpoint_minutes=0),
            on_epoch=on_epoch,
        )

    with pytest.raises(KeyboardInterrupt):
        run("interrupted", interrupt)
    again, whole = run("interrupted"), run("whole")
    assert "receptive_field/rms_radius_tokens" in whole.metrics
    assert again.learned_bias == ()
    weights = [
        torch.load(tmp_path / folder / "best_weights.pt", weights_only=True)["state"]["best_weights"]
        for folder in ("interrupted", "whole")
    ]
    assert any(name.endswith("running_mean") and value.any() for name, value in weights[0].items())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_batch_norm_needs_two_values_of_each_channel():
    def batch(size, accumulation, epochs=1):
        optimization = {"epochs": epochs, "global_batch_size": 4, "accumulation_steps": accumulation}
        config = trial(
            {"name": CNN, "image_size_px": size},
            dataset={"kind": "digits", "num_train": 12, "num_val": 10, "num_test": 10},
            optimization=optimization,
        )
        return train(config, Runtime(device="cpu", num_threads=1))

    with pytest.raises(ConfigError, match=r"test_resnet_px32 can't be trained on micro-batches of 1 image: .* layer4"):
        batch(32, 4)
    # Two images, several places in one image, or no training.
    assert batch(32, 2).best_epoch == 0
    assert batch(64, 4).best_epoch == 0
    assert batch(32, 4, epochs=0).best_epoch is None


def test_vectors_and_norms_of_a_cnn_do_not_decay():
    model = TimmConfig(name=CNN, image_size_px=32).build(5)
    groups = parameter_groups(model, model, bias=(), weight_decay=0.1, bias_lr_multiplier=1, layer_decay=0.5)
    for group in groups:
        assert all((parameter.ndim > 1) == (group["weight_decay"] > 0) for parameter in group["params"])
    assert len({group["lr_multiplier"] for group in groups}) > 3
    flat = TimmConfig(name="csatv2", image_size_px=64).build(5)
    with pytest.raises(ConfigError, match="does not number its layers: layer_decay can only be 1"):
        parameter_groups(flat, flat, bias=(), weight_decay=0.1, bias_lr_multiplier=1, layer_decay=0.5)


def test_no_bias_is_attached_to_it():
    with pytest.raises(ConfigError, match="ResNet has no layer that can take an attention bias"):
        GaussianBias().attach(TimmConfig(name=CNN, image_size_px=32).build(5))


def test_features_without_a_grid_are_said():
    with pytest.raises(AnalysisError, match="gives no grid of features"):
        TimmConfig(name="hiera_tiny_224").grids()


def test_arguments_reach_timm_and_the_label():
    config = TimmConfig(
        name="test_vit", image_size_px=32, arguments={"drop_rate": 0.3, "global_pool": "avg", "qkv_bias": False}
    )
    model = config.build(5)
    assert (model.head_drop.p, model.global_pool, model.blocks[0].attn.qkv.bias) == (0.3, "avg", None)
    assert config.label == "test_vit_px32_drop_rate0.3_global_pool_avg_no_qkv_bias"
    assert config == TimmConfig.model_validate_json(config.model_dump_json())
    assert hash(config) != hash(TimmConfig(name="test_vit", image_size_px=32))
    smaller = TimmConfig(name="swin_tiny_patch4_window7_224", arguments={"depths": [1, 1, 1, 1]})
    assert smaller.label == "swin_tiny_patch4_window7_224_depths1-1-1-1"
    assert len(smaller.grids().attention) == 4
    assert smaller.forward_flops_per_image() < TimmConfig(name=smaller.name).forward_flops_per_image()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "test_vit", "arguments": {"drop_rat": 0.1}}, "no argument `drop_rat`; the nearest are drop_rate, "),
        ({"name": CNN, "arguments": {"bogus": 1}}, "no argument `bogus`; the nearest are block_args"),
        ({"name": CNN, "arguments": {"num_classes": 3}}, "`num_classes` is not set here: the data set has its classes"),
        ({"name": CNN, "arguments": {"img_size": 64}}, "`img_size` is not set here: set `image_size_px`"),
        ({"name": CNN, "arguments": {"pretrained": True}}, "`pretrained` is not set here: set `pretrained`"),
        ({"name": CNN, "arguments": {"drop_path_rate": 0.1}}, "`drop_path_rate` is not set here: set `drop_path`"),
        ({"name": CNN, "arguments": {"drop_rate": None}}, "`drop_rate` is null, which timm takes for its default"),
        (
            {"name": CNN, "arguments": {"global_pool": "foo"}},
            "can't build test_resnet with global_pool = foo: .*Invalid",
        ),
        ({"name": CNN, "arguments": {"global_pool": ""}}, "test_resnet can't see images|where .1, 10. is needed"),
        ({"name": "densenet121", "drop_path": 0.1}, "has no stochastic depth; set drop_path to 0"),
        ({"name": CNN, "position_embedding": "zero"}, "ResNet has no learned position embedding"),
        ({"name": "mixer_s32_224", "image_size_px": 100}, "not a multiple of the patch size 32 px"),
    ],
)
def test_what_timm_does_not_take_is_refused_before_anything_runs(fields, message):
    with pytest.raises(ValidationError, match=message):
        TimmConfig(**fields)
