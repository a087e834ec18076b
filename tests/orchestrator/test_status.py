"""The table of moves: what it must allow and must never allow."""

import pytest

from orchestrator.status import ALLOWED_MOVES, ExperimentStatus, TrialStatus

FINAL = {"succeeded", "failed", "cancelled"}


def test_every_status_has_its_moves() -> None:
    assert set(ALLOWED_MOVES) == set(ExperimentStatus)


@pytest.mark.parametrize("status", ExperimentStatus)
def test_every_status_leads_to_a_final_one(status: ExperimentStatus) -> None:
    reached, frontier = {status}, [status]
    while frontier:
        for following in ALLOWED_MOVES[frontier.pop()] - reached:
            reached.add(following)
            frontier.append(following)
    assert {one for one in reached if one.is_final} == FINAL


@pytest.mark.parametrize("status", [status for status in ExperimentStatus if status.is_final])
def test_a_final_status_can_only_be_queued_again(status: ExperimentStatus) -> None:
    assert ALLOWED_MOVES[status] == {ExperimentStatus.QUEUED}


def test_a_cancel_can_not_be_taken_back() -> None:
    assert ALLOWED_MOVES[ExperimentStatus.CANCELLING] == {ExperimentStatus.CANCELLED, ExperimentStatus.FAILED}


def test_nothing_succeeds_without_running() -> None:
    assert [one for one in ExperimentStatus if ExperimentStatus.SUCCEEDED in ALLOWED_MOVES[one]] == ["running"]


def test_final_statuses_of_experiments_and_trials() -> None:
    assert {status for status in ExperimentStatus if status.is_final} == FINAL
    assert {status for status in TrialStatus if status.is_final} == FINAL | {"pruned"}
