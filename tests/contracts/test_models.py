"""What every model family must do. A new family is asked by adding one example to `model_examples.py`."""

import copy
import io
import pickle
import shutil
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from tests.contracts.model_examples import EXAMPLES, ODD, Example, Grids, build, treat
from trainers.analyses.receptive_field import receptive_fields
from trainers.command.model import CommandModel
from trainers.contracts import ModelContract
from trainers.errors import ConfigError
from trainers.kinds import ModelConfig
from trainers.models.bias import attached_biases
from trainers.models.families import FAMILIES
from trainers.models.gaussian import GaussianBias
from trainers.models.grids import grids_of
from trainers.models.model import Model
from trainers.models.position import find_position, set_position_embedding
from trainers.models.python_model import PythonModel
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig
from trainers.own_code.place import running
from trainers.strict_json import JsonObject


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Example:
    """One family's example; timm builds it small."""
    chosen = EXAMPLES[request.param]
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: create(*args, **{**chosen.sizes, **kwargs}))
    return chosen


@pytest.fixture
def shallow_example(example: Example, monkeypatch: pytest.MonkeyPatch) -> Example:
    """One layer; of a Swin two, as the second one's windows are shifted."""
    sizes = {"depths": (2,), "num_heads": (3,)} if "depths" in example.sizes else {"depth": 1}
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: create(*args, **{**kwargs, **sizes}))
    return example


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_kind_of_model_and_every_family_has_an_example() -> None:
    assert {each.config_class for each in EXAMPLES.values()} == set(get_args(ModelConfig)) - {CommandModel, PythonModel}
    names = [each.fields["name"] for each in EXAMPLES.values() if "name" in each.fields]
    for family in FAMILIES:
        assert set(names) & set(timm.list_models(module=list(family.timm_files))), family.title


class TestSmallVit(ModelContract):
    def make(self) -> Model:
        return SmallVitConfig(width=12, depth=2, num_heads=2, image_size_px=16, patch_size_px=4)


class TestTimm(ModelContract):
    def make(self) -> Model:
        return TimmConfig(name="test_vit", image_size_px=32)


class TestTimmWithoutAttention(ModelContract):
    def make(self) -> Model:
        return TimmConfig(name="test_resnet", image_size_px=32)


class TestOwnModel(ModelContract):
    @pytest.fixture(autouse=True)
    def in_this_process(self) -> Iterator[None]:
        with running(None):
            yield

    def make(self) -> Model:
        sizes: JsonObject = {"img_size": 16, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 2}
        return PythonModel(target="timm.models.vision_transformer:VisionTransformer", arguments=sizes, image_size_px=16)


def test_every_kind_of_model_is_asked_by_itself() -> None:
    assert {type(contract().make()) for contract in ModelContract.__subclasses__()} == set(get_args(ModelConfig)) - {
        # A network that only a script knows has nothing to be asked.
        CommandModel
    }


def test_gives_one_logit_per_class(example: Example) -> None:
    logits = build(example.config()).eval()(example.images())
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()


def test_tells_its_grids(example: Example) -> None:
    for side, expected in example.grids.items():
        model = build(example.config(side))
        grids = grids_of(model, side)
        # Layers that share one bias are one.
        assert set(grids.attention) == set(expected)
        assert len(grids.features) == len(model.feature_info)
        if len(grids.features) == len(expected):
            # Not windowed: attention sees all that the block puts out.
            assert grids.features == tuple(expected)
        # Worn: a fresh model with post-norm blocks has a grid, and no receptive field.
        (field,) = receptive_fields(example.worn(side), [example.images(side)])
        assert grids.features[-1] == field.grid


def test_label_fits_into_run_names_and_paths(example: Example) -> None:
    labels = [example.config(position_embedding=choice).label for choice in ("keep", "reinitialise", "zero")]
    assert len(set(labels)) == 3
    assert all(label and "/" not in label and label == label.strip() for label in labels)


def test_each_of_timms_has_an_odd_one_too(example: Example) -> None:
    """Whose grid is not square: `tests/trainers/models` asks those."""
    assert bool(example.odd) is (example.config_class is TimmConfig)
    assert sum(len(each.odd) for each in EXAMPLES.values()) == len(ODD)


def test_building_is_a_function_of_the_seed(example: Example) -> None:
    first, second = build(example.config()).state_dict(), build(example.config()).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_layer_scale_is_set_where_there_is_one_and_moves_nothing_else(example: Example) -> None:
    if example.config_class is SmallVitConfig:
        pytest.skip("has no LayerScale")
    plain, scaled = build(example.config()).state_dict(), build(example.config(layer_scale=0.5)).state_dict()
    for name, value in plain.items():
        if "gamma" in name:
            assert (scaled[name] == 0.5).all()
            assert not (value == 0.5).any()
        else:
            assert torch.equal(scaled[name], value), name


def test_flops_grow_with_the_model(example: Example) -> None:
    matrices = sum(
        module.weight.numel() for module in build(example.config()).modules() if isinstance(module, nn.Linear)
    )
    # A multiply-add is two operations and every weight of a ViT meets at least one token.
    assert example.config().forward_flops_per_image() > 2 * matrices


@pytest.mark.parametrize("config", [GaussianBias(), GaussianBias(per_head=True)], ids=["per_layer", "per_head"])
def test_both_arms_start_from_the_same_bits(example: Example, config: GaussianBias) -> None:
    control, treatment = build(example.config()), build(example.config())
    state = torch.random.get_rng_state()
    config.attach(treatment)
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = treatment.state_dict()
    for name, value in control.state_dict().items():
        assert torch.equal(weights[name], value), name


def set_fused(model: nn.Module, fused: bool) -> None:
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = fused


class Injection(TorchFunctionMode):
    """Adds the k-th matrix to the logits of the k-th softmax: the control becomes the treatment from outside."""

    def __init__(self, matrices: list[torch.Tensor]) -> None:
        super().__init__()
        self.left = list(matrices)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.softmax, torch.Tensor.softmax, F.softmax):
            args = (args[0] + self.left.pop(0), *args[1:])
        return func(*args, **(kwargs or {}))


def slice_stacked(height: int, width: int, sigma: float, amplitude: float) -> torch.Tensor:
    """The paper's construction: for each query, a window of one (2H-1) x (2W-1) Gaussian."""
    y, x = torch.arange(1.0 - height, height)[:, None], torch.arange(1.0 - width, width)[None, :]
    whole = amplitude**2 * torch.exp(-(y**2 + x**2) / (2 * sigma**2))
    windows = [
        whole[height - 1 - row : 2 * height - 1 - row, width - 1 - column : 2 * width - 1 - column].flatten()
        for row in range(height)
        for column in range(width)
    ]
    return torch.stack(windows)


def matrices_for(treatment: nn.Module, grids: Grids, prefix: int) -> list[torch.Tensor]:
    """Each layer's bias, from its sigmas and As alone: [h, N, N]."""
    biases = attached_biases(treatment)
    assert len(biases) in (1, len(grids))
    matrices = []
    for layer, (height, width) in enumerate(grids):
        bias = biases[min(layer, len(biases) - 1)]
        heads = zip(bias.sigma_param.tolist(), bias.amplitude_param.tolist(), strict=True)
        stacked = torch.stack([slice_stacked(height, width, *head) for head in heads])
        matrices.append(F.pad(stacked, (prefix, 0, prefix, 0)))
    return matrices


@torch.no_grad()
def assert_equals_the_injected_matrix(
    control: nn.Module, treatment: nn.Module, images: torch.Tensor, grids: Grids, prefix: int
) -> None:
    set_fused(control, False)
    with Injection(matrices_for(treatment, grids, prefix)) as injection:
        injected = control(images)
    assert injection.left == []
    for fused in (False, True):
        set_fused(treatment, fused)
        torch.testing.assert_close(treatment(images), injected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(control(images), injected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("per_head", [False, True], ids=["per_layer", "per_head"])
@pytest.mark.parametrize("place", [0, 1], ids=["image", "larger_image"])
def test_equals_the_explicitly_injected_matrix(example: Example, place: int, per_head: bool) -> None:
    image_size_px = list(example.grids)[place]
    control, treatment = example.worn(image_size_px), treat(example.worn(image_size_px), per_head=per_head)
    assert_equals_the_injected_matrix(
        control, treatment, example.images(image_size_px), example.grids[image_size_px], example.prefix
    )


# timm's own resizing of a table.
@pytest.mark.filterwarnings("ignore:torch.searchsorted:UserWarning")
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence for multidimensional indexing:UserWarning")
def test_follows_or_refuses_timms_change_of_image_size(example: Example) -> None:
    control, treatment = example.worn(), treat(example.worn())
    image_size_px, grids = example.resized or (list(example.grids)[1], [])
    for model in (control, treatment):
        model.set_input_size(img_size=(image_size_px, image_size_px))
    if example.resized:
        images = example.images(image_size_px)
        assert_equals_the_injected_matrix(control, treatment, images, grids, example.prefix)
    else:
        with pytest.raises(ConfigError, match="before attaching"):
            treatment(example.images(image_size_px))


def test_gradients_reach_every_sigma_and_amplitude_fused_or_not(example: Example) -> None:
    results = []
    for fused in (False, True):
        model = treat(example.worn())
        set_fused(model, fused)
        logits = model(example.images())
        logits.square().sum().backward()
        biases = attached_biases(model)
        gradients = torch.stack([p.grad.abs().sum() for bias in biases for p in bias.parameters()])
        results.append((logits.detach(), gradients))
        # Where the class token is read out, the last layer's patch-to-patch logits reach no output: its sigma stays.
        unread = 2 if model.global_pool == "token" and len(biases) > 1 else 0
        assert (gradients[: len(gradients) - unread] > 0).all()
        assert (gradients[len(gradients) - unread :] == 0).all()
    torch.testing.assert_close(results[0], results[1], rtol=1e-3, atol=1e-5)


def test_checkpoints_pass_from_arm_to_arm_and_round_trip(example: Example) -> None:
    control, treatment = example.worn(), treat(build(example.config()).eval(), per_head=True)
    outcome = treatment.load_state_dict(control.state_dict(), strict=False)
    assert outcome.unexpected_keys == []
    assert all(".gaussian." in name for name in outcome.missing_keys)
    assert len(outcome.missing_keys) == 2 * len(attached_biases(treatment))
    file = io.BytesIO()
    torch.save(treatment.state_dict(), file)
    file.seek(0)
    again = build(example.config()).eval()
    GaussianBias(per_head=True).attach(again)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(again(example.images()), treatment(example.images()))


def test_copies_are_equal_and_their_own(example: Example) -> None:
    model = treat(example.worn())
    expected = model(example.images())
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(copied(example.images()), expected)
        with torch.no_grad():
            attached_biases(copied)[0].amplitude_param.mul_(2)
        assert not torch.equal(copied(example.images()), expected)
    assert torch.equal(model(example.images()), expected)


class TestCompile:
    @pytest.fixture(autouse=True)
    def _fresh_compiler(self, compiler_cache: None) -> Iterator[None]:
        torch.compiler.reset()
        yield
        torch.compiler.reset()

    def test_the_whole_model_is_one_graph(self, example: Example) -> None:
        model = treat(example.worn())
        # The traced graph itself, run without a code generator: a graph break would raise.
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        with torch.no_grad():
            torch.testing.assert_close(compiled(example.images()), model(example.images()))

    @pytest.mark.slow
    @pytest.mark.skipif(
        shutil.which("g++") is None and shutil.which("clang++") is None, reason="torch.compile needs a C++ compiler"
    )
    @pytest.mark.parametrize("example", ["relpos", "plain", "beit", "swin", "swin_v2", "eva02"], indirect=True)
    def test_the_default_backend_computes_the_same(self, shallow_example: Example) -> None:
        # C++ takes seconds for each layer, and all layers are of a kind.
        model = treat(shallow_example.worn())
        compiled = torch.compile(model, fullgraph=True)
        images = shallow_example.images()
        with torch.no_grad():
            torch.testing.assert_close(compiled(images), model(images), rtol=1e-3, atol=1e-4)


class TestPositionEmbedding:
    @pytest.mark.parametrize("choice", ["reinitialise", "zero"])
    def test_changes_nothing_else(self, example: Example, choice: str) -> None:
        kept = build(example.config())
        state = torch.random.get_rng_state()
        changed = build(example.config(position_embedding=choice), position_seed=3)
        assert torch.equal(torch.random.get_rng_state(), state)
        position = find_position(kept)
        others = {name for name, value in kept.state_dict().items() if name not in position.all}
        assert all(torch.equal(kept.state_dict()[name], changed.state_dict()[name]) for name in others)
        assert all(changed.get_parameter(name).requires_grad for name in position.all)
        if choice == "zero":
            assert all(not changed.get_parameter(name).any() for name in position.outputs)

    def test_is_drawn_from_its_own_seed_as_timm_draws_it(self, example: Example) -> None:
        worn = example.worn()
        before = {name: value.clone() for name, value in worn.state_dict().items()}
        set_position_embedding(worn, "reinitialise", build_fresh=lambda: build_unseeded(example), seed=3)
        torch.manual_seed(3)
        fresh = build_unseeded(example)
        position = find_position(worn)
        for name, value in worn.state_dict().items():
            assert torch.equal(value, fresh.state_dict()[name] if name in position.all else before[name]), name
        other = build(example.config(position_embedding="reinitialise"), position_seed=4)
        drawn = [name for name in position.all if fresh.get_parameter(name).unique().numel() > 1]
        assert all(not torch.equal(other.get_parameter(name), fresh.get_parameter(name)) for name in drawn)

    def test_without_it_patches_have_no_order(self, example: Example) -> None:
        model = example.worn()
        patch_px = model.patch_embed.patch_size[0]
        images = example.images()
        shuffled = shuffle_patches(images, patch_px)
        with torch.no_grad():
            assert not torch.allclose(model(images), model(shuffled), atol=1e-3)
            set_position_embedding(model, "zero", build_fresh=lambda: build_unseeded(example), seed=0)
            same = torch.allclose(model(images), model(shuffled), rtol=1e-3, atol=1e-4)
        assert same == example.position_vanishes

    def test_trains_on_from_zero(self, example: Example) -> None:
        model = example.worn()
        set_position_embedding(model, "zero", build_fresh=lambda: build_unseeded(example), seed=0)
        model(example.images()).square().sum().backward()
        position = find_position(model)
        tables = [name for name in position.outputs if not name.endswith(".bias")]
        learning = [name for name in tables if model.get_parameter(name).grad.any()]
        # A last layer that is read at its class token alone never asks its MLP.
        assert len(learning) >= max(1, len(tables) - (model.global_pool == "token"))


def build_unseeded(example: Example) -> nn.Module:
    return example.config().build(num_classes=7)


def shuffle_patches(images: torch.Tensor, patch_px: int) -> torch.Tensor:
    batch, _, height, width = images.shape
    patches = F.unfold(images, patch_px, stride=patch_px)
    order = torch.randperm(patches.shape[-1], generator=torch.Generator().manual_seed(5))
    return F.fold(patches[:, :, order], (height, width), patch_px, stride=patch_px).reshape(batch, 3, height, width)
