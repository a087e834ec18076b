"""Sigma and A from a file of weights: what one training has learned is where the next one starts."""

import hashlib
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch

from trainers.config import TrialConfig
from trainers.errors import ConfigError
from trainers.exported_weights import export_weights, load_exported
from trainers.models.bias import attached_biases, bias_metrics
from trainers.models.gaussian import GaussianBias, PermutedGaussianBias, StoredGaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig
from trainers.models.weights_file import WeightsFile
from trainers.runtime import Runtime
from trainers.training.trial import train

TIMM = {"kind": "timm", "name": "test_vit", "image_size_px": 32}
"""Two fields of this model are set; two layers, three heads or so."""


def in_a_file(file: Path, state: dict[str, torch.Tensor]) -> WeightsFile:
    torch.save(state, file)
    return WeightsFile(path=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def learned(name: str = "test_vit", *, per_head: bool = False, parameterization: str = "square") -> torch.nn.Module:
    model = TimmConfig(name=name, image_size_px=32).build(10)
    GaussianBias(per_head=per_head, parameterization=parameterization).attach(model)
    with torch.no_grad():
        for layer, bias in enumerate(attached_biases(model)):
            bias.sigma_param.copy_(1.5 + layer + 0.1 * torch.arange(len(bias.sigma_param)))
            bias.amplitude_param.fill_(0.5 + layer)
    return model


def started(weights: WeightsFile | None, **fields: object) -> torch.nn.Module:
    config = StoredGaussianBias(**fields)
    model = TimmConfig(name="test_vit", image_size_px=32, weights=weights).build(10)
    config.attach(model)
    state = torch.random.get_rng_state()
    config.start_from(model, weights, None)
    assert torch.equal(torch.random.get_rng_state(), state)
    return model


@pytest.mark.parametrize("per_head", [False, True])
@pytest.mark.parametrize("parameterization", ["square", "log"])
def test_starts_where_the_file_ends(tmp_path, per_head, parameterization):
    source = learned(per_head=per_head, parameterization=parameterization)
    weights = in_a_file(tmp_path / "mine.pth", source.state_dict())
    model = started(weights, per_head=per_head, parameterization=parameterization)
    assert bias_metrics(model) == bias_metrics(source)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model.eval()(images), source.eval()(images))


def test_without_it_the_config_says_where_they_start(tmp_path):
    weights = in_a_file(tmp_path / "mine.pth", learned().state_dict())
    model = TimmConfig(name="test_vit", image_size_px=32, weights=weights).build(10)
    GaussianBias(sigma=7.0).attach(model)
    GaussianBias(sigma=7.0).start_from(model, weights, None)
    assert bias_metrics(model)["sigma/00"] == 7.0


def test_what_a_file_lacks_is_said(tmp_path):
    plain = TimmConfig(name="test_vit", image_size_px=32).build(10).state_dict()
    with pytest.raises(ConfigError, match=r"read from .*plain\.pth: it holds none; \{\"kind\": \"gaussian\""):
        started(in_a_file(tmp_path / "plain.pth", plain))
    whole = learned().state_dict()
    fewer = {name: value for name, value in whole.items() if not name.startswith("blocks.1.attn.gaussian")}
    with pytest.raises(ConfigError, match=r"it holds those of \d layers?, the model has \d layers: it lacks blocks\.1"):
        started(in_a_file(tmp_path / "fewer.pth", fewer))
    with pytest.raises(
        ConfigError, match=r"sigma_param is 1 value there and \d values in the model; `per_head` is true"
    ):
        started(in_a_file(tmp_path / "whole.pth", whole), per_head=True)
    broken = whole | {"blocks.0.attn.gaussian.sigma_param": torch.tensor([math.nan])}
    with pytest.raises(ConfigError, match="is not finite there"):
        started(in_a_file(tmp_path / "broken.pth", broken))


def test_a_model_without_a_file_is_refused():
    small = SmallVitConfig(width=12, depth=2, num_heads=2).build(10)
    StoredGaussianBias().attach(small)
    with pytest.raises(ConfigError, match="has no file to read sigma and A from"):
        StoredGaussianBias().start_from(small, SmallVitConfig().weights, None)


def test_the_authors_names_are_read(tmp_path):
    torch.manual_seed(3)
    source = learned("test_vit_relpos")
    theirs = {name.replace("rel_pos.gaussian.", "rel_pos."): value for name, value in source.state_dict().items()}
    weights = in_a_file(tmp_path / "theirs.pth", theirs)
    config = TimmConfig(name="test_vit_relpos", image_size_px=32, weights=weights)
    model = config.build(10)
    StoredGaussianBias().attach(model)
    StoredGaussianBias().start_from(model, weights, None)
    assert bias_metrics(model) == bias_metrics(source)


class TestOfATrial:
    """Trained, exported, trained further."""

    @pytest.fixture
    def trial_of(self, trial):
        def make(bias: dict, weights: WeightsFile | None = None, epochs: int = 1) -> TrialConfig:
            return trial(
                model=TIMM | ({} if weights is None else {"weights": weights.model_dump()}),
                attention_bias=bias,
                augmentation={"kind": "none"},
                optimization={"epochs": epochs, "global_batch_size": 10},
            )

        return make

    @pytest.fixture
    def exported(self, trial_of, tmp_path):
        def make(bias: dict) -> WeightsFile:
            config = trial_of(bias)
            result = train(config, Runtime(storage=tmp_path / "first", device="cpu"))
            file = tmp_path / "weights.safetensors"
            export_weights(tmp_path / "first", config, result, file)
            return WeightsFile(path=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())

        return make

    def test_goes_on(self, exported, trial_of, tmp_path):
        first = exported({"kind": "gaussian", "sigma": 2.0, "parameterization": "log"})
        learned_before = bias_metrics(load_exported(first.path))
        assert learned_before["sigma/00"] != pytest.approx(2.0)
        config = trial_of({"kind": "from_weights", "parameterization": "log"}, first)
        result = train(config, Runtime(storage=tmp_path / "second", device="cpu"))
        assert result.initial_bias == pytest.approx(learned_before)
        assert result.metrics["sigma/00"] != pytest.approx(learned_before["sigma/00"])
        # The same file is exported again without the first one at hand.
        Path(first.path).unlink()
        export_weights(tmp_path / "second", config, result, tmp_path / "again.safetensors")
        assert bias_metrics(load_exported(tmp_path / "again.safetensors")) == pytest.approx(
            {key: value for key, value in result.metrics.items() if key.startswith(("sigma/", "amplitude/"))}
        )

    def test_another_parameterization_is_refused(self, exported, trial_of):
        config = trial_of({"kind": "from_weights"}, exported({"kind": "gaussian", "parameterization": "log"}))
        with pytest.raises(ConfigError, match="are of parameterization `log`, and `attention_bias` says `square`"):
            train(config, Runtime(device="cpu"))

    def test_a_placebo_is_refused(self, exported, trial_of):
        weights = exported(PermutedGaussianBias(sigma=2.0).model_dump())
        with pytest.raises(ConfigError, match="those of a placebo"):
            train(trial_of({"kind": "from_weights"}, weights), Runtime(device="cpu"))

    @pytest.fixture
    def own_file(self, trial_of, tmp_path):
        """A trial's `best_weights.pt`, somewhere else."""

        def make(bias: dict) -> WeightsFile:
            train(trial_of(bias), Runtime(storage=tmp_path / "first", device="cpu"))
            file = (tmp_path / "first" / "best_weights.pt").rename(tmp_path / "moved.pt")
            return WeightsFile(path=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())

        return make

    def test_the_trials_own_file_says_the_same_of_itself(self, own_file, trial_of):
        first = own_file({"kind": "gaussian", "sigma": 2.0, "parameterization": "log"})
        with pytest.raises(ConfigError, match="are of parameterization `log`, and `attention_bias` says `square`"):
            train(trial_of({"kind": "from_weights"}, first), Runtime(device="cpu"))
        stored = first.read_bias(None)
        config = trial_of({"kind": "from_weights", "parameterization": "log"}, first, epochs=0)
        result = train(config, Runtime(device="cpu"))
        assert result.initial_bias["sigma/00"] == pytest.approx(
            stored["blocks.0.attn.gaussian.sigma_param"].exp().item()
        )

    def test_a_placebos_own_file_is_refused(self, own_file, trial_of):
        weights = own_file({"kind": "permuted_gaussian", "sigma": 2.0})
        with pytest.raises(ConfigError, match="those of a placebo"):
            train(trial_of({"kind": "from_weights"}, weights), Runtime(device="cpu"))

    def test_a_trials_file_that_says_nothing_is_refused(self, own_file, trial_of, tmp_path):
        content = torch.load(own_file({"kind": "gaussian"}).path, weights_only=True)
        del content["state"]["attention_bias"]
        weights = in_a_file(tmp_path / "older.pt", content)
        with pytest.raises(ConfigError, match=r"does not say whether .* placebo's.*`sigmalab export` writes"):
            train(trial_of({"kind": "from_weights"}, weights), Runtime(device="cpu"))

    def test_another_safetensors_file_says_nothing_of_itself(self, trial_of, tmp_path):
        source = learned()
        file = tmp_path / "plain.safetensors"
        safetensors.torch.save_file(source.state_dict(), file)
        weights = WeightsFile(path=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())
        result = train(trial_of({"kind": "from_weights"}, weights, epochs=0), Runtime(device="cpu"))
        assert result.initial_bias == bias_metrics(source)
