"""Metrics of trials; a row that is not shipped is an entry of the outbox to MLflow."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from orchestrator.store.conflicts import insert_or
from orchestrator.store.events import append_event
from orchestrator.store.experiments import fence, note_progress
from orchestrator.store.tables import MetricRow
from orchestrator.store.trials import get_trial
from trainers.result import EpochReport

_CHUNK = 500
EVENT_METRICS = ("train/loss", "val/loss", "val/top1")
"""What an `epoch` event carries; the rest is in the metrics table."""


def record_epoch(
    session: Session, trial_id: int, report: EpochReport, recorded_at: datetime, attempt: int | None = None
) -> bool:
    """Keep what an epoch reports, once: a re-executed epoch changes nothing.

    Args:
        session: an open write.
        trial_id: the trial.
        report: the epoch, from 0, and its metrics.
        recorded_at: when it was reported; aware.
        attempt: number of the driver attempt that asks (`None`: not fenced).

    Returns:
        Whether anything was new.

    Raises:
        TrialNotFoundError: no such trial.
        StaleAttemptError: the attempt has ended or been replaced.
    """
    trial = get_trial(session, trial_id)
    if attempt is not None:
        fence(session, trial.experiment_id, attempt)
    if not report.metrics:
        return False
    rows = [
        {
            "trial_id": trial_id,
            "key": key,
            "step": report.epoch,
            "value": value,
            "recorded_at": recorded_at,
            "shipped": False,
        }
        for key, value in report.metrics.items()
    ]
    inserted = session.scalars(
        insert_or(session, MetricRow, rows)
        .on_conflict_do_nothing(index_elements=[MetricRow.trial_id, MetricRow.key, MetricRow.step])
        .returning(MetricRow.id)
    ).all()
    if not inserted:
        return False
    note_progress(session, trial.experiment_id)
    payload = {
        "trial_id": trial_id,
        "cell": trial.cell,
        "arm": trial.arm,
        "seed": trial.seed,
        "phase": trial.phase,
        "epoch": report.epoch,
        "metrics": {key: report.metrics[key] for key in EVENT_METRICS if key in report.metrics},
    }
    append_event(session, trial.experiment_id, "epoch", payload)
    return True


def metrics_of(session: Session, trial_id: int) -> dict[str, list[tuple[int, float]]]:
    """Key -> (step, value), by step."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in session.scalars(
        select(MetricRow).where(MetricRow.trial_id == trial_id).order_by(MetricRow.key, MetricRow.step)
    ):
        curves.setdefault(row.key, []).append((row.step, row.value))
    return curves


def mark_shipped(session: Session, metric_ids: Collection[int]) -> None:
    """MLflow has these values."""
    ids = sorted(metric_ids)
    for start in range(0, len(ids), _CHUNK):
        session.execute(
            update(MetricRow)
            .where(MetricRow.id.in_(ids[start : start + _CHUNK]))
            .values(shipped=True)
            .execution_options(synchronize_session=False)
        )
