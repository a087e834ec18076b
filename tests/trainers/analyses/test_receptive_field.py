"""The receptive field against its definition, image by image, on every kind of model."""

import logging
import math
import os

import numpy as np
import pytest
import timm
import torch
from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import nn

from trainers.analyses.map_metrics import measure
from trainers.analyses.questions import FeaturePoint, ReceptiveFieldConfig
from trainers.analyses.receptive_field import ReceptiveField, receptive_fields, warnings_for
from trainers.analyses.single_query import single_query
from trainers.analyses.targets import CenterTarget, LatticeTarget, TokenTarget
from trainers.errors import AnalysisError, NoReceptiveFieldError
from trainers.models.gaussian import GaussianBias

TINY = {"img_size": 32, "patch_size": 4, "num_classes": 3, "embed_dim": 24, "num_heads": 2, "depth": 3}
SWIN = {"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": (1, 2), "num_heads": (2, 2)}

MODELS = {
    "plain": lambda: VisionTransformer(**TINY),
    "plain, post norm block": lambda: VisionTransformer(**TINY, block_fn=timm.models.vision_transformer.ResPostBlock),
    "two prefix tokens": lambda: VisionTransformer(**TINY, reg_tokens=1),
    "relpos bias": lambda: VisionTransformerRelPos(**TINY, rel_pos_type="bias", init_values=0),
    "relpos mlp, class token": lambda: VisionTransformerRelPos(**TINY, rel_pos_type="mlp", class_token=True),
    "beit": lambda: Beit(**TINY, use_rel_pos_bias=True),
    "eva": lambda: Eva(**TINY, use_rot_pos_emb=True),
    "swin": lambda: SwinTransformer(**SWIN, num_classes=3),
    "resnet": lambda: timm.create_model("resnet10t", num_classes=3),
}


def by_definition(model: nn.Module, images: torch.Tensor, place: tuple[int, int], layer: int | None) -> np.ndarray:
    """Mean over images, one at a time, from what a hook sees of the layer; not normalised."""
    seen = []
    modules = dict(model.named_modules())
    names = [info["module"] for info in model.feature_info]
    hook = modules[names[-1 if layer is None else layer]].register_forward_hook(lambda _m, _i, out: seen.append(out))
    total = torch.zeros(images.shape[-2:], dtype=torch.float64)
    model.eval()
    for image in images:
        leaf = image[None].clone().requires_grad_()
        seen.clear()
        model.forward_features(leaf)
        features = seen[0]
        if features.ndim == 3:
            side = math.isqrt(features.shape[1])  # prefix tokens are fewer than what the next square needs
            token = features[0, features.shape[1] - side * side + place[0] * side + place[1]]
        else:
            token = features[0, :, *place] if isinstance(model, timm.models.ResNet) else features[0, *place]
        token.mean().backward()
        total += leaf.grad[0].mean(0).clamp(min=0)
    hook.remove()
    return (total / len(images)).numpy()


def spread_norm_weights(model: nn.Module) -> None:
    """As training does: with equal weights no gradient passes through a branch that ends in its norm."""
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.2, 1.0)


def images_of(num: int, side: int = 32) -> torch.Tensor:
    return torch.randn(num, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_definition_image_by_image(name):
    torch.manual_seed(0)
    model = MODELS[name]()
    if "post norm" in name:
        spread_norm_weights(model)
    side = 96 if name == "resnet" else 32
    images = images_of(5, side)
    field, *_ = receptive_fields(model, images.split(2))
    expected = by_definition(model, images, field.place, None)
    assert field.num_images == 5
    assert field.place == tuple((side - 1) // 2 for side in field.grid)
    assert np.abs(field.map - expected / expected.sum()).sum() < 1e-6
    assert field.map.sum() == pytest.approx(1)
    np.testing.assert_allclose(field.gradient, expected, atol=1e-6 * expected.sum())


@pytest.mark.parametrize("name", MODELS)
def test_the_last_block_is_computed_for_the_target_alone_where_the_family_allows_it(name):
    """Its MLP sees one token; the map above stays the definition's."""
    model, seen = MODELS[name]().eval(), []
    is_known = name in {"plain", "two prefix tokens", "relpos bias", "relpos mlp, class token", "beit", "eva"}
    if is_known:
        model.blocks[-1].mlp.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].shape[1]))
    grid = (8, 8)
    with single_query(model, 2, grid, (3, 3)) as is_done:
        assert is_done == is_known
        if is_known:
            model.forward_features(images_of(1))
            assert seen == [1]
    if is_known:
        model.forward_features(images_of(1))
        assert seen[1] >= 64


@pytest.mark.parametrize(("name", "layer"), [("plain", 0), ("relpos bias", 1), ("swin", 0)])
def test_inner_layers_and_several_targets_at_once(name, layer):
    torch.manual_seed(0)
    # In double precision: a stage of Swin ends in a sum whose channel mean nearly cancels.
    model, images = MODELS[name]().double(), images_of(3).double()
    config = ReceptiveFieldConfig(target=LatticeTarget(per_side=2), point=FeaturePoint(layer=layer))
    fields = receptive_fields(model, [images], config)
    assert len({field.place for field in fields}) == 4
    for field in fields:
        expected = by_definition(model, images, field.place, layer)
        assert np.abs(field.map - expected / expected.sum()).sum() < 1e-6


def test_the_model_is_left_as_it_was():
    model = MODELS["relpos bias"]().train()
    model.norm.eval()
    model.head.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    receptive_fields(model, [images_of(2)])
    assert model.training
    assert model.blocks.training
    assert not model.norm.training
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["head.weight"]
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_narrow_gaussian_pulls_the_field_together():
    def field_with(sigma: float | None) -> ReceptiveField:
        torch.manual_seed(0)
        model = MODELS["relpos bias"]()
        if sigma is not None:
            GaussianBias(sigma=sigma, amplitude=3).attach(model)
        return receptive_fields(model, [images_of(8)])[0]

    radii = [measure(field_with(sigma)).rms_radius_tokens for sigma in (0.7, 1.5, 3.0, None)]
    assert radii == sorted(radii)
    assert radii[0] < 0.5 * radii[-1]


def test_the_middle_of_an_even_grid_is_the_upper_left_of_four():
    assert CenterTarget().places(14, 14) == [(6, 6)]
    assert CenterTarget().places(7, 9) == [(3, 4)]
    assert LatticeTarget(per_side=2).places(8, 8) == [(1, 1), (1, 5), (5, 1), (5, 5)]
    assert LatticeTarget(per_side=1).places(14, 7) == CenterTarget().places(14, 7)


def test_measures_of_a_planted_gaussian():
    # A centre between pixels, as that of an even token: 64 px, 16 tokens of 4 px, sigma 6 px = 1.5 tokens.
    rows, columns = np.mgrid[:64, :64]
    planted = np.exp(-((columns - 29.5) ** 2 + (rows - 29.5) ** 2) / (2 * 6.0**2))
    field = ReceptiveField(planted / planted.sum(), place=(7, 7), grid=(16, 16), num_images=1)
    measured = measure(field)
    assert field.center_px == (29.5, 29.5)
    assert (measured.sigma_x_tokens, measured.sigma_y_tokens) == pytest.approx((1.5, 1.5), rel=1e-5)
    assert measured.anisotropy == pytest.approx(1, rel=1e-5)
    assert measured.rms_radius_tokens == pytest.approx(1.5 * math.sqrt(2), rel=1e-3)
    # Rayleigh: 1 - exp(-r^2 / 2 sigma^2); the pixels on the rim make steps.
    assert measured.mass_within_tokens["2.5"] == pytest.approx(1 - math.exp(-(2.5**2) / (2 * 1.5**2)), abs=0.02)
    # Half of the mass lies within r^2 = 2 sigma^2 ln 2.
    assert measured.area_50_fraction == pytest.approx(2 * math.pi * 36 * math.log(2) / 64**2, rel=0.02)
    assert measured.area_90_fraction == pytest.approx(2 * math.pi * 36 * math.log(10) / 64**2, rel=0.02)
    assert measured.scalars()["r_squared"] == pytest.approx(1, abs=1e-9)


def test_traps_are_announced(caplog):
    torch.manual_seed(0)
    dead = VisionTransformerRelPos(**TINY, rel_pos_type="bias")  # timm's default: LayerScale at 1e-6
    with caplog.at_level(logging.WARNING):
        receptive_fields(dead, [images_of(1)])
    assert "LayerScale is below 1e-4" in caplog.messages[0]
    with pytest.raises(NoReceptiveFieldError, match="the final LayerNorm has equal weights"):
        receptive_fields(MODELS["plain"](), [images_of(1)], ReceptiveFieldConfig(point=FeaturePoint(norm="after")))


def test_another_warning_hides_no_rounding_noise():
    """The blocks add nothing here, and every patch embedding has the channel mean 0: there is no gradient at all."""
    model = VisionTransformerRelPos(**TINY, rel_pos_type="bias")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("gamma"):
                parameter.zero_()
            elif name.startswith("patch_embed.proj"):
                parameter -= parameter.mean(dim=0)
    assert len(warnings_for(model, FeaturePoint())) == 1
    with pytest.raises(NoReceptiveFieldError, match="constant in every token of layer 2"):
        receptive_fields(model, [torch.randn(2, 3, 32, 32)])


class NearlyCentred(nn.Module):
    """Features from which their mean over channels is taken, but for a part: what a norm with equal weights does."""

    def __init__(self, left: float) -> None:
        super().__init__()
        self.left = left
        self.stem = nn.Conv2d(3, 16, 8, stride=4, padding=2)
        self.feature_info = [{"module": "stem"}]

    def forward_intermediates(self, x, indices, **_options):
        features = self.stem(x)
        if self.left == 0:
            # Cancels exactly, on every machine.
            return [torch.cat([features, -features], dim=1)]
        return [features - (1 - self.left) * features.mean(dim=1, keepdim=True)]


@pytest.mark.parametrize("left", [0.0, 2e-7, -1e-6])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_rounding_leaves_of_zero_is_no_field_on_any_machine(left, precision):
    torch.manual_seed(0)
    model, config = NearlyCentred(left), ReceptiveFieldConfig(target=LatticeTarget(), precision=precision)
    with pytest.raises(NoReceptiveFieldError, match="its gradient is zero but for rounding: the mean over channels"):
        receptive_fields(model, [images_of(2)], config)


def test_a_small_gradient_is_a_field():
    torch.manual_seed(0)
    small = NearlyCentred(1e-3)
    torch.manual_seed(0)
    (field,), (whole,) = (receptive_fields(model, [images_of(3)]) for model in (small, NearlyCentred(1.0)))
    assert field.gradient_sum == pytest.approx(1e-3 * whole.gradient_sum, rel=1e-3)
    assert field.map == pytest.approx(whole.map, abs=1e-5)


def test_a_token_that_is_dead_in_the_first_image_has_the_field_of_the_others():
    torch.manual_seed(0)
    model = NearlyCentred(1.0)
    model.stem.bias.data.fill_(0)
    model.forward_intermediates = lambda x, indices, **_options: [model.stem(x).relu()]
    images = images_of(3)
    images[0] = 0
    (field,) = receptive_fields(model, [images])
    (others,) = receptive_fields(model, [images[1:]])
    assert field.map == pytest.approx(others.map, abs=1e-7)
    with pytest.raises(NoReceptiveFieldError, match="no pixel raises its mean"):
        receptive_fields(model, [images[:1]])


SWIN_V2 = {"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2)}


@pytest.mark.parametrize(
    "build",
    [
        MODELS["plain, post norm block"],
        lambda: SwinTransformerV2(**SWIN_V2, num_classes=3),
        lambda: timm.create_model("vit_relpos_medium_patch16_rpn_224", depth=2, embed_dim=24, num_heads=2),
    ],
    ids=["plain", "swin v2", "relpos"],
)
def test_untrained_post_norm_blocks_are_announced(build):
    torch.manual_seed(0)
    model = build()
    assert "its own patch or rounding noise" in warnings_for(model, FeaturePoint())[0]
    side = model.patch_embed.img_size[0]
    if isinstance(model, SwinTransformerV2):
        # What merges its patches ends in such a norm too: not even the own patch is left.
        with pytest.raises(NoReceptiveFieldError, match="every block ends its branches in a LayerNorm"):
            receptive_fields(model, [images_of(2, side)])
        spread_norm_weights(model)
        assert warnings_for(model, FeaturePoint()) == []
        receptive_fields(model, [images_of(2, side)])
        return
    # The trap itself: nothing that attention does is seen.
    before = receptive_fields(model, [images_of(2, side)])[0]
    GaussianBias(sigma=1, amplitude=3).attach(model)
    after = receptive_fields(model, [images_of(2, side)])[0]
    assert after.map == pytest.approx(before.map, abs=1e-6)
    spread_norm_weights(model)
    assert warnings_for(model, FeaturePoint()) == []
    assert np.abs(receptive_fields(model, [images_of(2, side)])[0].map - before.map).sum() > 0.1


def test_after_a_norm_that_is_not_there_is_announced():
    # With mean pooling a BEiT has its norm behind the pool.
    (warning,) = warnings_for(MODELS["beit"](), FeaturePoint(norm="after"))
    assert "no final norm over tokens" in warning
    assert warnings_for(MODELS["beit"](), FeaturePoint()) == []


def test_a_trained_norm_is_looked_at_after_it_and_an_untrained_one_before_it_which_is_said():
    torch.manual_seed(0)
    model = MODELS["plain"]()
    side = model.patch_embed.img_size[0]
    images = [images_of(2, side)]

    def maps(norm):
        (field,) = receptive_fields(model, images, ReceptiveFieldConfig(point=FeaturePoint(norm=norm)))
        return field.map

    assert (maps("after_if_trained") == maps("before")).all()
    (warning,) = warnings_for(model, FeaturePoint(norm="after_if_trained"))
    assert warning.startswith("taken before the final norm, whose weights are all equal")
    spread_norm_weights(model)
    assert (maps("after_if_trained") == maps("after")).all()
    assert np.abs(maps("after") - maps("before")).sum() > 0.01
    assert warnings_for(model, FeaturePoint(norm="after_if_trained")) == []


@pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY", "").lower() in ("default", "avx2"),
    reason="torch's bf16 attention packs for what the CPU can do, whatever this variable says (pack_vnni2)",
)
def test_bf16_moves_the_map_a_little():
    torch.manual_seed(0)
    model = MODELS["relpos bias"]()
    exact, rough = (
        receptive_fields(model, [images_of(8)], ReceptiveFieldConfig(precision=precision))[0].map
        for precision in ("fp32", "bf16")
    )
    assert 0 < np.abs(exact - rough).sum() / 2 < 0.02


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ReceptiveFieldConfig(point=FeaturePoint(layer=3)), "has no layer 3: its layers are 0 to 2"),
        (ReceptiveFieldConfig(point=FeaturePoint(layer=1, norm="after")), "layer 1 is not the last"),
        (ReceptiveFieldConfig(target=TokenTarget(row=8, column=0)), "the grid has rows 0 to 7"),
        (ReceptiveFieldConfig(target=LatticeTarget(per_side=9)), "do not fit on a grid of 8 x 8"),
    ],
)
def test_what_is_not_there_is_refused(config, message):
    with pytest.raises(AnalysisError, match=message):
        receptive_fields(MODELS["plain"](), [images_of(1)], config)


def test_no_images_no_grid_no_numbers_are_refused():
    with pytest.raises(AnalysisError, match="at least one image"):
        receptive_fields(MODELS["plain"](), [])
    with pytest.raises(AnalysisError, match="gives no feature grid"):
        receptive_fields(nn.Linear(2, 2), [images_of(1)])
    with pytest.raises(AnalysisError, match="NaN or infinite"):
        receptive_fields(MODELS["plain"](), [torch.full((1, 3, 32, 32), float("nan"))])
