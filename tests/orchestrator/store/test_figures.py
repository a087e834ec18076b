"""Counts for operators, on both databases."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from orchestrator.store.database import Database
from orchestrator.store.figures import operating_figures
from orchestrator.store.tables import TrialRow
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.trials import start_trial, succeed_trial
from tests.orchestrator.store.conftest import Running
from trainers.result import EpochReport, TrialResult


def test_what_was_started_again_and_what_waits_for_a_tracker(
    database: Database, running: Running, report: EpochReport, result: TrialResult
) -> None:
    with database.write() as session:
        for _ in range(3):
            start_trial(session, running.trials[0], running.attempt)
        record_epoch(session, running.trials[0], report, datetime.now(UTC) - timedelta(hours=1), running.attempt)
        on_gpus = result.model_copy(update={"provenance": {"device": "NVIDIA H100", "num_workers": "2"}})
        succeed_trial(session, running.trials[0], on_gpus, running.attempt)
        # 6 of its 100 s were training, on two GPUs.
        start = datetime(2026, 11, 27, 12, tzinfo=UTC)
        row = update(TrialRow).where(TrialRow.id == running.trials[0])
        session.execute(row.values(started_at=start, ended_at=start + timedelta(seconds=100)))
    with database.read() as session:
        figures = operating_figures(session, ["mlflow"])
    assert (figures.retries, figures.recoveries, figures.seconds_beyond_training) == (2, 0, 188.0)
    assert figures.trials["succeeded"] == 1
    assert figures.unshipped == {"mlflow": 3}
    assert 3600 <= figures.oldest_unshipped_seconds["mlflow"] < 3700
