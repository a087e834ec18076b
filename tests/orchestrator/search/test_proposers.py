"""Who proposes what, again and again the same, and what TPE learns."""

import math

import pytest
from pydantic import TypeAdapter

from orchestrator.search.grid import GridSearch, grid
from orchestrator.search.optuna_search import OptunaSearch
from orchestrator.search.random_draws import RandomSearch, random_draws
from orchestrator.search.space import Space

SPACE = TypeAdapter(Space).validate_python(
    {
        "optimization.optimizer.lr": {"kind": "log_uniform", "low": 1e-5, "high": 1e-1},
        "model.drop_path": {"kind": "uniform", "low": 0.0, "high": 0.5},
        "optimization.epochs": {"kind": "int_uniform", "low": 2, "high": 4},
        "attention_bias.per_head": {"kind": "choice", "values": [True, False]},
    }
)
LR = TypeAdapter(Space).validate_python({"lr": {"kind": "log_uniform", "low": 1e-5, "high": 1e-1}})
NUMBERS = {path: values for path, values in SPACE.items() if values.kind != "choice"}
CMA_ES = OptunaSearch(seed=3, sampler="cma_es")
PAIR = TypeAdapter(Space).validate_python(
    {"a": {"kind": "choice", "values": [1, 2]}, "b": {"kind": "choice", "values": ["x", None]}}
)


def history(proposer, score):
    """What is proposed if each candidate ends before the next one is asked for."""
    proposed = []
    while (params := proposer.propose()) is not None:
        proposer.observe(params, score(params))
        proposed.append(params)
    return proposed


def all_of(proposer):
    proposed = []
    while (params := proposer.propose()) is not None:
        proposed.append(params)
    return proposed


def test_a_grid_is_every_combination():
    assert grid(PAIR) == [{"a": 1, "b": "x"}, {"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": 2, "b": None}]


def test_a_grid_refuses_an_interval():
    with pytest.raises(TypeError, match="`lr` is a log_uniform"):
        grid(LR)


@pytest.mark.parametrize(
    ("algorithm", "space"), [(RandomSearch(seed=3), SPACE), (OptunaSearch(seed=3), SPACE), (CMA_ES, NUMBERS)]
)
def test_draws_lie_in_the_space_and_are_the_same_for_the_same_seed(algorithm, space):
    proposed = all_of(algorithm.build(space, num_candidates=20))
    assert len(proposed) == 20
    for params in proposed:
        assert 1e-5 <= params["optimization.optimizer.lr"] <= 1e-1
        assert 0.0 <= params["model.drop_path"] <= 0.5
        assert params["optimization.epochs"] in (2, 3, 4)
        assert params.keys() == space.keys()
        assert params.get("attention_bias.per_head") in (True, False, None)
    assert all_of(algorithm.build(space, num_candidates=20)) == proposed
    other = all_of(algorithm.model_copy(update={"seed": 4}).build(space, num_candidates=20))
    assert not any(params in proposed for params in other)


def test_random_draws_are_uniform_in_the_logarithm():
    logs = [math.log10(params["lr"]) for params in random_draws(LR, num_candidates=2000, seed=0)]
    assert sum(logs) / len(logs) == pytest.approx(-3, abs=0.1)


def test_a_point_drawn_twice_is_proposed_once():
    assert len(random_draws(PAIR, num_candidates=50, seed=0)) == 4


def test_optuna_spends_its_budget_on_distinct_points():
    """However much better one of them is: equal budgets would be unequal otherwise."""
    space = TypeAdapter(Space).validate_python({"lr": {"kind": "choice", "values": list(range(12))}})
    for num_candidates, expected in ((8, 8), (50, 12)):
        proposed = history(OptunaSearch().build(space, num_candidates=num_candidates), lambda p: p["lr"] == 7)
        assert len({params["lr"] for params in proposed}) == len(proposed) == expected


@pytest.mark.parametrize("algorithm", [GridSearch(), RandomSearch(seed=1)])
def test_after_a_restart_a_list_goes_on_where_it_was(algorithm):
    whole = all_of(algorithm.build(PAIR, num_candidates=4))
    restarted = algorithm.build(PAIR, num_candidates=4)
    for params in whole[:2]:
        restarted.restore(params)
    assert all_of(restarted) == whole[2:]


def score(params):
    """Best at 1e-3."""
    return -((math.log10(params["lr"]) + 3) ** 2)


def test_tpe_moves_to_where_the_good_ones_are():
    proposed = history(OptunaSearch(seed=0).build(LR, num_candidates=40), score)
    # 40 independent draws score -4/3 on average.
    assert sum(map(score, proposed[20:])) / 20 > -0.7


def slope(params):
    """Best where all three are largest."""
    return math.log10(params["optimization.optimizer.lr"]) + params["model.drop_path"] + params["optimization.epochs"]


def test_cma_es_moves_generation_by_generation():
    proposed = history(CMA_ES.build(NUMBERS, num_candidates=70), slope)
    first, last = proposed[:14], proposed[-14:]
    assert sum(map(slope, last)) / 14 > sum(map(slope, first)) / 14 + 1
    assert sum(map(slope, last)) / 14 > 0.75 * (-1 + 0.5 + 4)


@pytest.mark.parametrize(
    ("algorithm", "space"), [(OptunaSearch(seed=0), SPACE), (OptunaSearch(seed=0), LR), (CMA_ES, NUMBERS)]
)
def test_after_a_restart_optuna_proposes_what_it_would_have_proposed(algorithm, space):
    def some_fail(params):
        value = round(math.log10(next(iter(params.values()))), 3)
        return None if value < -4 else -abs(value + 2)

    whole = history(algorithm.build(space, num_candidates=24), some_fail)
    assert len(whole) == 24
    assert any(some_fail(params) is None for params in whole)
    for num_known in (1, 7, 8, 15, 23):
        restarted = algorithm.build(space, num_candidates=24)
        for params in whole[:num_known]:
            restarted.restore(params)
            restarted.observe(params, some_fail(params))
        assert history(restarted, some_fail) == whole[num_known:]


@pytest.mark.parametrize("algorithm", [OptunaSearch(seed=1), CMA_ES])
def test_optuna_avoids_where_candidates_fail(algorithm):
    proposer = algorithm.build(LR, num_candidates=40)
    proposed = history(proposer, lambda params: None if params["lr"] > 1e-3 else 1.0)
    assert sum(params["lr"] > 1e-3 for params in proposed[20:]) < 7


def test_after_a_restart_tpe_knows_a_point_whose_keys_come_in_another_order():
    crop = {"kind": "crop_flip", "min_scale_fraction": 0.5}
    space = TypeAdapter(Space).validate_python({"augmentation": {"kind": "choice", "values": [{"kind": "none"}, crop]}})
    restarted = OptunaSearch().build(space, num_candidates=4)
    restarted.restore({"augmentation": dict(reversed(crop.items()))})
    restarted.observe({"augmentation": crop}, 0.5)
    assert all_of(restarted) == [{"augmentation": {"kind": "none"}}]
