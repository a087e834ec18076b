"""What MLflow does not have yet, and the notes of what it got. The rows of the store are the outbox."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.store.tables import ExperimentRow, MetricRow, TrialRow

_FINAL_EXPERIMENT = [status for status in ExperimentStatus if status.is_final]
_FINAL_TRIAL = [status for status in TrialStatus if status.is_final]


class Backlog(NamedTuple):
    """How much is waiting."""

    metrics: int
    """Metric values."""
    trials: int
    """Ended trials whose run is not closed."""
    summaries: int
    """Ended experiments whose summary is not up to date."""

    @property
    def is_empty(self) -> bool:
        """Whether MLflow has everything."""
        return not any(self)


def backlog(session: Session) -> Backlog:
    """Count what is waiting."""
    return Backlog(
        metrics=session.scalar(select(func.count()).where(MetricRow.shipped.is_(False))) or 0,
        trials=session.scalar(
            select(func.count()).where(TrialRow.tracking_done.is_(False), TrialRow.status.in_(_FINAL_TRIAL))
        )
        or 0,
        summaries=session.scalar(
            select(func.count()).where(
                ExperimentRow.summary_shipped.is_(False), ExperimentRow.status.in_(_FINAL_EXPERIMENT)
            )
        )
        or 0,
    )


def experiments_with_work(session: Session) -> list[ExperimentRow]:
    """Experiments with trials to send, or with a summary that is not up to date; oldest first."""
    # Asked every second: each part starts from what is open (an index), not from all trials that ever were.
    is_open = select(TrialRow.experiment_id).where(TrialRow.tracking_done.is_(False), _is_untold())
    has_values = select(TrialRow.experiment_id).where(
        TrialRow.id.in_(select(MetricRow.trial_id).where(MetricRow.shipped.is_(False))),
        TrialRow.status != TrialStatus.PENDING,
    )
    needs_summary = ExperimentRow.summary_shipped.is_(False) & (ExperimentRow.status != ExperimentStatus.QUEUED)
    has_work = or_(ExperimentRow.id.in_(is_open), ExperimentRow.id.in_(has_values), needs_summary)
    return list(session.scalars(select(ExperimentRow).where(has_work).order_by(ExperimentRow.id)))


def trials_with_work(session: Session, experiment_id: str) -> list[TrialRow]:
    """Trials that have ended with an open run, or that have something new to tell; in plan order."""
    return list(
        session.scalars(
            select(TrialRow).where(TrialRow.experiment_id == experiment_id, _has_work()).order_by(TrialRow.id)
        )
    )


def _has_work() -> ColumnElement[bool]:
    unshipped = select(MetricRow.id).where(MetricRow.trial_id == TrialRow.id, MetricRow.shipped.is_(False)).exists()
    untold = TrialRow.tracking_done.is_(False) & _is_untold()
    return or_(untold, (TrialRow.status != TrialStatus.PENDING) & unshipped)


def _is_untold() -> ColumnElement[bool]:
    """Ended, or running without a run (of trials that are not done: a start makes them so)."""
    is_running = TrialRow.status == TrialStatus.RUNNING
    return or_(TrialRow.status.in_(_FINAL_TRIAL), is_running & TrialRow.run_id.is_(None))


def unshipped_metrics(session: Session, trial_id: int, limit: int) -> list[MetricRow]:
    """The next values of one trial, in the order in which they were recorded."""
    return list(
        session.scalars(
            select(MetricRow)
            .where(MetricRow.trial_id == trial_id, MetricRow.shipped.is_(False))
            .order_by(MetricRow.id)
            .limit(limit)
        )
    )


def pair_partners(session: Session, trial: TrialRow, control: str) -> list[TrialRow]:
    """For a treatment its control; for a control all treatments of the same cell and seed."""
    wanted = TrialRow.arm != control if trial.arm == control else TrialRow.arm == control
    return list(
        session.scalars(
            select(TrialRow).where(
                TrialRow.experiment_id == trial.experiment_id,
                TrialRow.phase == trial.phase,
                TrialRow.cell == trial.cell,
                TrialRow.seed == trial.seed,
                wanted,
            )
        )
    )


def claim_run(session: Session, trial_id: int, run_id: str) -> str:
    """Tie a trial to a run unless another shipper was faster; gives the run that counts."""
    session.execute(update(TrialRow).where(TrialRow.id == trial_id, TrialRow.run_id.is_(None)).values(run_id=run_id))
    return session.scalars(select(TrialRow.run_id).where(TrialRow.id == trial_id)).one() or run_id


def claim_summary_run(session: Session, experiment_id: str, run_id: str) -> str:
    """Tie an experiment to its summary run unless another shipper was faster; gives the run that counts."""
    of_experiment = ExperimentRow.id == experiment_id
    session.execute(
        update(ExperimentRow).where(of_experiment, ExperimentRow.summary_run_id.is_(None)).values(summary_run_id=run_id)
    )
    return session.scalars(select(ExperimentRow.summary_run_id).where(of_experiment)).one() or run_id


def set_mlflow_experiment(session: Session, experiment_id: str, mlflow_experiment_id: str) -> None:
    """Note where the runs are."""
    session.execute(
        update(ExperimentRow).where(ExperimentRow.id == experiment_id).values(mlflow_experiment_id=mlflow_experiment_id)
    )


def close_trial(session: Session, trial: TrialRow) -> bool:
    """Note that a trial's run is complete, unless the trial has started again since `trial` was read."""
    closed = session.scalars(
        update(TrialRow)
        .where(
            TrialRow.id == trial.id,
            TrialRow.status == trial.status,
            TrialRow.attempt == trial.attempt,
            TrialRow.ended_at.is_not_distinct_from(trial.ended_at),
        )
        .values(tracking_done=True)
        .returning(TrialRow.id)
    ).all()
    return bool(closed)


def close_summary(session: Session, experiment: ExperimentRow) -> bool:
    """Note that a summary is up to date, unless the experiment has changed since `experiment` was read."""
    closed = session.scalars(
        update(ExperimentRow)
        .where(
            ExperimentRow.id == experiment.id,
            ExperimentRow.status == experiment.status,
            ExperimentRow.ended_at.is_not_distinct_from(experiment.ended_at),
        )
        .values(summary_shipped=True)
        .returning(ExperimentRow.id)
    ).all()
    return bool(closed)


def forget_tracking(session: Session, experiment_id: str) -> None:
    """Send a whole experiment again: this server does not have what we sent (it is new, or lost its database)."""
    session.execute(
        update(ExperimentRow)
        .where(ExperimentRow.id == experiment_id)
        .values(mlflow_experiment_id=None, summary_run_id=None, summary_shipped=False)
    )
    trials = select(TrialRow.id).where(TrialRow.experiment_id == experiment_id)
    session.execute(update(MetricRow).where(MetricRow.trial_id.in_(trials)).values(shipped=False))
    session.execute(
        update(TrialRow).where(TrialRow.experiment_id == experiment_id).values(run_id=None, tracking_done=False)
    )
