"""Trials: planned once, run, ended, reused; never changed by a driver that was replaced."""

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from orchestrator.errors import StaleAttemptError, StatusConflictError, TrialNotFoundError
from orchestrator.planning.hardware import Hardware
from orchestrator.planning.planned import PlannedTrial
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import AttemptEnd, ExperimentStatus, Phase, TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.events import events_after
from orchestrator.store.experiments import begin_attempt, end_attempt, insert_experiment, move
from orchestrator.store.trials import (
    TrialRowKey,
    cancel_open_trials,
    fail_trial,
    find_reusable,
    finished_identities,
    get_trial,
    plan_trials,
    prune_trial,
    reopen_trials,
    reuse_trial,
    start_trial,
    succeed_trial,
    summaries_of,
    trials_of,
)
from trainers.config import TrialConfig
from trainers.result import TrialResult


def status_of(database: Database, trial_id: int) -> str:
    with database.read() as session:
        return get_trial(session, trial_id).status


def replace_attempt(session: Session, experiment_id: str) -> int:
    end_attempt(session, experiment_id, 1, AttemptEnd.CRASHED, "killed")
    return begin_attempt(session, experiment_id, "job-2")


# ---- planning ----


def test_planning_keeps_the_plans_order_and_content(
    database: Database, experiment_id: str, planned: tuple[PlannedTrial, ...]
) -> None:
    with database.write() as session:
        ids = plan_trials(session, experiment_id, planned)
    with database.read() as session:
        rows = trials_of(session, experiment_id)
    assert [row.id for row in rows] == list(ids.values())
    assert [(row.arm, row.seed) for row in rows] == [("control", 0), ("gaussian", 0), ("control", 1), ("gaussian", 1)]
    assert {row.status for row in rows} == {TrialStatus.PENDING}
    assert [TrialConfig.model_validate_json(row.config) for row in rows] == [trial.config for trial in planned]


def test_planning_again_adds_only_what_is_missing(
    database: Database, experiment_id: str, planned: tuple[PlannedTrial, ...]
) -> None:
    with database.write() as session:
        first = plan_trials(session, experiment_id, planned[:3])
    with database.write() as session:
        again = plan_trials(session, experiment_id, (*planned, *planned))
    assert list(again) == [TrialRowKey.of(trial) for trial in planned]
    assert {key: again[key] for key in first} == first
    with database.read() as session:
        assert len(trials_of(session, experiment_id)) == 4


def test_one_seed_may_have_several_candidates_in_the_search_phase(
    database: Database, experiment_id: str, planned: tuple[PlannedTrial, ...]
) -> None:
    candidates = [
        planned[1].model_copy(update={"phase": Phase.SEARCH, "identity": name, "params": {"lr": lr}})
        for name, lr in (("a", 0.1), ("b", 0.2))
    ]
    with database.write() as session:
        plan_trials(session, experiment_id, [*planned, *candidates])
    with database.read() as session:
        rows = trials_of(session, experiment_id, Phase.SEARCH)
    assert [(row.identity, row.params) for row in rows] == [("a", {"lr": 0.1}), ("b", {"lr": 0.2})]


def test_thousands_of_trials_are_planned_in_bulk(
    database: Database, experiment_id: str, planned: tuple[PlannedTrial, ...]
) -> None:
    many = [planned[0].model_copy(update={"seed": seed, "identity": f"id{seed}"}) for seed in range(5000)]
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with database.write() as session:
            plan_trials(session, experiment_id, many)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    with database.read() as session:
        assert len(summaries_of(session, experiment_id)) == 5000
    # In bulk: one statement per row took 20 times as long.
    assert len(statements) < 100


def test_an_unknown_trial_is_named(database: Database) -> None:
    with database.read() as session, pytest.raises(TrialNotFoundError, match="no trial has the id 77"):
        get_trial(session, 77)


def test_summaries_refuse_to_load_the_bulk(database: Database, running) -> None:
    with database.read() as session:
        (row, *_) = summaries_of(session, running.id, Phase.CONFIRM)
        assert row.arm == "control"
        with pytest.raises(Exception, match="not available due to raiseload"):
            _ = row.config


# ---- running ----


def test_a_trial_that_succeeds_leaves_its_result(database: Database, running, result: TrialResult) -> None:
    with database.write() as session:
        start_trial(session, running.trials[0], running.attempt)
    assert status_of(database, running.trials[0]) == "running"
    with database.write() as session:
        succeed_trial(session, running.trials[0], result, running.attempt)
    with database.read() as session:
        row = get_trial(session, running.trials[0])
    assert TrialResult.model_validate_json(row.result) == result
    assert (row.status, row.final_metrics, row.training_seconds, row.num_epochs, row.attempt) == (
        "succeeded", result.metrics, 6.0, 2, 1,
    )  # fmt: skip
    assert row.started_at <= row.ended_at


def test_a_result_is_never_overwritten(database: Database, running, result: TrialResult) -> None:
    trial = running.trials[0]
    with database.write() as session:
        succeed_trial(session, trial, result, running.attempt)
    other = result.model_copy(update={"metrics": {"test/top1": 1.0}})
    with database.write() as session:
        succeed_trial(session, trial, other, running.attempt)
    for write in (
        lambda session: start_trial(session, trial, running.attempt),
        lambda session: fail_trial(session, trial, "no", running.attempt),
        lambda session: prune_trial(session, trial, "no", running.attempt),
    ):
        with pytest.raises(StatusConflictError, match=r"seed0\) has already succeeded"), database.write() as session:
            write(session)
    with database.read() as session:
        assert get_trial(session, trial).final_metrics == result.metrics


def test_a_failed_trial_may_be_tried_again(database: Database, running, result: TrialResult) -> None:
    trial = running.trials[1]
    with database.write() as session:
        start_trial(session, trial, running.attempt)
        fail_trial(session, trial, "loss became nan in step 7", running.attempt)
    with database.read() as session:
        row = get_trial(session, trial)
        assert (row.status, row.error, row.attempt) == ("failed", "loss became nan in step 7", 1)
    with database.write() as session:
        row = start_trial(session, trial, running.attempt)
        assert (row.status, row.error, row.attempt, row.ended_at) == ("running", "", 2, None)
        succeed_trial(session, trial, result, running.attempt)
    assert status_of(database, trial) == "succeeded"


def test_a_pruned_trial_keeps_what_it_reached(database: Database, running, result: TrialResult) -> None:
    with database.write() as session:
        prune_trial(session, running.trials[0], "stopped after epoch 1", running.attempt, result)
    with database.read() as session:
        row = get_trial(session, running.trials[0])
    assert (row.status, row.error, row.final_metrics) == ("pruned", "stopped after epoch 1", result.metrics)


def test_a_replaced_driver_changes_no_trial(database: Database, running, result: TrialResult) -> None:
    trial, other = running.trials[0], running.trials[1]
    with database.write() as session:
        source = succeed_trial(session, other, result, running.attempt)
        new = replace_attempt(session, running.id)
    for write in (
        lambda session: start_trial(session, trial, running.attempt),
        lambda session: succeed_trial(session, trial, result, running.attempt),
        lambda session: fail_trial(session, trial, "no", running.attempt),
        lambda session: prune_trial(session, trial, "no", running.attempt),
        lambda session: reuse_trial(session, trial, source, running.attempt),
        lambda session: cancel_open_trials(session, running.id, running.attempt),
        lambda session: plan_trials(session, running.id, [], running.attempt),
    ):
        with pytest.raises(StaleAttemptError), database.write() as session:
            write(session)
    assert status_of(database, trial) == "pending"
    with database.write() as session:
        start_trial(session, trial, new)


def test_every_change_is_told(database: Database, running, result: TrialResult) -> None:
    with database.write() as session:
        start_trial(session, running.trials[1], running.attempt)
        fail_trial(session, running.trials[1], "no", running.attempt)
    with database.read() as session:
        told = [event.payload for event in events_after(session, running.id) if event.kind == "trial"]
    assert [(one["arm"], one["seed"], one["status"], one["error"]) for one in told] == [
        ("gaussian", 0, "running", ""),
        ("gaussian", 0, "failed", "no"),
    ]


# ---- all at once ----


def test_cancel_ends_what_is_open_and_nothing_else(database: Database, running, result: TrialResult) -> None:
    with database.write() as session:
        succeed_trial(session, running.trials[0], result, running.attempt)
        start_trial(session, running.trials[1], running.attempt)
        fail_trial(session, running.trials[2], "no", running.attempt)
        assert cancel_open_trials(session, running.id, running.attempt) == 2
    with database.read() as session:
        rows = trials_of(session, running.id)
        last = events_after(session, running.id)[-1]
    assert [row.status for row in rows] == ["succeeded", "cancelled", "failed", "cancelled"]
    assert rows[1].error == "the experiment was cancelled"
    assert rows[1].ended_at is not None
    assert (last.kind, last.payload["num_trials"]) == ("trial", 2)


def test_reopening_makes_the_named_statuses_pending(database: Database, running, result: TrialResult) -> None:
    with database.write() as session:
        succeed_trial(session, running.trials[0], result, running.attempt)
        start_trial(session, running.trials[1], running.attempt)
        assert reopen_trials(session, running.id, (TrialStatus.RUNNING,)) == 1
    with database.read() as session:
        assert [row.status for row in trials_of(session, running.id)] == ["succeeded", "pending", "pending", "pending"]


# ---- reuse ----


def test_a_finished_trial_stands_in(
    database: Database, running, small_spec: ExperimentSpec, planned: tuple[PlannedTrial, ...], result: TrialResult
) -> None:
    with database.write() as session:
        succeed_trial(session, running.trials[0], result, running.attempt)
        second = insert_experiment(session, small_spec, "digest").id
        ids = plan_trials(session, second, planned)
        attempt = begin_attempt(session, second, None)
        move(session, second, ExperimentStatus.STARTING)
    identities = [trial.identity for trial in planned]
    with database.read() as session:
        found = find_reusable(session, identities, Hardware("cpu", 1))
        assert finished_identities(session, identities, Hardware("cpu", 1)) == {identities[0]}
    assert list(found) == [identities[0]]
    with database.write() as session:
        reuse_trial(session, ids[TrialRowKey.of(planned[0])], found[identities[0]], attempt)
    with database.read() as session:
        row = get_trial(session, ids[TrialRowKey.of(planned[0])])
        # A stand-in is never the source of another one.
        assert find_reusable(session, identities, Hardware("cpu", 1))[identities[0]].experiment_id == running.id
    assert (row.status, row.reused_from, row.final_metrics) == ("succeeded", running.id, result.metrics)
    assert TrialResult.model_validate_json(row.result) == result


def test_only_the_same_training_stands_in(database: Database, running, result: TrialResult) -> None:
    with database.write() as session:
        source = succeed_trial(session, running.trials[0], result, running.attempt)
    with pytest.raises(ValueError, match="can't stand in for"), database.write() as session:
        reuse_trial(session, running.trials[1], source, running.attempt)


def test_looking_for_thousands_of_identities_works(database: Database, running, result: TrialResult) -> None:
    with database.write() as session:
        identity = succeed_trial(session, running.trials[3], result, running.attempt).identity
    with database.read() as session:
        assert list(find_reusable(session, [identity, *map(str, range(40_000))], Hardware("cpu", 1))) == [identity]
