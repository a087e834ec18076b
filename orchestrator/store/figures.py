"""What operators watch, counted in the rows: any process that is asked gives the same numbers."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from orchestrator.status import AttemptEnd, ExperimentStatus, TrialStatus
from orchestrator.store.clock import database_now
from orchestrator.store.tables import ClaimRow, DriverAttemptRow, ExperimentRow, MetricRow, TrackingRow, TrialRow
from orchestrator.store.tracking import is_unshipped, of_trial


class Figures(NamedTuple):
    """Counts over all experiments, but where it says otherwise."""

    experiments: dict[str, int]
    """Status -> experiments."""
    trials: dict[str, int]
    """Status -> trials."""
    attempts: dict[str, int]
    """`AttemptEnd` -> driver attempts that ended so."""
    recoveries: int
    """Driver attempts that went on with what an earlier one had begun."""
    retries: int
    """Executions of trials beyond the first of each."""
    seconds_beyond_training: float
    """Of trials that were started more than once and succeeded, times the GPUs of each: from their first start to their
    end, without what their training took. What faults have cost, and waiting for a place in between."""
    claims: int
    """Folders that a driver trains into."""
    avoided_nodes: int
    """Of experiments that have not ended, nodes that get no more trials."""
    waiting_for_storage: int
    """Experiments that have not ended, and whose trials wait for the storage."""
    unshipped: dict[str, int]
    """Tracker -> values that it does not have yet."""
    oldest_unshipped_seconds: dict[str, float]
    """Tracker -> age of the oldest of them (0: there is none)."""


def operating_figures(session: Session, trackers: Collection[str]) -> Figures:
    """Count.

    Args:
        session: an open read.
        trackers: names of those that are on.
    """
    open_ones = ExperimentRow.status.in_([status for status in ExperimentStatus if not status.is_final])
    avoided = session.execute(select(ExperimentRow.avoided_nodes, ExperimentRow.storage_trouble).where(open_ones)).all()
    again = TrialRow.attempt > 1
    behind = {tracker: _behind(session, tracker) for tracker in trackers}
    return Figures(
        experiments=_counted(session, ExperimentRow.status, ExperimentStatus),
        trials=_counted(session, TrialRow.status, TrialStatus),
        attempts=_counted(session, DriverAttemptRow.ended_by, AttemptEnd),
        recoveries=session.scalar(select(func.count()).where(DriverAttemptRow.number > 1)) or 0,
        retries=session.scalar(select(func.sum(TrialRow.attempt - 1)).where(again)) or 0,
        seconds_beyond_training=_seconds_beyond_training(session),
        claims=session.scalar(select(func.count()).select_from(ClaimRow)) or 0,
        avoided_nodes=sum(len(nodes) for nodes, _ in avoided),
        waiting_for_storage=sum(bool(trouble) for _, trouble in avoided),
        unshipped={tracker: number for tracker, (number, _) in behind.items()},
        oldest_unshipped_seconds={tracker: seconds for tracker, (_, seconds) in behind.items()},
    )


def _counted(session: Session, column: InstrumentedAttribute[Any], kinds: Iterable[StrEnum]) -> dict[str, int]:
    found = {str(kind): int(number) for kind, number in session.execute(select(column, func.count()).group_by(column))}
    return {str(kind): found.get(str(kind), 0) for kind in kinds}


def _seconds_beyond_training(session: Session) -> float:
    rows = session.execute(
        select(TrialRow.hardware, TrialRow.started_at, TrialRow.ended_at, TrialRow.training_seconds).where(
            TrialRow.attempt > 1,
            TrialRow.status == TrialStatus.SUCCEEDED,
            TrialRow.reused_from.is_(None),
            TrialRow.hardware.startswith("cuda-"),
        )
    )
    seconds = 0.0
    for hardware, started_at, ended_at, training_seconds in rows:
        if hardware is None or started_at is None or ended_at is None:
            # Of a version that did not keep them.
            continue
        beyond = (ended_at - started_at).total_seconds() - (training_seconds or 0.0)
        seconds += int(hardware.partition("-")[2]) * max(0.0, beyond)
    return seconds


def _behind(session: Session, tracker: str) -> tuple[int, float]:
    """Values that a tracker does not have, and the age of the oldest."""
    beside = select(TrialRow.id).outerjoin(TrackingRow, of_trial(tracker)).join(MetricRow, is_unshipped())
    number = session.scalar(beside.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    first = beside.with_only_columns(MetricRow.recorded_at, maintain_column_froms=True)
    oldest = session.scalar(first.order_by(MetricRow.recorded_at).limit(1))
    return number, 0.0 if oldest is None else max(0.0, (database_now(session) - oldest).total_seconds())
