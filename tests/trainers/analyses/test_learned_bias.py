"""What a model learned about position is what its attention is given; a planted Gaussian is found in it."""

import numpy as np
import pytest
import timm
import torch
from timm.models import swin_transformer, swin_transformer_v2
from torch.nn import functional as F

from tests.contracts.model_examples import EXAMPLES, treat
from trainers.analyses.learned_bias import displacement_map, learned_bias, similarity_map
from trainers.analyses.questions import LearnedBiasConfig
from trainers.analyses.targets import LatticeTarget, TokenTarget
from trainers.models.gaussian import GaussianBias
from trainers.models.grid import TokenGrid
from trainers.models.small_vit import SmallVitConfig
from trainers.result import LayerFit


@pytest.fixture
def make(monkeypatch):
    """The small example of a family."""
    create = timm.create_model

    def made(name):
        sizes = EXAMPLES[name].sizes
        monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: create(*args, **{**kwargs, **sizes}))
        return EXAMPLES[name], EXAMPLES[name].worn()

    return made


RELATIVE = [
    "small_vit-rel_bias",
    "small_vit-rel_mlp",
    "relpos_cls",
    "srelpos",
    "beit",
    "beit_shared",
    "swin",
    "swin_v2",
]


def by_hand(bias, height, width):
    """[h, T, T] -> [h, 2H-1, 2W-1], pair by pair."""
    sums = np.zeros((len(bias), 2 * height - 1, 2 * width - 1))
    counts = np.zeros(sums.shape[1:])
    for query in range(height * width):
        for key in range(height * width):
            dy, dx = key // width - query // width, key % width - query % width
            sums[:, dy + height - 1, dx + width - 1] += bias[:, query, key]
            counts[dy + height - 1, dx + width - 1] += 1
    return sums / counts


def seen_by_attention(model, images, monkeypatch):
    """The bias that each layer's softmax is given: by timm's fused attention, or, in Swins, with q and k at zero."""
    seen, original = [], F.scaled_dot_product_attention

    def record(q, k, v, attn_mask=None, **rest):
        seen.append(attn_mask.detach().reshape(-1, *attn_mask.shape[-3:])[0].numpy())
        return original(q, k, v, attn_mask=attn_mask, **rest)

    def record_logits(_, logits):
        seen.append(logits[0][0].detach().numpy())

    for module in model.modules():
        if isinstance(module, swin_transformer.WindowAttention | swin_transformer_v2.WindowAttention):
            for name, parameter in module.named_parameters():
                if name.startswith(("qkv.", "q_bias")):
                    parameter.data.zero_()
            module.softmax.register_forward_pre_hook(record_logits)
    monkeypatch.setattr(F, "scaled_dot_product_attention", record)
    with torch.no_grad():
        model.eval()(images)
    return seen


@pytest.mark.parametrize("name", RELATIVE)
def test_maps_are_what_attention_is_given(name, make, monkeypatch):
    example, model = make(name)
    seen = seen_by_attention(model, example.images(), monkeypatch)
    found = learned_bias(model)
    grids = example.grids[example.image_size_px]
    # Where layers share one embedding, one map stands for all of them.
    num_layers = sum(fit.part == "own" for fit in found.fits)
    for layer in range(num_layers):
        height, width = grids[layer]
        own = seen[layer][:, -height * width :, -height * width :]
        np.testing.assert_allclose(found.maps[f"own_{layer:02d}"], by_hand(own, height, width), atol=2e-6)
    assert num_layers == (1 if name == "srelpos" else len(seen))


@pytest.mark.parametrize("name", [*RELATIVE, "plain"])
def test_a_query_sees_its_row_of_the_bias(name, make, monkeypatch):
    """As the softmax is given it; the Gaussian's image by the formula, around the query."""
    example, untouched = make(name)
    untreated = [] if name == "plain" else seen_by_attention(untouched, example.images(), monkeypatch)
    _, model = make(name)
    treat(model)
    # A treated Swin v2 has no softmax that could be overheard: its sum is tested as the parts' sum.
    seen = untreated if name == "swin_v2" else seen_by_attention(model, example.images(), monkeypatch)
    found = learned_bias(model, LearnedBiasConfig(query=TokenTarget(row=1, column=0))).maps
    grids = example.grids[example.image_size_px]
    layers = sorted({key.split("/")[2] for key in found if key.startswith("query/gaussian")})
    assert len(layers) == (1 if name == "srelpos" else len(seen))
    for layer in map(int, layers):
        height, width = grids[layer]
        y, x = np.mgrid[:height, :width]
        for row, column in {((height - 1) // 2, (width - 1) // 2), (1, 0)}:
            at = f"{layer:02d}/{row}_{column}"
            bell = (2 - 0.2 * layer) ** 2 * np.exp(
                -((y - row) ** 2 + (x - column) ** 2) / (2 * (0.8 + 0.3 * layer) ** 2)
            )
            np.testing.assert_allclose(found[f"query/gaussian/{at}"][0], bell, atol=1e-5)
            if name == "plain":
                assert f"query/own/{at}" not in found
                continue
            for part, biases in (("own", untreated), ("sum", seen)):
                tokens = biases[layer][:, -height * width :, -height * width :]
                expected = tokens[:, row * width + column].reshape(-1, height, width)
                expected = expected + bell if (name, part) == ("swin_v2", "sum") else expected
                np.testing.assert_allclose(found[f"query/{part}/{at}"], expected, atol=1e-5)


def test_a_query_outside_the_grid_leaves_the_middle(make, caplog):
    _, model = make("plain")
    found = learned_bias(model, LearnedBiasConfig(query=TokenTarget(row=99, column=0)))
    assert [key for key in found.maps if key.startswith("query/")] == ["query/absolute/1_1"]
    assert caplog.text.count("there is no token at row 99") == 1


@pytest.mark.parametrize("name", RELATIVE)
def test_the_sum_is_the_embedding_plus_the_gaussian(name, make):
    plain, treated = learned_bias(make(name)[1]), learned_bias(treat(make(name)[1]))
    for layer in range(sum(fit.part == "own" for fit in plain.fits)):
        own, both = treated.maps[f"own_{layer:02d}"], treated.maps[f"sum_{layer:02d}"]
        np.testing.assert_array_equal(own, plain.maps[f"own_{layer:02d}"])
        height, width = (side // 2 for side in own.shape[1:])
        dy, dx = np.mgrid[-height : height + 1, -width : width + 1]
        # As `treat` sets them: sigma 0.8 + 0.3 l, A 2 - 0.2 l.
        expected = (2 - 0.2 * layer) ** 2 * np.exp(-(dy**2 + dx**2) / (2 * (0.8 + 0.3 * layer) ** 2))
        np.testing.assert_allclose(both - own, np.broadcast_to(expected, own.shape), atol=1e-5)
    assert [fit.part for fit in treated.fits][:2] == ["own", "sum"]


def planted(sigma, heights):
    """A relative table of 3 heads that holds a Gaussian of this width, of another height in each head."""
    model = SmallVitConfig(depth=1).build(7)
    table = next(value for name, value in model.named_parameters() if name.endswith("relative_position_bias_table"))
    dy, dx = np.mgrid[-7:8, -7:8]
    bell = np.exp(-(dy**2 + dx**2) / (2 * sigma**2)).reshape(-1, 1)
    table.data.copy_(torch.from_numpy(bell * np.asarray(heights) + 0.3))
    return model


def test_a_planted_gaussian_is_found_per_layer_and_per_head():
    learned = learned_bias(planted(2.5, [1.0, 2.0, 3.0]), LearnedBiasConfig(per_head=True))
    layer, *heads = learned.fits
    assert (layer.part, layer.layer, layer.head, layer.is_gaussian, layer.remark) == ("own", 0, None, True, "")
    assert layer.verdict == "gaussian"
    assert (layer.sigma, layer.height, layer.r_squared) == pytest.approx((2.5, 2.0, 1.0), rel=1e-4)
    assert [(head.head, round(head.height, 3)) for head in heads] == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert learned.metrics() == {"rpe_sigma/00": layer.sigma, "rpe_r_squared/00": layer.r_squared}


def test_a_hollow_and_a_distant_hill_are_no_learned_gaussian():
    (hollow,) = learned_bias(planted(2.5, [-1.0] * 3)).fits
    assert (hollow.is_gaussian, hollow.verdict, hollow.remark) == (False, "hollow", "a hollow, not a hill")
    assert hollow.r_squared == pytest.approx(1)
    model = planted(1.5, [1.0] * 3)
    table = next(value for name, value in model.named_parameters() if name.endswith("relative_position_bias_table"))
    table.data.copy_(table.data.reshape(15, 15, 3).roll((4, 0), dims=(0, 1)).reshape(-1, 3))
    (distant,) = learned_bias(model).fits
    assert (distant.is_gaussian, distant.verdict) == (False, "off_centre")
    assert distant.remark == "a hill 4.0 tokens away from its query"


@pytest.mark.parametrize(("sigma", "verdict"), [(0.2, "narrow"), (9.0, "wide")])
def test_a_width_that_can_not_be_told_has_its_verdict(sigma, verdict):
    (fit,) = learned_bias(planted(sigma, [1.0] * 3)).fits
    assert (fit.is_gaussian, fit.verdict) == (False, verdict)
    # As trials stored it before there were verdicts.
    assert LayerFit.model_validate(fit.model_dump(exclude={"verdict"})).verdict is None


def test_nothing_learned_is_said_not_raised():
    untouched = SmallVitConfig(position_embedding="zero").build(7)
    broken = SmallVitConfig().build(7)
    for value in broken.parameters():
        value.data.fill_(float("nan"))
    fits = learned_bias(untouched).fits
    assert [fit.remark for fit in fits] == ["nothing learned: the same at every displacement"] * 3
    assert all(fit.sigma is None and fit.spread == 0 and fit.verdict == "nothing_learned" for fit in fits)
    assert learned_bias(untouched).metrics() == {}
    assert "NaN" in learned_bias(broken).fits[0].remark
    # 8 px in patches of 8: one token, one displacement.
    (single,) = learned_bias(SmallVitConfig(image_size_px=8, patch_size_px=8, depth=1).build(7)).fits
    assert single.remark.startswith("nothing learned")
    zero = SmallVitConfig(position="absolute", position_embedding="zero").build(7)
    assert "NaN" in learned_bias(zero).fits[0].remark
    assert learned_bias(zero).fits[0].verdict == learned_bias(broken).fits[0].verdict == "not_fitted"


@pytest.mark.parametrize("name", ["plain", "deit_distilled", "eva02", "small_vit-absolute"])
def test_an_absolute_embedding_is_a_similarity_map(name, make):
    example, model = make(name)
    found = learned_bias(model)
    tokens = model.pos_embed[0, example.prefix :].detach().double()
    side = example.grids[example.image_size_px][0][0]
    center = (side - 1) // 2 * side + (side - 1) // 2
    expected = torch.cosine_similarity(tokens[center], tokens, dim=1).reshape(side, side)
    np.testing.assert_allclose(found.maps["absolute"], expected, atol=1e-12)
    assert found.maps["absolute"][(side - 1) // 2, (side - 1) // 2] == pytest.approx(1)
    lattice = learned_bias(model, LearnedBiasConfig(query=LatticeTarget(per_side=2))).maps
    places = [key.rpartition("/")[2].split("_") for key in lattice if key.startswith("query/absolute")]
    assert len(places) >= 4
    for row, column in places:
        similar = torch.cosine_similarity(tokens[int(row) * side + int(column)], tokens, dim=1)
        np.testing.assert_allclose(lattice[f"query/absolute/{row}_{column}"], similar.reshape(side, side), atol=1e-12)
    assert [(fit.part, fit.layer) for fit in found.fits] == [("absolute", None)]


def test_random_embeddings_have_no_gaussian():
    """Each token resembles itself; that alone must not look like a narrow Gaussian."""
    torch.manual_seed(3)
    model = SmallVitConfig(position="absolute", width=768, depth=1).build(7)
    (fit,) = learned_bias(model).fits
    assert fit.r_squared < 0.5
    assert (fit.is_gaussian, fit.verdict) == (False, "no_gaussian")


def test_a_map_averages_over_queries():
    bias = torch.randn(2, 12, 12)
    np.testing.assert_allclose(displacement_map(bias, TokenGrid(3, 4)), by_hand(bias.numpy(), 3, 4), atol=1e-6)
    assert np.isnan(similarity_map(torch.zeros(12, 5), TokenGrid(3, 4))).all()


def test_the_model_is_left_as_it_was():
    model = SmallVitConfig(position="rel_mlp").build(7)
    GaussianBias().attach(model)
    model.blocks[1].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    first, again = learned_bias(model), learned_bias(model)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert first.fits == again.fits
