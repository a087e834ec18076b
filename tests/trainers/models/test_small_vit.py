"""The small ViT: what it is made of, what it refuses, how it is called."""

import pickle

import pytest
import torch
from pydantic import ValidationError
from timm.layers import LayerScale, RelPosBias, RelPosMlp
from torch import nn

from trainers.models.flops import count_forward_flops
from trainers.models.grids import grids_of
from trainers.models.small_vit import SmallVitConfig

POSITIONS = ["rel_bias", "rel_mlp", "absolute"]


@pytest.mark.parametrize("position", POSITIONS)
def test_maps_images_to_logits(position):
    config = SmallVitConfig(position=position, image_size_px=24, patch_size_px=8)
    model = config.build(7).eval()
    assert model(torch.randn(2, 3, 24, 24)).shape == (2, 7)
    assert len(model.blocks) == 3
    assert model.num_prefix_tokens == 0
    assert model.global_pool == "avg"
    assert isinstance(model.norm, nn.LayerNorm)
    assert isinstance(model.fc_norm, nn.Identity)


@pytest.mark.parametrize("position", POSITIONS)
def test_has_no_layer_scale(position):
    assert not any(isinstance(module, LayerScale) for module in SmallVitConfig(position=position).build(3).modules())


@pytest.mark.parametrize(("position", "kind"), [("rel_bias", RelPosBias), ("rel_mlp", RelPosMlp)])
def test_every_layer_has_its_relative_position(position, kind):
    model = SmallVitConfig(position=position).build(3)
    assert [type(block.attn.rel_pos) for block in model.blocks] == [kind] * 3


def test_absolute_position_is_one_embedding():
    model = SmallVitConfig(position="absolute").build(3)
    assert model.pos_embed.shape == (1, 64, 48)


def test_same_seed_same_weights():
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        weights.append(SmallVitConfig().build(3).state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_drop_path_grows_with_depth():
    model = SmallVitConfig(drop_path=0.2).build(3)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in model.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 50}, "width 50 is not a multiple of num_heads 3"),
        ({"image_size_px": 30}, "image_size_px 30 is not a multiple of the patch size 4 px"),
        ({"image_size_px": 1024, "patch_size_px": 1}, "makes 1048576 tokens; at most 4096"),
        ({"width": 8, "num_heads": 2, "mlp_ratio": 0.1}, "without a hidden unit"),
        ({"width": 10_000}, "less than or equal to 4096"),
        ({"position": "rotary"}, "'rel_bias', 'rel_mlp' or 'absolute'"),
        ({"withd": 48}, "Extra inputs are not permitted"),
    ],
)
def test_refuses(fields, message):
    with pytest.raises(ValidationError, match=message):
        SmallVitConfig(**fields)


def test_labels_tell_models_apart():
    assert SmallVitConfig().label == "small_vit_48x3_rel_bias"
    others = [
        SmallVitConfig(width=96),
        SmallVitConfig(num_heads=4),
        SmallVitConfig(mlp_ratio=2.5),
        SmallVitConfig(image_size_px=64),
        SmallVitConfig(patch_size_px=8),
        SmallVitConfig(drop_path=0.1),
        SmallVitConfig(position="rel_mlp"),
    ]
    labels = {config.label for config in others}
    assert len(labels) == len(others)
    assert SmallVitConfig().label not in labels
    assert not any("/" in label for label in labels)
    assert SmallVitConfig(mlp_ratio=2.5, patch_size_px=8).label == "small_vit_48x3_rel_bias_mlp2.5_p8"


def test_cost_is_the_matrix_products():
    tokens, width, hidden, depth = 64, 48, 192, 3
    multiply_adds = tokens * (4 * 4 * 3) * width + width * 10
    multiply_adds += depth * tokens * (3 * width**2 + width**2 + 2 * width * hidden + 2 * tokens * width)
    assert SmallVitConfig(position="absolute").forward_flops_per_image() == 2 * multiply_adds


def test_asking_for_the_cost_draws_nothing():
    state = torch.random.get_rng_state()
    SmallVitConfig(width=24, position="rel_mlp").forward_flops_per_image()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_facts_of_the_input():
    config = SmallVitConfig(image_size_px=64)
    assert (config.input_size_px, config.input_mean, config.input_std) == (64, (0.5,) * 3, (0.5,) * 3)


def test_a_built_model_pickles():
    model = SmallVitConfig(depth=1).build(3).eval()
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(pickle.loads(pickle.dumps(model))(images), model(images))


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"width": 12, "depth": 2, "num_heads": 1, "image_size_px": 16},
        {"depth": 1, "mlp_ratio": 2.3, "patch_size_px": 8, "drop_path": 0.1},
        {"width": 64, "num_heads": 4, "image_size_px": 60, "patch_size_px": 5, "mlp_ratio": 0.5},
    ],
)
def test_says_by_formula_what_its_network_costs_and_where_its_tokens_lie(position, sizes):
    config = SmallVitConfig(position=position, **sizes)
    with torch.device("meta"):
        model = config.build_fresh(10)
        assert config.forward_flops_per_image() == count_forward_flops(model, config.input_size_px)
        assert config.grids() == grids_of(model, config.input_size_px)
