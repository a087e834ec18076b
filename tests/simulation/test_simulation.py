"""A few schedules of faults, each with its seed; `make simulate` plays thousands."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.scene import play


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", [*range(6), 15])
def test_a_schedule_of_faults_breaks_no_promise(seed: int) -> None:
    complaints, _ = play(seed)
    assert not complaints, f"make simulate SEED={seed} SCHEDULES=1"


def test_the_same_seed_is_the_same_schedule() -> None:
    (first, reached), (second, again) = play(1), play(1)
    assert (first, reached) == (second, again)


def test_a_service_without_a_fence_is_noticed() -> None:
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == "no fence"]
    with mutant.alive():
        assert any(play(seed)[0] for seed in range(3, 20))
