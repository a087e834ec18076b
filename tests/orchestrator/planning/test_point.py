"""What a search records is what its trials train: paths in any order, inside each other, spelled in two ways."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import SpecError
from orchestrator.planning.expansion import Expansion
from orchestrator.planning.point import with_point
from orchestrator.search.grid import grid
from orchestrator.search.optuna_search import OptunaSearch
from orchestrator.search.random_draws import random_draws
from orchestrator.search.space import is_below, point_key
from orchestrator.spec.experiment import ArmSearch, parse_spec

SIGMA, BIAS = "attention_bias.sigma", "attention_bias"
LR, OPTIMIZER = "optimization.optimizer.lr", "optimization.optimizer"
SGD, ADAMW = {"kind": "sgd", "momentum": 0.5}, {"kind": "adamw"}


def choice(*values):
    return {"kind": "choice", "values": list(values)}


def interval(low, high, kind="uniform"):
    return {"kind": kind, "low": low, "high": high}


def expanded(space, algorithm="random", **search):
    search = {"space": space, "algorithm": {"kind": algorithm}, "seeds": [100], "num_candidates": 6, **search}
    spec = {
        "name": "points",
        "models": [{"kind": "small_vit"}],
        "datasets": [{"kind": "digits"}],
        "arms": [
            {"name": "control", "role": "control"},
            {"name": "gaussian", "patch": {BIAS: {"kind": "gaussian"}}, "search": search},
        ],
        "seeds": [0],
    }
    return Expansion(parse_spec(spec), data_root=None)


def problems(space, **search):
    with pytest.raises(SpecError) as caught:
        expanded(space, **search)
    return {problem.pointer.removeprefix("/arms/1/search/space"): problem.message for problem in caught.value.problems}


def candidates_of(expansion):
    search = expansion.spec.arms[1].search
    proposer = search.algorithm.build(search.space, num_candidates=search.num_candidates)
    while (params := proposer.propose()) is not None:
        yield params
        proposer.observe(params, 0.5)


def assert_trained_as_recorded(expansion):
    """At each path of the trial's config stands what its params say (an object: in the fields that it names)."""
    (cell,) = expansion.cells
    for params in candidates_of(expansion):
        try:
            searched = expansion.search_trial(cell, "gaussian", params, 100)
        except SpecError:
            # Nobody knows beforehand what Optuna combines; the driver notes such a candidate as failed.
            assert isinstance(expansion.spec.arms[1].search.algorithm, OptunaSearch)
            continue
        confirmed = next(t for t in expansion.confirm_trials({(cell.key, "gaussian"): params}) if t.arm == "gaussian")
        for trial in (searched, confirmed):
            assert trial.params == params
            for path, value in params.items():
                found = trial.config.model_dump(mode="json")
                for name in path.split("."):
                    found = found[name]
                assert says(found, value), (path, found, value)


def says(found, value):
    if isinstance(value, dict):
        return all(name in found and says(found[name], inner) for name, inner in value.items())
    return found == value and isinstance(found, bool) == isinstance(value, bool)


POOL = {
    BIAS: [
        choice({"kind": "gaussian"}, {"kind": "permuted_gaussian"}),
        choice({"kind": "gaussian", "sigma": 9.0}, {"kind": "gaussian"}),
        choice({"kind": "none"}, {"kind": "gaussian", "amplitude": 2}),
    ],
    SIGMA: [interval(0.5, 8, "log_uniform"), interval(1, 8, "int_uniform"), choice(1, 2.0, 3)],
    "attention_bias.per_head": [choice(True, False)],
    "attention_bias.kind": [choice("gaussian", "permuted_gaussian"), choice("gaussian", "none")],
    OPTIMIZER: [choice(SGD, ADAMW), choice(SGD, {"kind": "adamw", "lr": 1})],
    LR: [interval(1e-4, 1e-1, "log_uniform"), choice(1, 0.5)],
    "optimization.optimizer.momentum": [interval(0.0, 0.9)],
    "optimization": [choice({"optimizer": {"kind": "adamw"}, "epochs": 3}, {"optimizer": SGD})],
    "optimization.epochs": [interval(2, 9, "int_uniform")],
    "optimization.schedule.warmup_epochs": [interval(0, 1), interval(1, 4, "int_uniform")],
    "optimization.clip_grad_norm": [choice(None, 1)],
    "normalization": [choice("model", "imagenet")],
}
spaces = st.lists(
    st.sampled_from(sorted(POOL)).flatmap(lambda path: st.tuples(st.just(path), st.sampled_from(POOL[path]))),
    min_size=1,
    max_size=4,
    unique_by=lambda entry: entry[0],
).map(dict)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(spaces, st.sampled_from(["grid", "random", "optuna"]))
def test_a_space_is_refused_or_its_trials_are_what_they_are_recorded_as(space, algorithm):
    try:
        expansion = expanded(space, algorithm)
    except SpecError:
        return
    assert_trained_as_recorded(expansion)


@pytest.mark.parametrize(
    "space",
    [
        {LR: interval(1e-4, 1e-1), OPTIMIZER: choice(SGD, ADAMW)},
        {OPTIMIZER: choice(SGD, ADAMW), LR: interval(1e-4, 1e-1)},
        {SIGMA: choice(1, 2), BIAS: choice({"kind": "gaussian"}, {"kind": "permuted_gaussian"})},
        {
            LR: choice(0.1, 0.2),
            "optimization": choice({"epochs": 2, "optimizer": {"kind": "sgd"}}, {"optimizer": ADAMW}),
            "optimization.epochs": choice(4, 5),
        }
        | {"optimization": choice({"optimizer": {"kind": "sgd"}}, {"optimizer": ADAMW})},
        {SIGMA: interval(1, 8, "int_uniform")},
    ],
)
@pytest.mark.parametrize("algorithm", ["random", "optuna"])
def test_a_path_inside_another_one_is_set_after_it(space, algorithm):
    expansion = expanded(space, algorithm)
    assert any(True for _ in candidates_of(expansion))
    assert_trained_as_recorded(expansion)


@pytest.mark.parametrize("order", [(SIGMA, BIAS), (BIAS, SIGMA)])
def test_a_value_that_says_what_is_searched_too_is_refused(order):
    space = {SIGMA: interval(0.5, 8), BIAS: choice({"kind": "gaussian"}, {"kind": "gaussian", "sigma": 9.0})}
    assert problems({path: space[path] for path in order}) == {
        "/attention_bias/values/1": "this value says what `attention_bias.sigma` is, which is searched too; list whole "
        "values under `attention_bias` alone, or search `attention_bias.sigma` alone"
    }


def test_a_conditional_space_is_refused():
    space = {SIGMA: interval(0.5, 8), BIAS: choice({"kind": "none"}, {"kind": "gaussian"})}
    ((pointer, message),) = problems(space).items()
    assert pointer == "/attention_bias.sigma"
    assert (
        'with `attention_bias` = {"kind": "none"} there is no `attention_bias.sigma`, and each path of a search '
        "must exist for all candidates: list whole values under `attention_bias` alone, or give each kind an arm"
    ) in message


def test_a_path_inside_a_number_or_a_text_is_refused():
    assert (
        "searched too, as a number, which has no fields"
        in problems({LR: interval(0, 1), OPTIMIZER: interval(1, 2)})[f"/{LR}"]
    )
    assert (
        "has no field for it"
        in problems({LR: interval(0, 1), OPTIMIZER: choice("adamw", ADAMW)})[f"/{OPTIMIZER}/values/0"]
    )


def test_candidates_that_are_known_beforehand_are_all_tried():
    """Each value alone would do: 64 images over one step, 40 over 4; 50 over 4 would not."""
    space = {"optimization.global_batch_size": choice(64, 50), "optimization.accumulation_steps": choice(1, 2, 4)}
    ((pointer, message),) = problems(space, algorithm="grid").items()
    assert pointer == ""
    assert "the candidate `optimization.global_batch_size` = 50, `optimization.accumulation_steps` = 4: " in message


def test_one_point_spelled_in_two_ways_is_one():
    assert "the value 1.0 is listed twice, as 1 too" in problems({SIGMA: choice(1, 2, 1.0)})[f"/{SIGMA}"]
    same_trial = problems({BIAS: choice({"kind": "gaussian"}, {"kind": "gaussian", "sigma": 5})})
    assert 'makes the same trial as {"kind": "gaussian"}' in same_trial["/attention_bias/values/1"]
    assert point_key({"a": 1, "b": [2.0]}) == point_key({"b": [2], "a": 1.0})
    assert len({point_key({"a": value}) for value in (1, True, "1", 0, False, None, 1.5)}) == 7


def test_true_and_1_are_two_points():
    search = ArmSearch.model_validate({"space": {"a": choice(1, True, 0, False)}})
    assert [params["a"] for params in grid(search.space)] == [1, True, 0, False]
    drawn = random_draws(search.space, num_candidates=200, seed=0)
    assert {point_key(params) for params in drawn} == {point_key({"a": value}) for value in (1, True, 0, False)}
    for algorithm in ("grid", "optuna"):
        search = ArmSearch.model_validate({"space": {"a": choice(1, True)}, "algorithm": {"kind": algorithm}})
        restarted = search.algorithm.build(search.space, num_candidates=2)
        restarted.restore({"a": True})
        (left,) = iter(restarted.propose, None)
        assert left["a"] is not True
        assert left == {"a": 1}


def test_a_path_is_below_what_it_leads_into():
    assert is_below("a.b", "a")
    assert not is_below("a.b", "a.b")
    assert not is_below("ab.c", "a")
    assert with_point({"a": {"b": 1, "c": 2}}, {"a.b": 5, "a": {"d": 3}}) == {"a": {"b": 5, "d": 3}}
