"""Who proposes what, again and again the same, and what TPE learns."""

import math

import pytest
from pydantic import TypeAdapter

from orchestrator.search import GridSearch, OptunaSearch, RandomSearch, Space
from orchestrator.search.proposers import grid, make_proposer, random_draws

SPACE = TypeAdapter(Space).validate_python(
    {
        "optimization.optimizer.lr": {"kind": "log_uniform", "low": 1e-5, "high": 1e-1},
        "model.drop_path": {"kind": "uniform", "low": 0.0, "high": 0.5},
        "optimization.epochs": {"kind": "int_uniform", "low": 2, "high": 4},
        "attention_bias.per_head": {"kind": "choice", "values": [True, False]},
    }
)
LR = TypeAdapter(Space).validate_python({"lr": {"kind": "log_uniform", "low": 1e-5, "high": 1e-1}})
PAIR = TypeAdapter(Space).validate_python(
    {"a": {"kind": "choice", "values": [1, 2]}, "b": {"kind": "choice", "values": ["x", None]}}
)


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


@pytest.mark.parametrize("algorithm", [RandomSearch(seed=3), OptunaSearch(seed=3)])
def test_draws_lie_in_the_space_and_are_the_same_for_the_same_seed(algorithm):
    proposed = all_of(make_proposer(algorithm, SPACE, num_candidates=20))
    assert len(proposed) == 20
    for params in proposed:
        assert 1e-5 <= params["optimization.optimizer.lr"] <= 1e-1
        assert 0.0 <= params["model.drop_path"] <= 0.5
        assert params["optimization.epochs"] in (2, 3, 4)
        assert params["attention_bias.per_head"] in (True, False)
    assert all_of(make_proposer(algorithm, SPACE, num_candidates=20)) == proposed
    other = type(algorithm)(seed=4)
    assert all_of(make_proposer(other, SPACE, num_candidates=20)) != proposed


def test_random_draws_are_uniform_in_the_logarithm():
    logs = [math.log10(params["lr"]) for params in random_draws(LR, num_candidates=2000, seed=0)]
    assert sum(logs) / len(logs) == pytest.approx(-3, abs=0.1)


def test_a_point_drawn_twice_is_proposed_once():
    assert len(random_draws(PAIR, num_candidates=50, seed=0)) == 4
    tpe = make_proposer(OptunaSearch(seed=0), PAIR, num_candidates=50)
    proposed = []
    while (params := tpe.propose()) is not None:
        tpe.observe(params, 1.0)
        proposed.append(params)
    assert len(proposed) == len({str(params) for params in proposed}) <= 4


@pytest.mark.parametrize("algorithm", [GridSearch(), RandomSearch(seed=1)])
def test_after_a_restart_a_list_goes_on_where_it_was(algorithm):
    whole = all_of(make_proposer(algorithm, PAIR, num_candidates=4))
    restarted = make_proposer(algorithm, PAIR, num_candidates=4)
    for params in whole[:2]:
        restarted.restore(params)
    assert all_of(restarted) == whole[2:]


def score(params):
    """Best at 1e-3."""
    return -((math.log10(params["lr"]) + 3) ** 2)


def test_tpe_moves_to_where_the_good_ones_are():
    tpe = make_proposer(OptunaSearch(seed=0), LR, num_candidates=40)
    proposed = []
    while (params := tpe.propose()) is not None:
        tpe.observe(params, score(params))
        proposed.append(params)
    late = sum(score(params) for params in proposed[20:]) / 20
    # 40 independent draws score -4/3 on average.
    assert late > -0.5


def test_after_a_restart_tpe_knows_the_past_and_draws_anew():
    first = make_proposer(OptunaSearch(seed=0), LR, num_candidates=30)
    past = []
    for _ in range(15):
        params = first.propose()
        first.observe(params, score(params))
        past.append(params)
    restarted = make_proposer(OptunaSearch(seed=0), LR, num_candidates=30)
    for params in past:
        restarted.restore(params)
        restarted.observe(params, score(params))
    later = []
    while (params := restarted.propose()) is not None:
        restarted.observe(params, score(params))
        later.append(params)
    assert len(later) == 15
    assert not any(params in past for params in later)
    assert sum(map(score, later)) / 15 > sum(map(score, past)) / 15


def test_tpe_avoids_where_candidates_fail():
    tpe = make_proposer(OptunaSearch(seed=1), LR, num_candidates=40)
    proposed = []
    while (params := tpe.propose()) is not None:
        tpe.observe(params, None if params["lr"] > 1e-3 else 1.0)
        proposed.append(params)
    assert sum(params["lr"] > 1e-3 for params in proposed[20:]) < 7


def test_after_a_restart_tpe_knows_a_point_whose_keys_come_in_another_order():
    crop = {"kind": "crop_flip", "min_scale_fraction": 0.5}
    space = TypeAdapter(Space).validate_python({"augmentation": {"kind": "choice", "values": [{"kind": "none"}, crop]}})
    restarted = make_proposer(OptunaSearch(), space, num_candidates=4)
    restarted.restore({"augmentation": dict(reversed(crop.items()))})
    restarted.observe({"augmentation": crop}, 0.5)
    assert all_of(restarted) == [{"augmentation": {"kind": "none"}}]
