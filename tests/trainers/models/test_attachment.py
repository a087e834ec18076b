"""Attaching: what the bias changes in a real model, and what it must leave alone."""

import copy
import random

import numpy as np
import pytest
import torch
from timm.layers.attention import Attention
from timm.models import create_model, list_models
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import nn

from trainers.errors import ConfigError
from trainers.models.attachment import find_sites
from trainers.models.bias import NoBias, attached_biases
from trainers.models.gaussian import GaussianBias, PermutedGaussianBias
from trainers.models.grid import TokenGrid

STRONG = GaussianBias(sigma=1.5, amplitude=2.0)
BIASES = [STRONG, GaussianBias(per_head=True), PermutedGaussianBias(sigma=1.5, amplitude=2.0)]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("config", BIASES, ids=["shared", "per_head", "permuted"])
def test_the_bias_reaches_the_logits_and_learns(build, images, set_fused, fused, config):
    control, treated = build(), build()
    config.attach(treated)
    set_fused(control, fused)
    set_fused(treated, fused)
    logits = treated(images)
    # A bias that never arrives changes nothing at all; rounding stays below 1e-7 here.
    assert (logits - control(images)).abs().max() > 1e-6
    logits.square().sum().backward()
    gaussians = attached_biases(treated)
    for layer, gaussian in enumerate(gaussians):
        # Where the head reads the class token alone, the last layer's patch queries, and so its bias, go unread.
        unread = treated.global_pool == "token" and layer > 0
        assert torch.all((gaussian.sigma_param.grad == 0) == unread)
        assert torch.all((gaussian.amplitude_param.grad == 0) == unread)


def test_fused_and_plain_attention_agree(build, images, set_fused):
    model = build()
    STRONG.attach(model)
    results = []
    for fused in (True, False):
        set_fused(model, fused)
        model.zero_grad()
        logits = model(images)
        logits.square().sum().backward()
        results.append((logits.detach(), [p.grad.clone() for g in attached_biases(model) for p in g.parameters()]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


def test_without_height_the_model_is_the_control(build, images):
    control, treated = build(), build()
    STRONG.attach(treated)
    with torch.no_grad():
        for gaussian in attached_biases(treated):
            gaussian.amplitude_param.zero_()
    torch.testing.assert_close(treated(images), control(images), rtol=1e-5, atol=1e-6)


def test_no_bias_leaves_the_model_untouched(build):
    control, model = build(), build()
    NoBias().attach(model)
    assert [type(m) for m in model.modules()] == [type(m) for m in control.modules()]
    assert list(model.state_dict()) == list(control.state_dict())


@pytest.mark.parametrize("config", [NoBias(), *BIASES])
def test_both_arms_start_from_the_same_bits(build, config):
    control = build()
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    treated = build()
    config.attach(treated)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    np.testing.assert_equal(np.random.get_state(), states[2])  # noqa: NPY002
    weights = treated.state_dict()
    for key, value in control.state_dict().items():
        assert torch.equal(weights[key], value), key


def test_a_plain_checkpoint_lacks_only_the_gaussians_keys(build):
    control, treated = build(), build()
    STRONG.attach(treated)
    added = set(treated.state_dict()) - set(control.state_dict())
    assert added
    assert all(key.split(".")[-2:] in (["gaussian", "sigma_param"], ["gaussian", "amplitude_param"]) for key in added)
    outcome = treated.load_state_dict(control.state_dict(), strict=False)
    assert set(outcome.missing_keys) == added
    assert outcome.unexpected_keys == []


@pytest.mark.parametrize("training", [True, False])
def test_training_mode_is_kept(build, training):
    model = build().train(training)
    STRONG.attach(model)
    assert all(module.training is training for module in model.modules())


def test_one_gaussian_for_each_layer_or_for_the_shared_module(build):
    model = build()
    STRONG.attach(model)
    shared = isinstance(model, VisionTransformerRelPos) and model.shared_rel_pos is not None
    assert len(attached_biases(model)) == (1 if shared else 2)


@pytest.mark.parametrize("rel_pos_type", ["bias", "mlp"])
@pytest.mark.parametrize("class_token", [True, False])
def test_a_rel_pos_module_adds_its_gaussian(rel_pos_type, class_token):
    model = VisionTransformerRelPos(
        img_size=(12, 20), patch_size=4, embed_dim=12, depth=1, num_heads=3, rel_pos_type=rel_pos_type,
        class_token=class_token,
    ).eval()  # fmt: skip
    plain = model.blocks[0].attn.rel_pos.get_bias().detach()
    STRONG.attach(model)
    gaussian = torch.exp(-TokenGrid(3, 5).squared_distances() / (2 * 1.5**2)) * 4
    prefix = int(class_token)
    difference = (model.blocks[0].attn.rel_pos.get_bias() - plain).detach()
    assert difference.shape == (1, 3, 15 + prefix, 15 + prefix)
    torch.testing.assert_close(difference[0, :, prefix:, prefix:], gaussian.expand(3, 15, 15), rtol=0, atol=1e-6)
    assert torch.count_nonzero(difference[:, :, :prefix]) == 0
    # timm's path without fused attention goes through `forward`.
    logits = torch.zeros(1, 3, 15 + prefix, 15 + prefix)
    assert torch.equal(model.blocks[0].attn.rel_pos(logits), model.blocks[0].attn.rel_pos.get_bias())


class TestPlainAttention:
    """The plain ViT's layer against softmax(Q K^T / sqrt(D) + mask + B) V, written out."""

    @pytest.fixture
    def vit(self):
        torch.manual_seed(0)
        model = VisionTransformer(
            img_size=(12, 20), patch_size=4, embed_dim=12, depth=2, num_heads=3, reg_tokens=1, num_classes=4
        )
        GaussianBias(sigma=1.5, amplitude=2.0, per_head=True).attach(model)
        return model.eval()

    @staticmethod
    def by_hand(layer: Attention, x, mask):
        batch, length, width = x.shape
        qkv = (x @ layer.qkv.weight.T + layer.qkv.bias).reshape(batch, length, 3, 3, 4).permute(2, 0, 3, 1, 4)
        bias = torch.zeros(3, 17, 17)
        bias[:, 2:, 2:] = torch.exp(-TokenGrid(3, 5).squared_distances() / (2 * 1.5**2)) * 4
        weights = (qkv[0] @ qkv[1].transpose(-1, -2) / 2 + bias + mask).softmax(dim=-1)
        out = (weights @ qkv[2]).transpose(1, 2).reshape(batch, length, width)
        return out @ layer.proj.weight.T + layer.proj.bias

    @pytest.mark.parametrize("kind", ["none", "float", "bool"])
    @pytest.mark.parametrize("fused", [True, False])
    def test_adds_the_gaussian_to_any_mask(self, vit, set_fused, kind, fused):
        set_fused(vit, fused)
        layer = vit.blocks[1].attn
        generator = torch.Generator().manual_seed(3)
        x = torch.randn(2, 17, 12, generator=generator)
        added = torch.randn(2, 1, 17, 17, generator=generator)
        if kind == "none":
            out, expected = layer(x), self.by_hand(layer, x, 0)
        elif kind == "float":
            out, expected = layer(x, attn_mask=added), self.by_hand(layer, x, added)
        else:
            seen = (added > 0) | torch.eye(17, dtype=torch.bool)
            hidden = torch.zeros_like(added).masked_fill(~seen, float("-inf"))
            out, expected = layer(x, attn_mask=seen), self.by_hand(layer, x, hidden)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)

    def test_refuses_causal_attention(self, vit):
        with pytest.raises(ConfigError, match="causal"):
            vit.blocks[0].attn(torch.randn(1, 17, 12), is_causal=True)

    def test_refuses_another_number_of_tokens(self, vit):
        with pytest.raises(ConfigError, match=r"made for 17 tokens \(2 prefix tokens and a grid of 15\).*sees 16"):
            vit.blocks[0].attn(torch.randn(1, 16, 12))

    def test_refuses_a_grid_that_was_changed_afterwards(self, vit):
        vit.set_input_size((16, 20))
        with pytest.raises(ConfigError, match="before attaching"):
            vit(torch.randn(1, 3, 16, 20))

    def test_refuses_dropped_patches(self):
        model = VisionTransformer(img_size=16, patch_size=4, embed_dim=12, depth=1, num_heads=3, patch_drop_rate=0.5)
        STRONG.attach(model)
        with pytest.raises(ConfigError, match="made for 17 tokens"):
            model.train()(torch.randn(1, 3, 16, 16))


# timm's own resizing of the table.
@pytest.mark.filterwarnings("ignore:torch.searchsorted:UserWarning")
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence for multidimensional indexing:UserWarning")
@pytest.mark.parametrize("rel_pos_type", ["bias", "mlp"])
def test_a_rel_pos_model_can_be_resized_afterwards(rel_pos_type):
    model = VisionTransformerRelPos(
        img_size=16, patch_size=4, embed_dim=12, depth=1, num_heads=3, rel_pos_type=rel_pos_type, class_token=True
    ).eval()
    STRONG.attach(model)
    model.set_input_size((16, 24))
    plain = copy.deepcopy(model)
    with torch.no_grad():
        attached_biases(plain)[0].amplitude_param.zero_()
    difference = (model.blocks[0].attn.rel_pos.get_bias() - plain.blocks[0].attn.rel_pos.get_bias()).detach()
    gaussian = torch.exp(-TokenGrid(4, 6).squared_distances() / (2 * 1.5**2)) * 4
    torch.testing.assert_close(difference[0, 0, 1:, 1:], gaussian, rtol=0, atol=1e-6)
    assert model(torch.randn(1, 3, 16, 24)).shape == (1, 1000)


@pytest.mark.parametrize("rel_pos_type", ["bias", "mlp"])
def test_a_rel_pos_module_notices_another_number_of_tokens(rel_pos_type):
    model = VisionTransformerRelPos(
        img_size=16, patch_size=4, embed_dim=12, depth=1, num_heads=3, rel_pos_type=rel_pos_type
    )
    STRONG.attach(model)
    attached_biases(model)[0].set_grid(TokenGrid(4, 5))
    with pytest.raises(ConfigError, match=r"made for 20 tokens.*sees 16"):
        model(torch.randn(1, 3, 16, 16))


def test_the_permutation_is_the_same_in_every_layer(build):
    model = build()
    PermutedGaussianBias().attach(model)
    distances = [gaussian.squared_distance for gaussian in attached_biases(model)]
    assert all(torch.equal(distances[0], other) for other in distances)
    assert not torch.equal(distances[0], TokenGrid(3, 5).squared_distances())


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"])
def test_a_backbone_for_dense_tasks_takes_it_too(name):
    sizes = {"embed_dim": 12, "depths": (2, 2), "num_heads": (3, 6), "window_size": 4, "out_indices": (0, 1)}
    model = create_model(name, features_only=True, dynamic_img_size=True, always_partition=True, **sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)  # Swin v2 starts with the gain 0 behind its attention
    images = torch.randn(1, 3, 40, 56)
    plain = [features.clone() for features in model(images)]
    STRONG.attach(model)
    assert len(attached_biases(model)) == 4
    assert all(bias.num_tokens == 16 for bias in attached_biases(model))
    assert all(not torch.allclose(before, after) for before, after in zip(plain, model(images), strict=True))


class TestUnsupported:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: nn.Linear(2, 2), "Linear has no layer"),
            (lambda: create_model("test_resnet", device="meta"), "ResNet has no layer.*Swin v2"),
            (lambda: VisionTransformer(img_size=16, patch_size=4, embed_dim=12, depth=0, num_heads=3), "has no layer"),
            (
                lambda: VisionTransformer(
                    img_size=16, patch_size=4, embed_dim=12, depth=1, num_heads=3, dynamic_img_size=True
                ),
                "dynamic_img_size=False",
            ),
            (
                lambda: create_model("vit_small_patch16_18x2_224", device="meta"),
                r"blocks\.0 is a ParallelThingsBlock",
            ),
            (
                lambda: create_model("vit_dwee_patch16_reg1_gap_256", device="meta"),
                r"blocks\.0\.attn is a DiffAttention, .*known here are Attention",
            ),
            (lambda: create_model("vit_tiny_r_s16_p8_224", device="meta"), "HybridEmbed.*PatchEmbed"),
        ],
    )
    def test_raises_and_says_why(self, make, message):
        model = make()
        classes = [type(module) for module in model.modules()]
        with pytest.raises(ConfigError, match=message):
            STRONG.attach(model)
        assert [type(module) for module in model.modules()] == classes

    def test_an_unknown_module_in_one_layer_changes_none(self):
        class OtherAttention(Attention):
            pass

        model = VisionTransformer(img_size=16, patch_size=4, embed_dim=12, depth=2, num_heads=3)
        model.blocks[1].attn.__class__ = OtherAttention
        with pytest.raises(ConfigError, match=r"blocks\.1\.attn is a OtherAttention"):
            STRONG.attach(model)
        assert attached_biases(model) == []

    def test_a_second_bias_is_refused(self, build):
        model = build()
        STRONG.attach(model)
        with pytest.raises(ConfigError, match="already has an attention bias"):
            STRONG.attach(model)


def test_a_vit_inside_another_module_is_found(images):
    torch.manual_seed(0)
    model = nn.Sequential(
        VisionTransformerRelPos(img_size=(12, 20), patch_size=4, embed_dim=12, depth=2, num_heads=3, num_classes=0)
    )
    assert [site.name for site in find_sites(model)] == ["0.blocks.0.attn.rel_pos", "0.blocks.1.attn.rel_pos"]
    STRONG.attach(model)
    assert model(images).shape == (2, 12)


@pytest.mark.parametrize("name", list_models(module="vision_transformer_relpos"))
def test_every_relpos_model_of_timm_takes_a_bias(name):
    model = create_model(name, device=torch.device("meta"))
    GaussianBias(per_head=True).attach(model)
    gaussians = attached_biases(model)
    assert len(gaussians) == (1 if "srelpos" in name else len(model.blocks))
    height, width = model.patch_embed.grid_size
    length = height * width + model.num_prefix_tokens
    assert model.num_prefix_tokens == (1 if "cls" in name else 0)
    assert gaussians[0]().shape == (model.blocks[0].attn.num_heads, length, length)
    assert model(torch.empty(1, 3, *model.patch_embed.img_size, device="meta")).shape == (1, 1000)
