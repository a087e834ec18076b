"""Losses, changes of the network, optimizers and augmentations of the user's own, and what is said where one does not
fit."""

import random
import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from trainers.config import TrialConfig
from trainers.data.digits import DigitsConfig
from trainers.errors import OwnCodeError
from trainers.initial_model import initial_network
from trainers.models.bias import attached_biases
from trainers.own_code.criterion import OwnCriterion
from trainers.own_code.examining import try_trial
from trainers.runtime import Runtime
from trainers.start import starts_of
from trainers.tasks.classification.task import ClassificationConfig
from trainers.training.trial import train

CPU = torch.device("cpu")
TRIAL = {
    "model": {"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 2, "image_size_px": 8, "patch_size_px": 4},
    "dataset": {"kind": "digits", "num_train": 40, "num_val": 20, "num_test": 20},
    "optimization": {"epochs": 1, "global_batch_size": 20},
}


def python(target: str, **fields: object) -> dict[str, object]:
    return {"kind": "python", "target": f"labd.{target}", **fields}


def with_loss(name: str, **fields: object) -> TrialConfig:
    return TrialConfig.model_validate(
        TRIAL | {"task": {"kind": "classification", "loss": python(f"losses:{name}", **fields)}}
    )


def changed_by(name: str, **fields: object) -> TrialConfig:
    return TrialConfig.model_validate(TRIAL | {"attention_bias": python(f"changes:{name}", **fields)})


def with_optimizer(name: str, **fields: object) -> TrialConfig:
    optimization = TRIAL["optimization"] | {"optimizer": python(f"optimizers:{name}", **fields)}
    return TrialConfig.model_validate(TRIAL | {"optimization": optimization})


def augmented_by(name: str) -> TrialConfig:
    return TrialConfig.model_validate(TRIAL | {"augmentation": python(f"augmentations:{name}")})


def refusal(config: TrialConfig) -> OwnCodeError:
    with pytest.raises(OwnCodeError) as caught:
        try_trial(config, None)
    return caught.value


# ---- losses ----


def test_a_function_and_a_class_are_losses(lab: Path) -> None:
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    task = with_loss("focal", arguments={"gamma": 0.0}).task
    assert torch.allclose(task.criterion(("a", "b", "c"), CPU)(logits, labels), F.cross_entropy(logits, labels))
    state = torch.random.get_rng_state()
    weighted = with_loss("Weighted").task.criterion(("a", "b", "c"), CPU)
    # What its constructor draws moves nothing else.
    assert torch.equal(torch.random.get_rng_state(), state)
    expected = F.cross_entropy(logits, labels, weight=weighted.function.weight)
    assert torch.equal(weighted(logits, labels), expected)


def test_a_training_makes_it_small_and_is_scored_by_the_same_metrics(lab: Path) -> None:
    plain = train(TrialConfig.model_validate(TRIAL), Runtime(device="cpu"))
    same = train(with_loss("focal", arguments={"gamma": 0.0}), Runtime(device="cpu"))
    other = train(with_loss("focal"), Runtime(device="cpu"))
    losses = [result.epochs[0].metrics["train/loss"] for result in (plain, same, other)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[2] < 0.95 * losses[0]
    # The arms of a pair start from the same weights, batches and random state.
    starts = [
        {name: result.provenance[f"start_{name}"] for name in ("weights", "batches", "random")}
        for result in (plain, other)
    ]
    assert starts[0] == starts[1]
    assert set(other.metrics) == set(plain.metrics)


def test_what_a_loss_draws_follows_its_place_and_moves_nothing_else(lab: Path) -> None:
    try_trial(with_loss("Drawing"), None)
    results, states = [], []
    for _ in range(2):
        random.seed()
        results.append(train(with_loss("Drawing"), Runtime(device="cpu")))
        states.append(torch.random.get_rng_state())
    assert results[0].epochs[0].metrics["train/loss"] == results[1].epochs[0].metrics["train/loss"]
    # Dropout goes on from where the control's does.
    train(TrialConfig.model_validate(TRIAL), Runtime(device="cpu"))
    assert torch.equal(torch.random.get_rng_state(), states[0])


def test_what_a_loss_draws_is_another_in_every_step_and_epoch(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_epochs = with_loss("Drawing").model_copy(update={"seed": 5}).model_dump()
    two_epochs["optimization"] |= {"epochs": 2, "accumulation_steps": 2}
    seen = []
    draw_from = OwnCriterion.draw_from
    monkeypatch.setattr(
        OwnCriterion, "draw_from", lambda self, seed: (seen.append((self, seed)), draw_from(self, seed))[1]
    )
    train(TrialConfig.model_validate(two_epochs), Runtime(device="cpu"))
    drawn = seen[0][0].function.drawn
    # Two epochs of two steps of two parts.
    assert len(drawn) == len({*drawn}) == len({seed for _, seed in seen}) == 8


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "of_each",
            r"of_each gives \[2\] for logits \[2, 10\] and labels \[2\], where a scalar is needed: take the mean",
        ),
        ("number", "gives an object of the type float for .*; a loss gives a tensor of one number"),
        ("detached", r"the loss of labd.losses:detached has no gradient: it was cut off from the logits"),
        ("counted", "gives a number of the type torch.int64; a loss is a float"),
        ("nothing", "gives inf for logits between -3 and 3; a loss is finite there"),
        (
            "fails",
            r"fails can't take logits \[2, 10\] and labels \[2\]: RuntimeError: .*\[labd/losses.py line \d+, in fails",
        ),
        ("one_sided", r"can't take logits .*TypeError: one_sided\(\) takes 1 positional argument but 2 were given"),
        ("Learned", "has parameters of its own, which nobody trains"),
        ("Moving", "changes its buffer `mean` at every call"),
        ("Growing", "and .* for the same the second time, with the same random numbers: a loss keeps nothing from one"),
        ("of_a_generator_of_its_own", "for the same the second time, with the same random numbers"),
        ("Mute", "gives an object of the type Mute that can't be called; a loss is a function, or a class"),
        # The digits are of ten classes.
        ("OfTwo", r"can't take logits \[2, 10\]"),
        ("focla", "labd.losses has no focla; it has focal"),
    ],
)
def test_what_is_no_loss_is_said_at_the_task(lab: Path, name: str, message: str) -> None:
    error = refusal(with_loss(name))
    assert error.field == "task"
    assert re.search(message, str(error)), str(error)


def test_mixed_labels_are_shares(lab: Path) -> None:
    mixed = {"mixing": {"kind": "mixup"}}
    try_trial(TrialConfig.model_validate(with_loss("Weighted").model_dump() | mixed), None)
    assert "logits [2, 10] and labels [2, 10]" in str(
        refusal(TrialConfig.model_validate(with_loss("fails").model_dump() | mixed))
    )


def test_labels_are_smoothed_by_cross_entropy_alone() -> None:
    with pytest.raises(ValueError, match=r"label_smoothing 0\.1 is a part of cross-entropy, and the loss is python"):
        ClassificationConfig.model_validate({"label_smoothing": 0.1, "loss": python("losses:focal")})


# ---- changes ----


def test_a_change_leaves_what_the_arms_share(lab: Path) -> None:
    control, gated, louder = starts_of(
        [TrialConfig.model_validate(TRIAL), changed_by("gate"), changed_by("Louder", arguments={"by": 3.0})], None
    )
    # It has put the norm into another module: of what is no more there, what was there counts.
    assert gated == control | {"start_replaced": "norm.bias, norm.weight"}
    # This one changes a weight that both have.
    assert louder["start_weights"] != control["start_weights"]
    assert louder["start_random"] == control["start_random"]


def test_what_only_adds_starts_from_the_same_weights(lab: Path) -> None:
    control, same = starts_of([TrialConfig.model_validate(TRIAL), changed_by("Louder", arguments={"by": 1.0})], None)
    assert same == control


def test_an_attention_bias_of_ones_own_is_attached_to_every_layer(lab: Path) -> None:
    config = changed_by("FarBias", arguments={"strength": -1.0})
    network = initial_network(config, ["a", "b"], None)
    assert [bias.strength.item() for bias in attached_biases(network)] == [-1.0]
    assert config.attention_bias.description(is_trained=True) == "own change by labd.changes:FarBias, strength -1.0"
    assert config.attention_bias.lr_factor == 7.0
    try_trial(config, None)
    result = train(config, Runtime(device="cpu"))
    assert result.epochs[0].metrics["strength/00"] != -1.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dead", "own change by labd.changes:dead changes nothing: the network says the same of every image as before"),
        ("another", "returns an object of the type Flatten; a change gets the network"),
        ("FarPlacebo", "FarPlacebo overrides is_placebo and start_from, which nobody asks of a change of one's own"),
        ("fails", "can't change .*: AttributeError: .*no_such_part"),
        ("narrows", r"gives \[2, 3\], and \[2, 10\] before"),
    ],
)
def test_what_is_no_change_is_said_at_the_bias(lab: Path, name: str, message: str) -> None:
    error = refusal(changed_by(name))
    assert error.field == "attention_bias"
    assert re.search(message, str(error)), str(error)


def test_a_new_parameter_that_starts_at_nothing_is_a_change(lab: Path) -> None:
    try_trial(changed_by("gate"), None)


# ---- optimizers ----


def test_an_optimizer_of_ones_own_trains(lab: Path) -> None:
    config = with_optimizer("Sign", lr=0.002, arguments={"betas": [0.9, 0.95]})
    try_trial(config, None)
    assert train(config, Runtime(device="cpu")).epochs[0].metrics["train/loss"] > 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Idle"}, "a step of labd.optimizers:Idle moves no parameter"),
        ({"name": "Forgetful"}, "goes on from its saved state with another step"),
        ({"name": "Second"}, "can't take a step: TypeError: .*closure"),
        ({"name": "number"}, "gives an object of the type float; an optimizer is a torch.optim.Optimizer"),
        (
            {"name": "Sign", "arguments": {"lr": 1}},
            "`lr` is not set among the arguments of labd.optimizers:Sign: set `lr`",
        ),
        ({"name": "Sign", "arguments": {"beta": 1}}, "takes no argument `beta`; it takes betas"),
    ],
)
def test_what_is_no_optimizer_is_said_at_the_optimization(lab: Path, fields, message: str) -> None:
    error = refusal(with_optimizer(**fields))
    assert error.field == "optimization"
    assert re.search(message, str(error)), str(error)


# ---- augmentations ----


@pytest.mark.parametrize("name", ["Crop", "to_tensor"])
def test_an_augmentation_of_ones_own_changes_training_images(lab: Path, name: str) -> None:
    try_trial(augmented_by(name), None)
    train_split = (
        DigitsConfig(num_train=40)
        .load(None, input_size_px=8, augmentation=augmented_by("Crop").augmentation, seed=0)
        .train
    )
    assert train_split.__getitems__([0, 1]).images.shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("as_it_is", "gives an image of 72 x 64 pixels, and the model sees 8 x 8: let it end in a crop or a resize"),
        ("nothing", "what labd.augmentations:nothing gives is None; a PIL image or a tensor"),
        ("fails", "can't change an image: AttributeError: .*no_such_thing"),
    ],
)
def test_what_is_no_augmentation_is_said(lab: Path, name: str, message: str) -> None:
    error = refusal(augmented_by(name))
    assert error.field == "augmentation"
    assert re.search(message, str(error)), str(error)
