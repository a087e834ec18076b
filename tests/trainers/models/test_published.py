"""Checkpoints in the authors' names, and weights from a file of one's own."""

import argparse
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from pydantic import ValidationError
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import nn

from trainers.config import TrialConfig, trial_identity
from trainers.errors import CheckpointError, ConfigError
from trainers.models.bias import attached_biases
from trainers.models.gaussian import GaussianBias
from trainers.models.published import convert_published, read_state_dict
from trainers.models.small_vit import SmallVitConfig
from trainers.models.state_names import without_wrappers
from trainers.models.timm_model import TimmConfig
from trainers.models.weights_file import WeightsFile

NAME = "test_vit_relpos"


def treated(*, shared: bool = False, per_head: bool = False, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = VisionTransformerRelPos(
        img_size=16, patch_size=4, embed_dim=12, depth=2, num_heads=3, num_classes=4, init_values=0.0,
        rel_pos_type="bias", shared_rel_pos=shared,
    ).eval()  # fmt: skip
    GaussianBias(per_head=per_head).attach(model)
    with torch.no_grad():
        for bias in attached_biases(model):
            bias.sigma_param.uniform_(1, 3)
            bias.amplitude_param.uniform_(1, 3)
    return model


def in_their_names(model: nn.Module) -> dict[str, torch.Tensor]:
    """As the authors' code and the timm of that time save it."""
    theirs = {}
    for name, value in model.state_dict().items():
        theirs[name.replace("rel_pos.gaussian.", "rel_pos.")] = value
    for name in [name for name in theirs if name.endswith("rel_pos.sigma_param")]:
        place = name.removesuffix("sigma_param")
        theirs |= {f"{place}relative_coords_{axis}": torch.arange(49.0).reshape(7, 7) for axis in "HW"}
        theirs[f"{place}relative_position_index"] = torch.zeros(256, dtype=torch.long)
    return theirs


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("per_head", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_authors_checkpoints_load(tmp_path: Path, shared: bool, per_head: bool, wrapped: bool) -> None:
    model = treated(shared=shared, per_head=per_head)
    theirs = in_their_names(model)
    place = "shared_rel_pos" if shared else "blocks.1.attn.rel_pos"
    assert theirs[f"{place}.sigma_param"].shape == (3 if per_head else 1,)
    content: object = theirs
    if wrapped:
        content = {
            "state_dict": {f"module.{name}": value for name, value in theirs.items()},
            "args": argparse.Namespace(lr=0.01),
            "epoch": 3,
        }
    torch.save(content, tmp_path / "theirs.pth")
    other = treated(shared=shared, per_head=per_head, seed=1)
    other.load_state_dict(read_state_dict(tmp_path / "theirs.pth"))
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(other(images), model(images))


def test_names_that_are_ours_already_stay() -> None:
    ours = treated().state_dict()
    assert convert_published(ours).keys() == ours.keys()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (3, "broken.pth holds no state dict"),
        ({}, "broken.pth holds no state dict"),
        ({"epoch": 3, "weight": torch.zeros(1)}, "broken.pth holds int 'epoch' among the weights"),
        ({"hook": Path}, "can be read safely"),
        (None, "there is no file of weights"),
    ],
)
def test_a_file_without_weights_says_so(tmp_path: Path, content: object, message: str) -> None:
    if content is not None:
        torch.save(content, tmp_path / "broken.pth")
    with pytest.raises(CheckpointError, match=message):
        read_state_dict(tmp_path / "broken.pth")


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module.{name}",
        lambda name: f"module._orig_mod.model.{name}",
        lambda name: f"model.backbone.{name}",
        lambda name: name if name.startswith("head") else f"backbone.{name}",
        lambda name: name.replace("blocks.1.", "blocks.1._orig_mod."),
        lambda name: f"_fsdp_wrapped_module.{name.replace('blocks.0.', 'blocks.0._checkpoint_wrapped_module.')}",
    ],
)
def test_what_wrappers_put_around_names_is_taken_off(tmp_path: Path, wrapped: Callable[[str], str]) -> None:
    model = treated()
    state = {wrapped(name): value for name, value in model.state_dict().items()}
    torch.save({"model": state | {"n_averaged": torch.tensor(3)}, "epoch": 4}, tmp_path / "wrapped.pth")
    other = treated(seed=1)
    other.load_state_dict(read_state_dict(tmp_path / "wrapped.pth"))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def test_no_model_of_timm_has_names_that_would_be_taken_off() -> None:
    for name in (
        "resnet10t",
        "test_vit",
        "test_convnext",
        "test_efficientnet",
        "mixer_s32_224",
        "vit_tiny_r_s16_p8_224",
    ):
        with torch.device("meta"):
            own = timm.create_model(name).state_dict()
        assert list(without_wrappers(own)) == list(own)


def test_a_file_of_two_models_is_refused(tmp_path: Path) -> None:
    state = treated().state_dict()
    both = {f"{part}.{name}": value for part in ("model", "backbone") for name, value in state.items()}
    torch.save(both, tmp_path / "both.pth")
    with pytest.raises(CheckpointError, match=r"both.pth holds two models: model\.\S+ and backbone\.\S+ are both"):
        read_state_dict(tmp_path / "both.pth")


@pytest.mark.parametrize("name", ["empty.pth", "empty.safetensors"])
def test_an_empty_file_says_that_it_is_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=rf"{name} is empty \(0 bytes\)"):
        read_state_dict(tmp_path / name)
    with pytest.raises(CheckpointError, match=rf"{name} is empty \(0 bytes\)"):
        WeightsFile(path=name, sha256="0" * 64).read(tmp_path)


class TestWeightsOfATrial:
    @pytest.fixture
    def trained(self) -> nn.Module:
        torch.manual_seed(5)
        model = TimmConfig(name=NAME, image_size_px=32).build(11)
        GaussianBias(sigma=1.5).attach(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    @staticmethod
    def saved(state: dict[str, torch.Tensor], file: Path) -> WeightsFile:
        if file.suffix == ".safetensors":
            safetensors.torch.save_file(state, file)
        else:
            torch.save(state, file)
        return WeightsFile(path=file.name, sha256=hashlib.sha256(file.read_bytes()).hexdigest())

    @staticmethod
    def built(weights: WeightsFile | None, num_classes: int, root: Path, **fields: object) -> nn.Module:
        torch.manual_seed(0)
        return TimmConfig(name=NAME, image_size_px=32, weights=weights, **fields).build(num_classes, data_root=root)

    @pytest.mark.parametrize("file", ["mine.pth", "mine.safetensors"])
    @pytest.mark.parametrize("num_classes", [11, 5])
    def test_replace_all_but_the_bias_and_another_head(self, trained, tmp_path, file, num_classes) -> None:
        weights = self.saved(in_their_names(trained), tmp_path / file)
        fresh = self.built(None, num_classes, tmp_path).state_dict()
        state = torch.random.get_rng_state()
        model = self.built(weights, num_classes, tmp_path)
        assert torch.equal(torch.random.get_rng_state(), state)
        source = trained.state_dict()
        for name, value in model.state_dict().items():
            is_fresh = name.startswith("head.") and num_classes != 11
            assert torch.equal(value, (fresh if is_fresh else source)[name]), name

    def test_come_before_the_position_embedding(self, trained, tmp_path) -> None:
        weights = self.saved(in_their_names(trained), tmp_path / "mine.pth")
        model = self.built(weights, 11, tmp_path, position_embedding="reinitialise")
        source = trained.state_dict()
        differing = {name for name, value in model.state_dict().items() if not torch.equal(value, source[name])}
        assert differing
        assert all(".rel_pos." in name for name in differing)

    def test_fit_another_image_size(self, tmp_path) -> None:
        torch.manual_seed(5)
        source = TimmConfig(name="test_vit", image_size_px=32).build(11)
        weights = self.saved(source.state_dict(), tmp_path / "mine.pth")
        model = TimmConfig(name="test_vit", image_size_px=64, weights=weights).build(11, data_root=tmp_path)
        assert model.pos_embed.shape[1] == 17
        assert torch.equal(model.blocks[0].attn.qkv.weight, source.blocks[0].attn.qkv.weight)

    @pytest.mark.parametrize(
        ("name", "size", "dropped", "fresh"),
        [
            # The classifier has a batch norm before it, which timm leaves out of a model without a head.
            ("levit_128s", 224, "head", {"head.bn.", "head.linear.", "head_dist.bn.", "head_dist.linear."}),
            ("test_convnext", 64, "head.", {"head.norm.", "head.fc."}),
            ("test_convnext", 64, "head.fc.", {"head.fc."}),
        ],
    )
    def test_without_a_head_give_all_the_rest(self, tmp_path, name, size, dropped, fresh) -> None:
        torch.manual_seed(5)
        source = TimmConfig(name=name, image_size_px=size).build(11).state_dict()
        for value in source.values():
            if value.is_floating_point():
                value.add_(0.1)
        weights = self.saved({k: v for k, v in source.items() if not k.startswith(dropped)}, tmp_path / "mine.pth")
        torch.manual_seed(0)
        untouched = TimmConfig(name=name, image_size_px=size).build(3).state_dict()
        torch.manual_seed(0)
        model = TimmConfig(name=name, image_size_px=size, weights=weights).build(3, data_root=tmp_path)
        for key, value in model.state_dict().items():
            assert torch.equal(value, (untouched if key.startswith(tuple(fresh)) else source)[key]), key

    def test_that_lack_more_than_a_head_are_refused(self, tmp_path) -> None:
        source = TimmConfig(name="test_convnext", image_size_px=64).build(11).state_dict()
        for dropped, lacking in ((("head.", "stem.1"), r"stem\.1\.weight"), (("head.norm",), r"head\.norm\.weight")):
            state = {name: value for name, value in source.items() if not name.startswith(dropped)}
            weights = self.saved(state, tmp_path / "mine.pth")
            config = TimmConfig(name="test_convnext", image_size_px=64, weights=weights)
            with pytest.raises(ConfigError, match=rf"not those of test_convnext: it lacks .*{lacking}"):
                config.build(3, data_root=tmp_path)

    def test_of_another_model_are_refused(self, trained, tmp_path) -> None:
        state = {name.replace("blocks.0", "layers.0"): value for name, value in in_their_names(trained).items()}
        weights = self.saved(state, tmp_path / "mine.pth")
        with pytest.raises(
            ConfigError, match=r"mine\.pth are not those of test_vit_relpos: it lacks blocks\.0"
        ) as caught:
            self.built(weights, 5, tmp_path)
        # A few names of each kind, and how many more: not all 30.
        assert re.search(r"lacks (\S+, ){2}\S+ and \d+ more and has (\S+, ){2}\S+ and \d+ more$", str(caught.value))

    def test_that_timms_own_conversion_stumbles_over_are_refused(self, tmp_path) -> None:
        """A table of relative positions, for a model that has an MLP: timm raises an AttributeError."""
        state = TimmConfig(name="test_vit_relpos", image_size_px=32).build(11).state_dict()
        state["blocks.0.attn.rel_pos.relative_position_bias_table"] = torch.zeros(9, 4)
        weights = self.saved(state, tmp_path / "mine.pth")
        config = TimmConfig(name="vit_relpos_small_patch16_224", image_size_px=32, weights=weights)
        with pytest.raises(ConfigError, match=r"mine\.pth are not those of vit_relpos_small_patch16_224"):
            config.build(3, data_root=tmp_path)

    def test_of_another_shape_are_refused_in_a_few_words(self, tmp_path) -> None:
        torch.manual_seed(5)
        weights = self.saved(
            TimmConfig(name="test_vit2", image_size_px=32).build(11).state_dict(), tmp_path / "mine.pth"
        )
        with pytest.raises(ConfigError, match=r"is \[.*\] there and \[.*\] in the model") as caught:
            TimmConfig(name="test_vit3", image_size_px=32, weights=weights).build(11, data_root=tmp_path)
        assert len(str(caught.value)) < 700

    def test_that_changed_are_refused(self, trained, tmp_path) -> None:
        weights = self.saved(in_their_names(trained), tmp_path / "mine.pth")
        self.saved(treated().state_dict(), tmp_path / "mine.pth")
        with pytest.raises(
            CheckpointError, match=r"is another file: its sha256 is not .*, which the model config says"
        ):
            self.built(weights, 11, tmp_path)
        with pytest.raises(CheckpointError, match=r"elsewhere.*starts at the data root"):
            self.built(weights, 11, tmp_path / "elsewhere")

    def test_are_part_of_the_trials_identity_by_content(self) -> None:
        identities = set()
        for digit in "01":
            weights = WeightsFile(path="mine.pth", sha256=digit * 64)
            config = TrialConfig(
                model=TimmConfig(name=NAME, image_size_px=32, weights=weights), dataset={"kind": "digits"}
            )
            identities.add(trial_identity(config, code_version="", data_fingerprint=""))
            assert config.model.label == f"{NAME}_px32_weights_{digit * 8}"
        assert len(identities) == 2

    def test_exclude_timms(self) -> None:
        with pytest.raises(ValidationError, match="exclude each other"):
            TimmConfig(
                name="vit_tiny_patch16_224", pretrained=True, weights=WeightsFile(path="mine.pth", sha256="0" * 64)
            )

    def test_are_no_field_of_the_small_vit(self) -> None:
        assert "weights" not in SmallVitConfig.model_fields
