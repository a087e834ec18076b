"""What every model family must do. A new member of `ModelConfig` is asked by adding one example here."""

from typing import get_args

import pytest
import torch

from trainers.models import GaussianBias, ModelConfig, SmallVitConfig, TimmConfig
from trainers.models.bias import attach_bias, attached_biases

EXAMPLES = {
    "small_vit-rel_bias": SmallVitConfig(position="rel_bias"),
    "small_vit-rel_mlp": SmallVitConfig(position="rel_mlp"),
    "small_vit-absolute": SmallVitConfig(position="absolute"),
    "timm-relpos": TimmConfig(name="vit_relpos_small_patch16_224", image_size_px=64),
    "timm-plain": TimmConfig(name="vit_tiny_patch16_224", image_size_px=64),
}

each_family = pytest.mark.parametrize("config", EXAMPLES.values(), ids=EXAMPLES.keys())


def build(config: ModelConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    return config.build(num_classes=7)


def images(config: ModelConfig) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, config.input_size_px, config.input_size_px, generator=generator)


def test_every_member_of_the_union_has_an_example() -> None:
    assert {type(config) for config in EXAMPLES.values()} == set(get_args(ModelConfig))


@each_family
def test_gives_one_logit_per_class(config: ModelConfig) -> None:
    logits = build(config).eval()(images(config))
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()


@each_family
def test_label_fits_into_run_names_and_paths(config: ModelConfig) -> None:
    assert config.label
    assert "/" not in config.label
    assert config.label == config.label.strip()


@each_family
def test_building_is_a_function_of_the_seed(config: ModelConfig) -> None:
    first, second = build(config).state_dict(), build(config).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@each_family
def test_the_gaussian_changes_the_output_and_is_learned(config: ModelConfig) -> None:
    control, treatment = build(config), build(config)
    attach_bias(treatment, GaussianBias(sigma=1.0, amplitude=2.0))
    shared = control.state_dict()
    assert all(torch.equal(value, shared[name]) for name, value in treatment.state_dict().items() if name in shared)
    # A fresh head may be zero-initialised: the features must differ, not only the logits.
    with torch.no_grad():
        assert not torch.allclose(
            control.eval().forward_features(images(config)), treatment.eval().forward_features(images(config))
        )
    torch.nn.init.normal_(treatment.get_classifier().weight, generator=torch.Generator().manual_seed(2))
    treatment(images(config)).square().sum().backward()
    biases = attached_biases(treatment)
    # Where the class token is read out, the last layer's patch-to-patch logits reach no output: its sigma stays put.
    learning = biases[:-1] if treatment.global_pool == "token" else biases
    for bias in learning:
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in bias.parameters())


@each_family
def test_flops_grow_with_the_model(config: ModelConfig) -> None:
    parameters = sum(parameter.numel() for parameter in build(config).parameters())
    # A multiply-add is two operations and every weight of a ViT meets at least one token.
    assert config.forward_flops_per_image() > parameters
