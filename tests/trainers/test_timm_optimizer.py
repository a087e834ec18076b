"""timm's optimizers by name: all of them go on from a checkpoint as if there had been none, or are refused."""

import io

import pytest
import torch
from pydantic import ValidationError
from timm.optim import list_optimizers
from torch import nn

from trainers.models.bias import bias_parameters
from trainers.models.gaussian import GaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.optimization.parameter_groups import parameter_groups
from trainers.optimization.timm_optimizer import TimmOptimizerConfig
from trainers.training.checkpoint import TrainingState

REFUSED = ("adahessian", "kron", "bnb", "fused")
USABLE = [name for name in list_optimizers() if not name.startswith(REFUSED)]


def network():
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3))


def optimizer_of(model, config):
    parameters = list(model.parameters())
    return config.build(
        [
            {"name": name, "params": [p for p in parameters if (p.ndim > 1) == is_decayed], "weight_decay": decay,
             "lr_multiplier": 1.0}
            for name, is_decayed, decay in (("decay", True, 0.05), ("no_decay", False, 0.0))
        ]
    )  # fmt: skip


def weights_after(config, *, interrupted_at):
    """Of 8 steps under a falling learning rate; the interrupted run goes through a file."""
    torch.manual_seed(0)
    model, data = network(), torch.Generator().manual_seed(1)
    optimizer = optimizer_of(model, config)
    for step in range(8):
        if step == interrupted_at:
            file = io.BytesIO()
            state = TrainingState(
                model=model.state_dict(),
                optimizer=optimizer.state_dict(),
                ema=None,
                best_weights={},
                best_epoch=None,
                reports=[],
                kernels={},
                ranks=[],
            ).on_cpu()
            torch.save((state.model, state.optimizer), file)
            file.seek(0)
            model_state, optimizer_state = torch.load(file, weights_only=True)
            model = network()
            model.load_state_dict(model_state)
            optimizer = optimizer_of(model, config)
            optimizer.load_state_dict(optimizer_state)
        for group in optimizer.param_groups:
            group["lr"] = config.lr * (1 - step / 10) * group["lr_multiplier"]
        model(torch.randn(5, 6, generator=data)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model.state_dict()


@pytest.mark.parametrize("name", [*USABLE, "lookahead_adamw", "lookahead_lion"])
def test_a_checkpoint_holds_all_of_its_state(name):
    config = TimmOptimizerConfig(name=name, lr=0.01)
    whole, resumed = (weights_after(config, interrupted_at=step) for step in (None, 3))
    assert all(torch.equal(value, resumed[each]) for each, value in whole.items())
    torch.manual_seed(0)
    assert any(not torch.equal(value, whole[each]) for each, value in network().state_dict().items())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "loin"}, "no optimizer named 'loin'; the nearest names are lion"),
        ({"name": "foo_adamw"}, "no optimizer named 'foo_adamw'"),
        ({"name": "adahessian"}, "needs second derivatives"),
        ({"name": "kron"}, "draws random numbers that no checkpoint keeps"),
        ({"name": "fusedadam"}, "needs a package or a device that is not here"),
        ({"name": "lion", "arguments": {"eps": 1e-8}}, "lion has no argument `eps`; it has "),
        ({"name": "lion", "arguments": {"beta": [0.9, 0.99]}}, "no argument `beta`; it has betas"),
        ({"name": "lion", "arguments": {"lr": 1}}, "`lr` is not set here: set `lr`"),
        ({"name": "lamb", "arguments": {"betas": [0.9, 1.5]}}, "can't be used with betas = "),
    ],
)
def test_what_a_trial_can_not_use_is_refused_before_anything_runs(fields, message):
    with pytest.raises(ValidationError, match=message):
        TimmOptimizerConfig(**fields)


def test_one_answer_is_remembered_whatever_the_learning_rate(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGMALAB_CACHE", str(tmp_path))
    for lr, decay in ((1e-3, 0.1), (1e-4, 0.1), (1e-4, 0.0)):
        TimmOptimizerConfig(name="lion", lr=lr, weight_decay=decay, arguments={"betas": [0.9, 0.99]})
    TimmOptimizerConfig(name="lion")
    assert len(list(tmp_path.rglob("*.json"))) == 2


@pytest.mark.parametrize("decay", [0.1, 0.0])
def test_arguments_and_our_groups_reach_it(decay):
    model = SmallVitConfig(width=24, depth=2, num_heads=2).build(5)
    GaussianBias().attach(model)
    config = TimmOptimizerConfig(name="muon", lr=0.02, weight_decay=decay, arguments={"betas": [0.8, 0.9]})
    groups = parameter_groups(model, model, bias=bias_parameters(model), weight_decay=decay, bias_lr_multiplier=20.0)
    found = {group["name"]: group for group in config.build(groups).param_groups}
    seen = {
        name: (group["weight_decay"], group["lr_multiplier"], group["use_fallback"]) for name, group in found.items()
    }
    assert seen == {"decay": (decay, 1, False), "no_decay": (0, 1, True), "attention_bias": (0, 20, True)}
    assert found["decay"]["betas"] == (0.8, 0.9)
    # Position tables are matrices that do not decay: they are not orthogonalised.
    assert any(parameter.ndim == 2 for parameter in found["no_decay"]["params"])
