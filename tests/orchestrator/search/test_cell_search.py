"""One search from its first proposal to its choice, with values as its tests wish."""

import pytest

from orchestrator.driving.cell_search import CellSearch
from orchestrator.planning.planned import PlannedSearch
from orchestrator.spec.experiment import ArmSearch
from orchestrator.statistics.comparison import Cell

SEEDS = (100, 101)


def search_of(**changes):
    config = ArmSearch.model_validate(
        {
            "space": {"lr": {"kind": "choice", "values": [1, 2, 3]}},
            "algorithm": {"kind": "grid"},
            "seeds": SEEDS,
            **changes,
        }
    )
    planned = PlannedSearch(cell=Cell(model="m", dataset="d"), arm="a", num_candidates=3, seeds=SEEDS)
    return CellSearch(planned, config)


def requests_of(search):
    requests = []
    while (request := search.next_request()) is not None:
        requests.append((request.params["lr"], request.seed))
    return requests


def test_every_candidate_trains_every_seed():
    assert requests_of(search_of()) == [(lr, seed) for lr in (1, 2, 3) for seed in SEEDS]


def test_the_best_mean_is_chosen_not_the_best_value():
    search = search_of()
    requests_of(search)
    for lr, values in ((1, (0.9, 0.1)), (2, (0.6, 0.6)), (3, (0.7, 0.4))):
        assert not search.is_over
        for seed, value in zip(SEEDS, values, strict=True):
            search.ended({"lr": lr}, seed, value)
    assert search.is_over
    assert search.choose() == {"lr": 2}


def test_of_equals_the_first_is_chosen():
    search = search_of()
    requests_of(search)
    for lr in (3, 2, 1):
        for seed in SEEDS:
            search.ended({"lr": lr}, seed, 0.5)
    assert search.choose() == {"lr": 1}


def test_a_candidate_with_a_failed_seed_is_out_and_gets_no_more():
    search = search_of()
    assert search.next_request().seed == 100
    search.ended({"lr": 1}, 100, None, failure="broke")
    assert requests_of(search) == [(lr, seed) for lr in (2, 3) for seed in SEEDS]
    for lr in (2, 3):
        for seed in SEEDS:
            search.ended({"lr": lr}, seed, 0.1)
    assert search.choose() == {"lr": 2}
    assert search.failures == ["broke"]


def test_nothing_is_chosen_if_all_fail():
    search = search_of()
    requests_of(search)
    for lr in (1, 2, 3):
        search.ended({"lr": lr}, 100, None, failure=f"broke at {lr}")
    assert search.is_over
    assert search.choose() is None
    assert search.failures[0] == "broke at 1"


def test_in_a_race_only_survivors_train_their_other_seeds():
    search = search_of(early_stopping={"kind": "asha"})
    first = [search.next_request() for _ in range(3)]
    assert [(request.params["lr"], request.seed, request.is_race) for request in first] == [
        (1, 100, True),
        (2, 100, True),
        (3, 100, True),
    ]
    assert search.next_request() is None
    assert not search.is_over
    search.ended({"lr": 2}, 100, 0.8)
    search.ended({"lr": 1}, 100, None)
    second = search.next_request()
    assert (second.params["lr"], second.seed, second.is_race) == (2, 101, False)
    search.ended({"lr": 3}, 100, None)
    assert search.next_request() is None
    search.ended({"lr": 2}, 101, 0.6)
    assert search.is_over
    assert search.choose() == {"lr": 2}


@pytest.mark.parametrize("num_ended", [0, 1, 2, 3])
def test_after_a_restart_only_what_is_missing_is_asked_for(num_ended):
    search = search_of()
    for lr in (1, 2):
        search.restore({"lr": lr})
        search.restore({"lr": lr})
    ended = [(1, 100), (1, 101), (2, 100)][:num_ended]
    for lr, seed in ended:
        search.ended({"lr": lr}, seed, 0.5)
    everything = [(lr, seed) for lr in (1, 2, 3) for seed in SEEDS]
    assert sorted(requests_of(search)) == sorted(set(everything) - set(ended))
