"""Layer-wise learning rates of every family, against timm's own grouping."""

import pytest
import timm
from timm.optim import param_groups_layer_decay

from tests.contracts.model_examples import EXAMPLES, build, treat
from trainers.models.bias import bias_parameters
from trainers.optimization.parameter_groups import parameter_groups

DECAY = 0.6


@pytest.fixture(params=EXAMPLES)
def example(request, monkeypatch):
    chosen = EXAMPLES[request.param]
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: create(*args, **{**kwargs, **chosen.sizes}))
    return chosen


def grouped(model):
    """Name of each trained parameter -> (group, its facts); fails if one is in two groups."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(
        model, model, bias=bias_parameters(model), weight_decay=0.05, bias_lr_multiplier=20.0, layer_decay=DECAY
    )
    members = [(names[id(parameter)], group) for group in groups for parameter in group["params"]]
    assert len({name for name, _ in members}) == len(members)
    assert len({group["name"] for group in groups}) == len(groups)
    return dict(members)


def test_every_parameter_learns_at_the_rate_that_timm_gives_its_layer(example):
    model = build(example.config())
    ours = grouped(model)
    expected = {
        id(parameter): group["lr_scale"]
        for group in param_groups_layer_decay(model, layer_decay=DECAY)
        for parameter in group["params"]
    }
    assert {name: group["lr_multiplier"] for name, group in ours.items()} == pytest.approx(
        {name: expected[id(parameter)] for name, parameter in model.named_parameters()}
    )
    # The head learns at the full rate, and there is a layer below it.
    assert ours["head.weight" if "head.weight" in ours else "head.fc.weight"]["lr_multiplier"] == 1
    assert min(group["lr_multiplier"] for group in ours.values()) < DECAY


def test_the_treatment_changes_no_other_rate_and_decays_at_the_same_places(example):
    control, treatment = build(example.config()), treat(build(example.config()))
    ours, theirs = grouped(control), grouped(treatment)
    added = {name: theirs.pop(name) for name in set(theirs) - set(ours)}
    assert {(group["name"], group["lr_multiplier"], group["weight_decay"]) for group in added.values()} == {
        ("attention_bias", 20.0, 0.0)
    }
    assert len(added) == len(bias_parameters(treatment))
    for name, group in theirs.items():
        for fact in ("name", "lr_multiplier", "weight_decay"):
            assert group[fact] == ours[name][fact], name


def test_weight_decay_does_not_depend_on_layer_decay(example):
    model = build(example.config())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    flat = {
        names[id(parameter)]: group["weight_decay"]
        for group in parameter_groups(model, model, bias=(), weight_decay=0.05, bias_lr_multiplier=1.0)
        for parameter in group["params"]
    }
    assert {name: group["weight_decay"] for name, group in grouped(model).items()} == flat


def test_what_is_frozen_is_in_no_group(example):
    model = build(example.config())
    frozen, parameter = next(iter(model.named_parameters()))
    parameter.requires_grad_(False)
    assert set(grouped(model)) == {name for name, _ in model.named_parameters()} - {frozen}
