import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from trainers.models.bias import bias_parameters
from trainers.models.gaussian import GaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.optimization.adamw import AdamWConfig
from trainers.optimization.parameter_groups import parameter_groups
from trainers.optimization.recipe import (
    ConstantSchedule,
    CosineSchedule,
    Ema,
    NoEma,
    OptimizationConfig,
    PolynomialSchedule,
    StepSchedule,
)
from trainers.optimization.sgd import SgdConfig


def factors(schedule, *, steps_per_epoch=4, epochs=10):
    return [
        schedule.factor(step, steps_per_epoch=steps_per_epoch, epochs=epochs)
        for step in range(steps_per_epoch * epochs)
    ]


def test_cosine_is_half_a_period():
    curve = factors(CosineSchedule())
    assert curve == pytest.approx([math.cos(math.pi * step / 80) ** 2 for step in range(40)])
    assert curve[0] == 1
    assert curve[20] == pytest.approx(0.5)


def test_cosine_is_what_torch_has():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=0.1)
    expected = []
    for _ in range(40):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors(CosineSchedule(final_lr_fraction=0.1)) == pytest.approx(expected)


def test_warm_up_is_a_line_to_the_peak():
    curve = factors(ConstantSchedule(warmup_epochs=2))
    assert curve == pytest.approx([step / 8 for step in range(1, 9)] + [1.0] * 32)
    cosine = factors(CosineSchedule(warmup_epochs=2.5, final_lr_fraction=0.2))
    assert cosine[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    # Half-way between the warm-up's end (step 10) and the end (step 40).
    assert cosine[25] == pytest.approx(0.6)
    assert cosine == [*sorted(cosine[:10]), *sorted(cosine[10:], reverse=True)]


def test_steps_drop_at_the_start_of_their_epochs():
    curve = factors(StepSchedule(milestones=(3, 7), gamma=0.1))
    assert curve == pytest.approx([1.0] * 12 + [0.1] * 16 + [0.01] * 12)


def test_a_polynomial_is_what_torch_has():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=40, power=0.9)
    expected = []
    for _ in range(40):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors(PolynomialSchedule(power=0.9)) == pytest.approx(expected)
    line = factors(PolynomialSchedule(final_lr_fraction=0.5))
    assert line == pytest.approx([1 - step / 80 for step in range(40)])


def test_a_warm_up_may_be_told_in_steps():
    assert factors(StepSchedule(milestones=(3,), warmup_steps=6)) == pytest.approx(
        [step / 6 for step in range(1, 7)] + [1.0] * 6 + [0.1] * 28
    )
    assert factors(PolynomialSchedule(warmup_steps=8)) == factors(PolynomialSchedule(warmup_epochs=2))
    schedule = ConstantSchedule(warmup_steps=40)
    assert schedule.complaint(41) is None
    assert schedule.complaint(40) == "schedule.warmup_steps 40 must be less than the 40 steps of the training"
    with pytest.raises(ValidationError, match="both tell the length of the warm-up"):
        ConstantSchedule(warmup_steps=4, warmup_epochs=1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    vit = SmallVitConfig(width=12, depth=2, num_heads=2, image_size_px=16).build(5)
    GaussianBias(sigma=2.0).attach(vit)
    return vit


def groups_of(model):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, model, bias=bias_parameters(model), weight_decay=0.05, bias_lr_multiplier=20.0)
    return {group["name"]: (group, {names[id(parameter)] for parameter in group["params"]}) for group in groups}


def test_only_matrices_decay_and_only_the_bias_has_its_own_rate(model):
    groups = groups_of(model)
    assert {name: (group["weight_decay"], group["lr_multiplier"]) for name, (group, _) in groups.items()} == {
        "decay": (0.05, 1.0),
        "no_decay": (0.0, 1.0),
        "attention_bias": (0.0, 20.0),
    }
    decaying, steady, bias = (groups[name][1] for name in ("decay", "no_decay", "attention_bias"))
    assert decaying | steady | bias == {name for name, _ in model.named_parameters()}
    assert len(decaying) + len(steady) + len(bias) == len(list(model.parameters()))
    matrices = {"patch_embed.proj.weight", "head.weight"}
    for block in range(2):
        matrices |= {f"blocks.{block}.{part}.weight" for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}
    assert decaying == matrices
    assert {id(parameter) for parameter in groups["attention_bias"][0]["params"]} == {
        id(parameter) for parameter in bias_parameters(model)
    }
    assert len(bias) == 4


def test_tables_of_absolute_positions_do_not_decay():
    groups = groups_of(SmallVitConfig(width=12, depth=1, num_heads=2, image_size_px=16, position="absolute").build(5))
    assert "pos_embed" in groups["no_decay"][1]
    assert "attention_bias" not in groups


def test_a_frozen_bias_is_in_no_group():
    vit = SmallVitConfig(width=12, depth=1, num_heads=2, image_size_px=16).build(5)
    GaussianBias(learn_sigma=False, learn_amplitude=False).attach(vit)
    assert "attention_bias" not in groups_of(vit)


@pytest.mark.parametrize("config", [AdamWConfig(lr=0.1, weight_decay=0.5), SgdConfig(lr=0.1, weight_decay=0.5)])
def test_without_a_gradient_only_the_decay_acts(config, model):
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, model, bias=bias_parameters(model), weight_decay=0.5, bias_lr_multiplier=20.0)
    optimizer = config.build(groups)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    decaying = groups_of(model)["decay"][1]
    for name, parameter in model.named_parameters():
        expected = before[name] * (0.95 if name in decaying else 1.0)
        assert torch.allclose(parameter, expected, atol=1e-7), name


def test_an_average_follows_its_recurrence():
    model = nn.Linear(1, 1, bias=False)
    values, average = [1.0, 3.0, -2.0, 5.0, 4.0], 1.0
    nn.init.constant_(model.weight, values[0])
    ema = Ema(decay=0.5).build(model)
    # 1 - t^(-2/3) for t = 1, 2, 3, and then the config's decay.
    decays = [0.0, 1 - 2 ** (-2 / 3), 0.5, 0.5]
    for step, (value, decay) in enumerate(zip(values[1:], decays, strict=True), start=1):
        nn.init.constant_(model.weight, value)
        ema.update(model, step=step)
        average = decay * average + (1 - decay) * value
    assert ema.module.weight.item() == pytest.approx(average)
    assert NoEma().build(model) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"global_batch_size": 50, "accumulation_steps": 4}, "50 is not a multiple of accumulation_steps 4"),
        (
            {"epochs": 5, "schedule": {"kind": "cosine", "warmup_epochs": 5}},
            "warmup_epochs 5 must be less than epochs 5",
        ),
        (
            {"epochs": 5, "schedule": {"kind": "step", "milestones": [3, 5]}},
            r"milestones \[3, 5\] must lie before the end of 5",
        ),
        ({"schedule": {"kind": "step", "milestones": [7, 3]}}, "must be ascending epochs"),
        ({"optimizer": {"kind": "sgd", "momentum": 0, "nesterov": True}}, "nesterov needs a momentum"),
        ({"optimizer": {"kind": "adam"}}, "'sgd', 'adamw'"),
        ({"schedule": {"kind": "step", "milestones": [1], "gamma": 2}}, "less than 1"),
        ({"optimizer": {"kind": "adamw", "lr": float("nan")}}, "finite number"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(OptimizationConfig).validate_python(change)
