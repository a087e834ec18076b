"""Counting in SQL: the numbers a person would count by hand."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event, update

from orchestrator.planning.hardware import Hardware
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import Phase
from orchestrator.store.clock import database_now
from orchestrator.store.database import Database
from orchestrator.store.experiments import get_experiment, insert_experiment
from orchestrator.store.progress import (
    TrialCounts,
    count_complete_pairs,
    count_trials,
    expected_end,
    median_seconds_by_cell,
    others_in_training,
)
from orchestrator.store.tables import TrialRow
from orchestrator.store.trials import fail_trial, get_trial, plan_trials, prune_trial, start_trial, succeed_trial
from trainers.result import TrialResult

ONE_CPU = Hardware("cpu", 1)


def test_trials_are_counted_by_what_became_of_them(
    database: Database, running, planned, small_spec: ExperimentSpec, result: TrialResult
) -> None:
    search = [planned[1].model_copy(update={"phase": Phase.SEARCH, "identity": name}) for name in ("a", "b")]
    with database.write() as session:
        ids = list(plan_trials(session, running.id, search).values())
        succeed_trial(session, running.trials[0], result, running.attempt)
        start_trial(session, running.trials[1], running.attempt)
        fail_trial(session, running.trials[2], "no", running.attempt)
        prune_trial(session, ids[0], "poor", running.attempt)
        empty = insert_experiment(session, small_spec, "digest").id
    with database.read() as session:
        counts = count_trials(session, [running.id, empty])
    assert counts == {
        running.id: TrialCounts(
            known=6,
            known_search=2,
            done=2,
            failed=1,
            reused=0,
            running=1,
            cancelled=0,
            trained_seconds=result.training_seconds,
            # What stopped early has no time; three trials may still train.
            open_seconds=3 * result.training_seconds,
            mean_seconds=result.training_seconds,
        ),
        empty: TrialCounts(),
    }


@pytest.mark.parametrize(
    ("succeeded", "pairs"), [((), 0), ((0,), 0), ((0, 3), 0), ((0, 1), 1), ((0, 1, 3), 1), ((0, 1, 2, 3), 2)]
)
def test_a_pair_is_complete_when_both_succeeded(
    database: Database, running, result: TrialResult, succeeded: tuple[int, ...], pairs: int
) -> None:
    with database.write() as session:
        for position in succeeded:
            succeed_trial(session, running.trials[position], result, running.attempt)
    with database.read() as session:
        assert count_complete_pairs(session, [running.id]) == {running.id: pairs}


def test_the_end_is_estimated_from_what_has_ended_and_what_trains(
    database: Database, running, result: TrialResult
) -> None:
    def expected():
        with database.read() as session:
            return expected_end(session, get_experiment(session, running.id))

    def began(trial_id: int, seconds_ago: float) -> None:
        with database.write() as session:
            start_trial(session, trial_id, running.attempt)
            get_trial(session, trial_id).started_at = database_now(session) - timedelta(seconds=seconds_ago)

    began(running.trials[0], 1000)
    assert expected() is None
    with database.write() as session:
        succeed_trial(session, running.trials[0], result, running.attempt)
    assert expected() is None
    # 1,000 s each: one has 400 s to go, two more follow it.
    began(running.trials[1], 600)
    end = expected()
    assert (end.num_finished, end.num_running) == (1, 1)
    assert (end.at - datetime.now(UTC)).total_seconds() == pytest.approx(400 + 2 * 1000, abs=30)
    # Two at once: the last one that begins, ends last.
    began(running.trials[2], 600)
    assert (expected().at - datetime.now(UTC)).total_seconds() == pytest.approx((2 * 400 + 1000) / 2, abs=30)


def test_the_end_is_estimated_from_few_rows_however_many_trials(
    database: Database, running, planned, result: TrialResult
) -> None:
    many = [planned[0].model_copy(update={"seed": seed, "identity": f"{seed}"}) for seed in range(100, 300)]
    with database.write() as session:
        ids = list(plan_trials(session, running.id, many).values())
        session.execute(
            update(TrialRow)
            .where(TrialRow.id.in_(ids[:150]))
            .values(status="succeeded", training_seconds=10.0, attempt=2)
        )
        start_trial(session, running.trials[0], running.attempt)
    with database.read() as session:
        row = get_experiment(session, running.id)
        results = []
        execute = session.execute

        def counted(*about, **options):
            found = execute(*about, **options).freeze()
            results.extend(found().all())
            return found()

        session.execute = counted
        end = expected_end(session, row)
    # The time, a count for each status, one that trains, 64 that have ended.
    assert len(results) == 1 + 3 + 1 + 64
    assert (end.num_finished, end.num_running) == (150, 1)
    # One trains for 10 s, and 53 wait behind it.
    assert (end.at - datetime.now(UTC)).total_seconds() == pytest.approx(54 * 10, abs=30)


def test_those_who_train_are_named(database: Database, running, small_spec: ExperimentSpec) -> None:
    with database.write() as session:
        start_trial(session, running.trials[0], running.attempt)
        other = insert_experiment(session, small_spec.model_copy(update={"name": "other"}), "digest").id
    with database.read() as session:
        assert others_in_training(session, other) == {"small": 1}
        assert others_in_training(session, running.id) == {}


def test_the_search_makes_no_pairs(database: Database, running, planned, result: TrialResult) -> None:
    search = [trial.model_copy(update={"phase": Phase.SEARCH, "identity": trial.arm}) for trial in planned[:2]]
    with database.write() as session:
        for trial in plan_trials(session, running.id, search).values():
            succeed_trial(session, trial, result, running.attempt)
    with database.read() as session:
        assert count_complete_pairs(session, [running.id]) == {running.id: 0}


def test_counting_nothing_is_nothing(database: Database) -> None:
    with database.read() as session:
        assert count_trials(session, []) == count_complete_pairs(session, []) == {}


def test_cost_is_the_median_per_epoch_times_the_epochs(
    database: Database, running, planned, result: TrialResult
) -> None:
    # Two epochs each: 1, 3 and 50 seconds an epoch.
    for trial, seconds in zip(running.trials, (2.0, 6.0, 100.0), strict=False):
        with database.write() as session:
            timed = result.model_copy(update={"training_seconds": seconds})
            succeed_trial(session, trial, timed, running.attempt)
    with database.read() as session:
        cell, config = planned[0].cell.key, planned[0].config
        assert median_seconds_by_cell(session, {cell: [config], "unknown/cell": [config]}, 20, ONE_CPU) == {cell: 60.0}
        # The rows were trained on one CPU: how long eight GPUs take, or four CPUs, nobody has measured.
        for other in (Hardware("cuda", 8), Hardware("cpu", 4)):
            assert median_seconds_by_cell(session, {cell: [config]}, 20, other) == {}


def test_cost_is_that_of_the_model_and_not_of_its_label(
    database: Database, running, planned, result: TrialResult
) -> None:
    with database.write() as session:
        succeed_trial(session, running.trials[0], result, running.attempt)
    cell, config = planned[0].cell.key, planned[0].config
    wider = config.model_copy(update={"model": config.model.model_copy(update={"width": 24})})
    more = config.model_copy(update={"dataset": config.dataset.model_copy(update={"num_train": 200})})
    seeded = config.model_copy(update={"seed": 77})
    with database.read() as session:
        for other in (wider, more):
            assert median_seconds_by_cell(session, {cell: [other]}, 20, ONE_CPU) == {}
        # An arm may have a model of its own: one of them is enough.
        assert median_seconds_by_cell(session, {cell: [wider, seeded]}, 20, ONE_CPU) == {cell: 60.0}


def test_cost_of_one_model_of_gpu_and_precision_says_nothing_of_another(
    database: Database, running, planned, result: TrialResult
) -> None:
    one_gpu = Hardware("cuda", 1)
    devices = ("NVIDIA A100-SXM4-80GB", "NVIDIA L40S", "NVIDIA A100-SXM4-80GB")
    for trial, device, seconds in zip(running.trials, devices, (8.0, 2.0, 6.0), strict=False):
        with database.write() as session:
            timed = result.model_copy(
                update={"training_seconds": seconds, "provenance": result.provenance | {"device": device}}
            )
            succeed_trial(session, trial, timed, running.attempt)
    cell, config = planned[0].cell.key, planned[0].config
    faster = config.model_copy(update={"optimization": config.optimization.model_copy(update={"precision": "bf16"})})
    with database.read() as session:

        def seconds(config, accelerator_type=None):
            return median_seconds_by_cell(session, {cell: [config]}, 2, one_gpu, accelerator_type=accelerator_type)

        assert seconds(config, "A100-80G") == seconds(config, "A100") == {cell: 7.0}
        assert seconds(config, "L40S") == {cell: 2.0}
        assert seconds(config, "L4") == {}
        # Of any model: that of the newest trial, not a median over several.
        assert seconds(config) == {cell: 7.0}
        assert seconds(faster) == {}


def test_cost_is_one_look_into_an_index_however_many_cells(
    database: Database, running, planned, result: TrialResult
) -> None:
    with database.write() as session:
        succeed_trial(session, running.trials[0], result, running.attempt)
    with database.read() as session:
        # The first statement of a session opens its transaction, too.
        cell, config = get_trial(session, running.trials[0]).cell, planned[0].config
        configs = {name: [config] for name in (cell, *(f"unknown/{place}" for place in range(50)))}
        statements = []

        def note(*about: object) -> None:
            statements.append((str(about[2]), about[3]))

        event.listen(Engine, "before_cursor_execute", note)
        found = median_seconds_by_cell(session, configs, 20, ONE_CPU)
        event.remove(Engine, "before_cursor_execute", note)
        ((statement, values),) = statements
        if session.get_bind().dialect.name == "sqlite":
            steps = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            assert any("USING COVERING INDEX ix_trials_cost (cell=?" in step.detail for step in steps)
        assert median_seconds_by_cell(session, {cell: [config]}, 0, ONE_CPU) == {}
    assert found == {cell: 60.0}
