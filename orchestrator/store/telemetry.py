"""Metrics of trials, epoch by epoch."""

import json
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.store.conflicts import insert_or
from orchestrator.store.events import append_event
from orchestrator.store.experiments import fence, note_progress
from orchestrator.store.tables import MetricRow
from orchestrator.store.trials import get_trial
from trainers.kinds import TASKS
from trainers.result import EpochReport
from trainers.strict import kind_of
from trainers.tasks.task import Task


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
        {"trial_id": trial_id, "key": key, "step": report.epoch, "value": value, "recorded_at": recorded_at}
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
    task = _task_of(trial.config)
    payload = {
        "trial_id": trial_id,
        "cell": trial.cell,
        "arm": trial.arm,
        "seed": trial.seed,
        "phase": trial.phase,
        "epoch": report.epoch,
        "metrics": {key: report.metrics[key] for key in _told_metrics(report, task) if key in report.metrics},
        "told": _most_telling(report, task),
    }
    append_event(session, trial.experiment_id, "epoch", payload)
    return True


def _task_of(config: str) -> type[Task]:
    """What a trial learns; of a config that names nothing, what a config takes then."""
    kind = json.loads(config).get("task", {}).get("kind")
    return next((task for task in TASKS if kind_of(task) == kind), TASKS[0])


def _told_metrics(report: EpochReport, task: type[Task]) -> Iterator[str]:
    """What an `epoch` event carries, where the trial has it; the rest is in the metrics table."""
    if not task.watched:
        # The few that a user has declared.
        yield from report.metrics
        return
    yield "train/loss"
    yield from (f"val/{name}" for name in task.watched)


def _most_telling(report: EpochReport, task: type[Task]) -> str:
    """`val top-1 51.7 %`: of the metrics that a task watches the last that is there (empty: none is)."""
    watched = [task.metric(name) for name in task.watched if f"val/{name}" in report.metrics]
    if not watched:
        name = next((name for name in report.metrics if name.startswith("val/")), next(iter(report.metrics)))
        return "" if task.watched else f"{name.replace('/', ' ')} {report.metrics[name]:.5g}"
    metric = watched[-1]
    return f"val {metric.words or metric.name} {metric.told(report.metrics[f'val/{metric.name}'])}"


Curves = dict[str, list[tuple[int, float]]]
"""Metric -> (epoch, value), by epoch."""


def metrics_of(session: Session, trial_id: int) -> Curves:
    """All that a trial has told so far."""
    curves: Curves = {}
    for row in session.scalars(
        select(MetricRow).where(MetricRow.trial_id == trial_id).order_by(MetricRow.key, MetricRow.step)
    ):
        curves.setdefault(row.key, []).append((row.step, row.value))
    return curves
