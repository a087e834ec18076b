"""Equal failures in a row: when it is no use to go on."""

import pytest

from orchestrator.driving.failure_streak import FailureStreak
from orchestrator.driving.work import Ending
from orchestrator.status import TrialStatus


def failed(error: str) -> Ending:
    return Ending(TrialStatus.FAILED, {}, error)


SUCCEEDED = Ending(TrialStatus.SUCCEEDED, {"test/top1": 0.5})


def is_over_after(*endings: Ending, longest: int = 3) -> bool:
    streak = FailureStreak(longest)
    for ending in endings:
        streak.note(ending)
    return streak.is_over


def test_so_many_equal_failures_in_a_row_are_too_many() -> None:
    endings = [failed(f"arm {arm}, seed {seed}: no space left [17]") for arm, seed in (("a", 0), ("b, c", 1), ("a", 2))]
    assert not is_over_after(*endings[:2])
    assert is_over_after(*endings)


@pytest.mark.parametrize(
    "between",
    [SUCCEEDED, failed("arm a, seed 0: the loss became nan in epoch 1, step 4"), Ending(TrialStatus.PRUNED, {}, "")],
)
def test_anything_else_in_between_begins_anew(between: Ending) -> None:
    full = failed("arm a, seed 0: no space left")
    assert not is_over_after(full, full, between, full, full)
    assert is_over_after(full, full, between, full, full, full)


def test_the_same_failure_at_another_step_is_the_same() -> None:
    assert is_over_after(*(failed(f"arm a, seed {step}: loss nan in step {step}") for step in range(3)))
