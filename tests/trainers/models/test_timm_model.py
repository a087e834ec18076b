"""timm's ViTs by name: which names, which sizes, which weights."""

import time

import huggingface_hub.constants
import pytest
import timm
import torch
from pydantic import ValidationError
from timm.layers import DropPath
from timm.models.beit import Beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos

from trainers.errors import ConfigError
from trainers.models.bias import attached_biases
from trainers.models.gaussian import GaussianBias
from trainers.models.timm_model import TimmConfig

TINY = "test_vit_relpos"
WITH_WEIGHTS = "vit_tiny_patch16_224"


@pytest.mark.parametrize(
    ("name", "model_class", "input_size_px", "mean"),
    [
        ("vit_relpos_small_patch16_224", VisionTransformerRelPos, 224, 0.5),
        ("vit_relpos_medium_patch16_cls_224.sw_in1k", VisionTransformerRelPos, 224, 0.5),
        ("vit_relpos_base_patch16_plus_240", VisionTransformerRelPos, 240, 0.5),
        ("vit_srelpos_small_patch16_224", VisionTransformerRelPos, 224, 0.5),
        ("vit_tiny_patch16_384", VisionTransformer, 384, 0.5),
        ("deit_tiny_patch16_224", VisionTransformer, 224, 0.485),
        ("deit_tiny_distilled_patch16_224", VisionTransformerDistilled, 224, 0.485),
        ("deit3_small_patch16_384", VisionTransformer, 384, 0.485),
        ("beit_base_patch16_224", Beit, 224, 0.5),
        ("beitv2_base_patch16_224.in1k_ft_in22k", Beit, 224, 0.485),
        ("swin_tiny_patch4_window7_224", SwinTransformer, 224, 0.485),
        ("swin_base_patch4_window12_384", SwinTransformer, 384, 0.485),
        ("swinv2_tiny_window8_256", SwinTransformerV2, 256, 0.485),
        ("eva02_tiny_patch14_224", Eva, 224, 0.48145466),
        ("eva_giant_patch14_224", Eva, 224, 0.48145466),
        ("vit_small_patch16_rope_mixed_224", Eva, 224, 0.485),
    ],
)
def test_knows_what_timm_says(monkeypatch, name, model_class, input_size_px, mean):
    config = TimmConfig(name=name)
    assert config.label == name
    assert config.input_size_px == input_size_px
    assert config.input_mean[0] == mean
    assert len(config.input_std) == 3
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: create(*args, **{**kwargs, "device": "meta"}))
    model = config.build(5)
    assert isinstance(model, model_class)
    assert model.num_classes == 5


def test_builds_a_model_that_takes_the_bias():
    torch.manual_seed(0)
    config = TimmConfig(name=TINY, image_size_px=32, drop_path=0.1)
    model = config.build(5)
    GaussianBias().attach(model)
    assert len(attached_biases(model)) == len(model.blocks)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    rates = [module.drop_prob for module in model.modules() if isinstance(module, DropPath)]
    assert max(rates) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "vit_relpos_smal_patch16_224"}, "the nearest names are vit_relpos_small_patch16_224,"),
        ({"name": "vit_tiny_patch16_224.agreg_in21k"}, "the tags of vit_tiny_patch16_224 are augreg_in21k, "),
        (
            {"name": "resnet50.a1_in22k"},
            r"no weights 'resnet50\.a1_in22k'; the tags of resnet50 are a1_in1k, .* and \d+ more",
        ),
        ({"name": "hf-hub:someone/something"}, "timm has no model named"),
        ({"name": "swin_tiny_patch4_windw7_224"}, "the nearest names are swin_tiny_patch4_window7_224,"),
        ({"name": "beitv2_base_patch16_225"}, "the nearest names are beitv2_base_patch16_224,"),
        ({"name": "swinv2_tiny_window8_257"}, "the nearest names are swinv2_tiny_window8_256,"),
        ({"name": "eva02_tiny_patch14_337"}, "the nearest names are eva02_tiny_patch14_336,"),
        (
            {"name": "vit_small_patch16_rope_224", "position_embedding": "zero"},
            "no learned position embedding .fixed rotary",
        ),
        ({"name": TINY, "position_embedding": "drop"}, "'keep', 'reinitialise' or 'zero'"),
        ({"name": "swin_tiny_patch4_window7_224", "image_size_px": 98}, "not a multiple of the patch size 4 px"),
        ({"name": "%%%"}, "the nearest names are none"),
        ({"name": "vit_relpos_base_patch16_cls_224", "pretrained": True}, "no published weights"),
        ({"name": TINY, "image_size_px": 100}, "not a multiple of the patch size 16 px; the nearest that fit"),
        ({"name": TINY, "image_size_px": 2048}, "16384 tokens; at most 4096"),
        ({"name": "vit_small_patch14_dinov2", "image_size_px": 224 + 2}, "not a multiple of the patch size 14 px"),
    ],
)
def test_refuses(fields, message):
    with pytest.raises(ValidationError, match=message):
        TimmConfig(**fields)


def test_weights_bring_their_own_layer_scale():
    with pytest.raises(ValidationError, match="bring their own LayerScale; leave out layer_scale"):
        TimmConfig(name=WITH_WEIGHTS, pretrained=True, layer_scale=1.0)


def test_labels_tell_models_apart():
    assert TimmConfig(name=TINY).label == TINY
    assert TimmConfig(name=WITH_WEIGHTS, image_size_px=96, drop_path=0.1, pretrained=True).label == (
        f"{WITH_WEIGHTS}_px96_dp0.1_pretrained"
    )
    assert TimmConfig(name=TINY, position_embedding="zero").label == f"{TINY}_pos_zero"


def test_validation_draws_nothing_and_is_cheap_the_second_time():
    state = torch.random.get_rng_state()
    value = {"kind": "timm", "name": "vit_relpos_medium_patch16_224"}
    TimmConfig.model_validate(value).forward_flops_per_image()
    assert torch.equal(torch.random.get_rng_state(), state)
    start = time.process_time()
    for _ in range(1000):
        TimmConfig.model_validate(value)
    # About 2 us each; a plan of 10,000 trials must be expanded within a second.
    assert time.process_time() - start < 0.05


def test_cost_grows_with_the_image():
    small = TimmConfig(name="vit_relpos_small_patch16_224")
    large = TimmConfig(name="vit_relpos_small_patch16_224", image_size_px=384)
    # timm's published count for ViT-S/16 at 224 px: 4.6 G multiply-adds.
    assert small.forward_flops_per_image() == pytest.approx(2 * 4.6e9, rel=0.02)
    assert 2.9 < large.forward_flops_per_image() / small.forward_flops_per_image() < 3.6


def test_weights_that_cannot_be_had_say_so(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    config = TimmConfig(name=WITH_WEIGHTS, pretrained=True)
    with pytest.raises(ConfigError, match=r"weights of vit_tiny_patch16_224 could not be loaded.*local cache"):
        config.build(5)


def test_a_swin_takes_images_of_many_windows():
    # 512 x 512 tokens: too many for attention over the whole image, none too many for windows of 7 x 7.
    assert TimmConfig(name="swin_tiny_patch4_window7_224", image_size_px=2048).input_size_px == 2048


@pytest.mark.parametrize("name", ["test_vit", "vit_small_patch16_dinov3"])
def test_a_model_for_any_size_computes_the_same_for_one(monkeypatch, name):
    create = timm.create_model
    shallow = lambda *args, **kwargs: create(*args, **{**kwargs, "depth": 2})  # noqa: E731
    any_size = shallow(name, num_classes=3).eval()
    assert any_size.dynamic_img_size
    monkeypatch.setattr(timm, "create_model", shallow)
    one_size = TimmConfig(name=name, image_size_px=64).build(3).eval()
    state = any_size.state_dict()
    if "pos_embed" in state:
        # The one that is resized on the fly differs by rounding.
        one_size.pos_embed.data = state["pos_embed"][:, :1].repeat(1, one_size.pos_embed.shape[1], 1)
        any_size.pos_embed.data = state["pos_embed"][:, :1].repeat(1, state["pos_embed"].shape[1], 1)
    one_size.load_state_dict({key: value for key, value in state.items() if key != "pos_embed"}, strict=False)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(one_size(images), any_size(images), rtol=1e-4, atol=1e-5)
    GaussianBias().attach(one_size)
    assert len(attached_biases(one_size)) == 2
