"""What waits for a tracker, on both databases: read from the truth beside what the tracker was told."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt, get_experiment, move, update_spec
from orchestrator.store.tables import TrackingRow
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.tracking import EXPERIMENT, count_unshipped, groups_of, runs_of
from orchestrator.store.trials import fail_trial, start_trial, trials_of
from orchestrator.tracking.outbox import Outbox
from tests.orchestrator.synthetic import begin, end, finish, make_record, make_spec, plan, train
from trainers.result import EpochReport

FIRST, SECOND = Outbox("first"), Outbox("second")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def ended(database: Database) -> str:
    """An experiment of two trials with two epochs each, which has ended."""
    experiment_id, attempt = begin(database, make_spec(seeds=[0]))
    for arm in ("control", "gaussian"):
        record = make_record(arm, 0, num_epochs=2)
        trial_id = plan(database, experiment_id, record)
        train(database, trial_id, record, attempt)
        end(database, trial_id, record, attempt)
    finish(database, experiment_id, attempt)
    return experiment_id


def ship_all(database: Database, outbox: Outbox, experiment_id: str) -> None:
    """As a shipper whose tracker takes everything."""
    with database.read() as session:
        (experiment,) = outbox.experiments_with_work(session)
        trials = outbox.trials_with_work(session, experiment_id)
    assert experiment.row.id == experiment_id
    with database.write() as session:
        for trial, _ in trials:
            outbox.claim_run(session, experiment_id, trial.id, f"run of {trial.id}")
            if rows := outbox.unshipped_metrics(session, trial, 1000):
                outbox.mark_shipped(session, trial, rows)
            assert outbox.close_trial(session, trial)
        assert outbox.close_summary(session, experiment.row)


def has_work(database: Database, outbox: Outbox) -> bool:
    with database.read() as session:
        return bool(outbox.experiments_with_work(session))


def test_trackers_have_their_own_outboxes(database: Database, ended: str) -> None:
    with database.read() as session:
        before = FIRST.backlog(session)
    assert (before.trials, before.summaries) == (2, 1)
    ship_all(database, FIRST, ended)
    with database.read() as session:
        assert FIRST.backlog(session).is_empty
        assert SECOND.backlog(session) == before
        assert (count_unshipped(session, "first", ended), count_unshipped(session, "second", ended)) == (
            0,
            before.metrics,
        )
    assert (has_work(database, FIRST), has_work(database, SECOND)) == (False, True)


def test_values_leave_in_their_order(database: Database, ended: str) -> None:
    with database.write() as session:
        trial, other = trials_of(session, ended)
        FIRST.claim_run(session, ended, trial.id, "a run")
        rows = FIRST.unshipped_metrics(session, trial, 5)
        total = count_unshipped(session, "first", ended)
        FIRST.mark_shipped(session, trial, rows)
        rest = FIRST.unshipped_metrics(session, trial, 1000)
        # One who was slower does not take back what is noted.
        FIRST.mark_shipped(session, trial, rows[:1])
        assert FIRST.unshipped_metrics(session, trial, 1000) == rest
        assert [row.id for row in (*rows, *rest)] == sorted(row.id for row in (*rows, *rest))
        assert count_unshipped(session, "first", ended) == total - 5
        assert len(FIRST.unshipped_metrics(session, other, 1000)) == total - 5 - len(rest)


def test_a_run_is_claimed_once(database: Database, ended: str) -> None:
    with database.write() as session:
        FIRST.set_group(session, ended, "a group")
        trial = trials_of(session, ended)[0].id
        claims = [FIRST.claim_run(session, ended, trial, run) for run in ("a", "b")]
        summaries = [FIRST.claim_run(session, ended, EXPERIMENT, run) for run in ("c", "d")]
    with database.read() as session:
        assert (claims, summaries) == (["a", "a"], ["c", "c"])
        assert runs_of(session, "first", ended) == {trial: "a"}
        assert groups_of(session, "first", [ended, "another"]) == {ended: "a group"}
        assert groups_of(session, "second", [ended]) == {}


def test_what_is_extended_is_open_again(database: Database, ended: str, small_spec: ExperimentSpec) -> None:
    ship_all(database, FIRST, ended)
    with database.write() as session:
        update_spec(session, get_experiment(session, ended), make_spec(seeds=[0, 1]), "digest")
        move(session, ended, ExperimentStatus.QUEUED)
    # Nothing is new yet.
    assert not has_work(database, FIRST)
    with database.write() as session:
        attempt = begin_attempt(session, ended, None)
        move(session, ended, ExperimentStatus.STARTING)
        move(session, ended, ExperimentStatus.RUNNING)
    record = make_record("gaussian", 1, num_epochs=2)
    trial_id = plan(database, ended, record)
    train(database, trial_id, record, attempt)
    with database.read() as session:
        assert [trial.row.id for trial in FIRST.trials_with_work(session, ended)] == [trial_id]
    end(database, trial_id, record, attempt)
    finish(database, ended, attempt)
    with database.read() as session:
        waiting = FIRST.backlog(session)
    assert (waiting.trials, waiting.summaries) == (1, 1)
    ship_all(database, FIRST, ended)
    with database.read() as session:
        assert FIRST.backlog(session).is_empty


def test_a_trial_that_starts_again_is_not_closed_by_who_read_it_before(database: Database) -> None:
    experiment_id, attempt = begin(database, make_spec(seeds=[0]))
    trial_id = plan(database, experiment_id, make_record("gaussian", 0))
    with database.write() as session:
        start_trial(session, trial_id, attempt)
        fail_trial(session, trial_id, "lost", attempt)
    with database.read() as session:
        (failed,) = FIRST.trials_with_work(session, experiment_id)
    with database.write() as session:
        start_trial(session, trial_id, attempt)
    with database.write() as session:
        assert not FIRST.close_trial(session, failed.row)
        # It runs, and has no run yet.
        assert [trial.row.id for trial in FIRST.trials_with_work(session, experiment_id)] == [trial_id]
        FIRST.claim_run(session, experiment_id, trial_id, "a run")
        assert FIRST.trials_with_work(session, experiment_id) == []
        record_epoch(session, trial_id, EpochReport(epoch=0, metrics={"a": 1.0}, seconds=1), NOON)
        assert len(FIRST.trials_with_work(session, experiment_id)) == 1


def test_a_trial_that_is_refused_is_found_after_its_experiment_is_told(database: Database, ended: str) -> None:
    with database.write() as session:
        trial, refused = trials_of(session, ended)
        assert FIRST.postpone(session, ended, refused.id) == 2.0
        FIRST.mark_shipped(session, trial, FIRST.unshipped_metrics(session, trial, 1000))
        FIRST.claim_run(session, ended, trial.id, "a run")
        FIRST.mark_shipped(session, trial, FIRST.unshipped_metrics(session, trial, 1000))
        FIRST.close_trial(session, trial)
        FIRST.close_summary(session, get_experiment(session, ended))
    # It waits its turn.
    assert not has_work(database, FIRST)
    with database.read() as session:
        waiting = FIRST.backlog(session)
    assert (waiting.trials, waiting.summaries) == (1, 0)
    assert waiting.metrics > 0
    with database.write() as session:
        session.execute(update(TrackingRow).values(not_before=NOON))
    with database.write() as session:
        (experiment,) = FIRST.experiments_with_work(session)
        assert experiment.is_told
        (open_trial,) = FIRST.trials_with_work(session, ended)
        assert open_trial.row.id == refused.id
        FIRST.claim_run(session, ended, refused.id, "a run")
        FIRST.mark_shipped(session, refused, FIRST.unshipped_metrics(session, refused, 1000))
        FIRST.close_trial(session, refused)
        assert FIRST.backlog(session).is_empty
        assert session.scalars(select(TrackingRow.refusals)).all() == [0, 0, 0]


def test_pauses_are_in_the_rows_and_grow(database: Database, ended: str) -> None:
    with database.write() as session:
        assert [FIRST.postpone(session, ended) for _ in range(3)] == [2.0, 4.0, 8.0]
    # Another process waits as well.
    assert not has_work(database, Outbox("first"))
    assert has_work(database, SECOND)
    with database.write() as session:
        FIRST.forgive(session, ended)
        (experiment,) = FIRST.experiments_with_work(session)
        assert not experiment.is_refused
        assert FIRST.postpone(session, ended) == 2.0


def test_what_is_forgotten_is_sent_again(database: Database, ended: str) -> None:
    with database.read() as session:
        before = FIRST.backlog(session)
    ship_all(database, FIRST, ended)
    ship_all(database, SECOND, ended)
    with database.write() as session:
        FIRST.forget(session, ended)
    with database.read() as session:
        assert FIRST.backlog(session) == before
        assert SECOND.backlog(session).is_empty
