"""What the trackers have, as the rest of the house asks it: runs, and how much is not sent yet."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from orchestrator.store.tables import ExperimentRow, MetricRow, TrackingRow, TrialRow

EXPERIMENT = 0
"""`TrackingRow.trial_id` of an experiment itself."""


def runs_of(session: Session, tracker: str, experiment_id: str) -> dict[int, str]:
    """Trial -> its run, for the trials of an experiment that have one."""
    rows = session.execute(
        select(TrackingRow.trial_id, TrackingRow.run_id).where(
            TrackingRow.tracker == tracker,
            TrackingRow.experiment_id == experiment_id,
            TrackingRow.trial_id != EXPERIMENT,
            TrackingRow.run_id.is_not(None),
        )
    )
    return {trial_id: run_id for trial_id, run_id in rows if run_id is not None}


def groups_of(session: Session, tracker: str, experiment_ids: Collection[str]) -> dict[str, str]:
    """Experiment -> the tracker's id of what holds its runs, where there is one."""
    rows = session.execute(
        select(TrackingRow.experiment_id, TrackingRow.group_id).where(
            TrackingRow.tracker == tracker,
            TrackingRow.experiment_id.in_(experiment_ids),
            TrackingRow.trial_id == EXPERIMENT,
            TrackingRow.group_id.is_not(None),
        )
    )
    return {experiment_id: group_id for experiment_id, group_id in rows if group_id is not None}


def count_unshipped(session: Session, tracker: str, experiment_id: str) -> int:
    """Metric values of an experiment that a tracker does not have yet."""
    return (
        session.scalar(
            select(func.count())
            .select_from(TrialRow)
            .outerjoin(TrackingRow, of_trial(tracker))
            .join(MetricRow, is_unshipped())
            .where(TrialRow.experiment_id == experiment_id)
        )
        or 0
    )


def of_trial(tracker: str) -> ColumnElement[bool]:
    """Joins trials with what a tracker has of them (an outer join: it may have nothing)."""
    return and_(
        TrackingRow.tracker == tracker,
        TrackingRow.experiment_id == TrialRow.experiment_id,
        TrackingRow.trial_id == TrialRow.id,
    )


def of_experiment(tracker: str) -> ColumnElement[bool]:
    """Joins experiments with what a tracker has of them (an outer join: it may have nothing)."""
    return and_(
        TrackingRow.tracker == tracker,
        TrackingRow.experiment_id == ExperimentRow.id,
        TrackingRow.trial_id == EXPERIMENT,
    )


def is_unshipped() -> ColumnElement[bool]:
    """Of a trial beside its tracking row: values that were not sent."""
    return and_(MetricRow.trial_id == TrialRow.id, MetricRow.id > func.coalesce(TrackingRow.shipped_to, 0))


def differs_from_told(row: type[TrialRow] | type[ExperimentRow]) -> ColumnElement[bool]:
    """Of a trial or an experiment beside its tracking row: it is not as it was when its run was closed."""
    return TrackingRow.told_status.is_distinct_from(row.status) | TrackingRow.told_ended_at.is_distinct_from(
        row.ended_at
    )
