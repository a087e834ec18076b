"""Metrics: recorded once, whatever is run again."""

import math
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from orchestrator.errors import StaleAttemptError, TrialNotFoundError
from orchestrator.status import AttemptEnd
from orchestrator.store.database import Database
from orchestrator.store.events import events_after
from orchestrator.store.experiments import end_attempt
from orchestrator.store.tables import MetricRow
from orchestrator.store.telemetry import metrics_of, record_epoch
from orchestrator.store.trials import get_trial
from trainers.result import EpochReport

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 20, 13, tzinfo=UTC)


def test_an_epoch_is_recorded_once_and_the_first_value_stays(database: Database, running, report: EpochReport) -> None:
    rerun = report.model_copy(update={"metrics": report.metrics | {"train/loss": 9.0}})
    with database.write() as session:
        assert record_epoch(session, running.trials[0], report, NOON, running.attempt)
    with database.write() as session:
        assert not record_epoch(session, running.trials[0], rerun, LATER, running.attempt)
    with database.read() as session:
        rows = session.scalars(select(MetricRow)).all()
        told = [event for event in events_after(session, running.id) if event.kind == "epoch"]
    assert {row.key: row.value for row in rows} == report.metrics
    assert {row.recorded_at for row in rows} == {NOON}
    assert [event.payload["metrics"] for event in told] == [{"train/loss": 2.25, "val/top1": 0.5}]
    assert [event.payload["told"] for event in told] == ["val top-1 50.0 %"]


def test_a_new_key_of_an_old_epoch_is_added(database: Database, running, report: EpochReport) -> None:
    with database.write() as session:
        record_epoch(session, running.trials[0], report, NOON)
        more = report.model_copy(update={"metrics": {"train/loss": 9.0, "lr": 0.1}})
        assert record_epoch(session, running.trials[0], more, LATER)
    with database.read() as session:
        curves = metrics_of(session, running.trials[0])
    assert (curves["train/loss"], curves["lr"]) == ([(0, 2.25)], [(0, 0.1)])


def test_curves_are_in_the_order_of_epochs_and_exact(database: Database, running) -> None:
    values = {2: 0.1 + 0.2, 0: 1e-300, 1: math.pi}
    with database.write() as session:
        for epoch, value in values.items():
            record_epoch(session, running.trials[0], EpochReport(epoch=epoch, metrics={"a": value}, seconds=1), NOON)
    with database.read() as session:
        assert metrics_of(session, running.trials[0]) == {"a": [(0, 1e-300), (1, math.pi), (2, 0.1 + 0.2)]}


def test_an_epoch_without_metrics_is_nothing(database: Database, running) -> None:
    with database.write() as session:
        assert not record_epoch(session, running.trials[0], EpochReport(epoch=0, metrics={}, seconds=1), NOON)


def test_a_replaced_driver_records_nothing(database: Database, running, report: EpochReport) -> None:
    with database.write() as session:
        end_attempt(session, running.id, running.attempt, AttemptEnd.CRASHED)
    with pytest.raises(StaleAttemptError), database.write() as session:
        record_epoch(session, running.trials[0], report, NOON, running.attempt)


def test_an_unknown_trial_is_named(database: Database, report: EpochReport) -> None:
    with pytest.raises(TrialNotFoundError, match="no trial has the id 5"), database.write() as session:
        record_epoch(session, 5, report, NOON)


def test_an_event_tells_what_the_trials_own_task_watches(database: Database, running) -> None:
    with database.write() as session:
        trial = get_trial(session, running.trials[0])
        trial.config = '{"task": {"kind": "segmentation"}}'
        metrics = {"train/loss": 1.0, "val/loss": 0.9, "val/miou": 0.417, "val/top1": 0.5}
        record_epoch(session, trial.id, EpochReport(epoch=0, metrics=metrics, seconds=1), NOON)
    with database.read() as session:
        (event,) = [event for event in events_after(session, running.id) if event.kind == "epoch"]
    assert event.payload["told"] == "val mean IoU 41.7 %"
    assert list(event.payload["metrics"]) == ["train/loss", "val/loss", "val/miou"]
