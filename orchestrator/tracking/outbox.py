"""What a tracker does not have yet, and the notes of what it got. Rows of the store without a note are the outbox."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.orm import Session

from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.store.clock import DatabaseNow
from orchestrator.store.conflicts import insert_or
from orchestrator.store.experiments import get_experiment
from orchestrator.store.tables import ExperimentRow, MetricRow, TrackingRow, TrialRow
from orchestrator.store.tracking import EXPERIMENT, differs_from_told, is_unshipped, of_experiment, of_trial
from orchestrator.store.trials import get_trial
from orchestrator.tracking.backoff import pause_after

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
        """Whether the tracker has everything."""
        return not any(self)


class OpenExperiment(NamedTuple):
    """An experiment with something to send, and what the tracker has of it."""

    row: ExperimentRow
    group_id: str | None
    """The tracker's id of what holds its runs."""
    run_id: str | None
    """Of its summary."""
    is_told: bool
    """Whether its summary is closed as it stands."""
    is_refused: bool
    """Whether it could not be sent the last time."""


class OpenTrial(NamedTuple):
    """A trial with something to send, and what the tracker has of it."""

    row: TrialRow
    run_id: str | None


class Outbox:
    """What waits for one tracker, and the notes of what it got.

    Nothing in here opens a transaction: the caller's session is a moment in which what is read belongs together.
    """

    def __init__(self, tracker: str) -> None:
        """`tracker`: its name in the rows."""
        self._tracker = tracker

    # ---- what waits ----

    def backlog(self, session: Session) -> Backlog:
        """Count what is waiting."""
        trials = (
            select(TrialRow.id)
            .where(TrialRow.experiment_id.in_(self._open_experiments()))
            .union(select(TrackingRow.trial_id).where(*self._is_left_over()))
        )
        beside = select(func.count()).select_from(TrialRow).outerjoin(TrackingRow, of_trial(self._tracker))
        ended = TrialRow.status.in_(_FINAL_TRIAL) & differs_from_told(TrialRow)
        summaries = (
            select(func.count())
            .select_from(ExperimentRow)
            .outerjoin(TrackingRow, of_experiment(self._tracker))
            .where(ExperimentRow.status.in_(_FINAL_EXPERIMENT), differs_from_told(ExperimentRow))
        )
        return Backlog(
            metrics=session.scalar(beside.join(MetricRow, is_unshipped()).where(TrialRow.id.in_(trials))) or 0,
            trials=session.scalar(beside.where(TrialRow.id.in_(trials), ended)) or 0,
            summaries=session.scalar(summaries) or 0,
        )

    def experiments_with_work(self, session: Session) -> list[OpenExperiment]:
        """Experiments with trials to send, or with a summary that is not up to date; oldest first."""
        # Asked every second. Experiments that are done are told by one row each; only of the others are trials read.
        has_trials = (
            select(TrialRow.id)
            .outerjoin(TrackingRow, of_trial(self._tracker))
            .where(TrialRow.experiment_id == ExperimentRow.id, _has_work(), _may_try())
            .correlate(ExperimentRow)
            .exists()
        )
        is_untold = differs_from_told(ExperimentRow)
        left_over = ExperimentRow.id.in_(select(TrackingRow.experiment_id).where(*self._is_left_over()))
        needs_summary = is_untold & (ExperimentRow.status != ExperimentStatus.QUEUED)
        query = (
            select(ExperimentRow, TrackingRow.group_id, TrackingRow.run_id, is_untold, TrackingRow.refusals)
            .outerjoin(TrackingRow, of_experiment(self._tracker))
            .where(or_(needs_summary, (is_untold | left_over) & has_trials), _may_try())
            .order_by(ExperimentRow.id)
        )
        return [
            OpenExperiment(row, group_id, run_id, is_told=not untold, is_refused=bool(refusals))
            for row, group_id, run_id, untold, refusals in session.execute(query)
        ]

    def trials_with_work(self, session: Session, experiment_id: str) -> list[OpenTrial]:
        """Trials that have ended with an open run, or that have something new to tell; in plan order.

        Without those that were refused a moment ago.
        """
        query = (
            select(TrialRow, TrackingRow.run_id)
            .outerjoin(TrackingRow, of_trial(self._tracker))
            .where(TrialRow.experiment_id == experiment_id, _has_work(), _may_try())
            .order_by(TrialRow.id)
        )
        return [OpenTrial(row, run_id) for row, run_id in session.execute(query)]

    def unshipped_metrics(self, session: Session, trial: TrialRow, limit: int) -> list[MetricRow]:
        """The next values of one trial, in the order in which they were recorded."""
        query = (
            select(MetricRow)
            .join(TrialRow, TrialRow.id == MetricRow.trial_id)
            .outerjoin(TrackingRow, of_trial(self._tracker))
            .where(TrialRow.id == trial.id, is_unshipped())
            .order_by(MetricRow.id)
            .limit(limit)
        )
        return list(session.scalars(query))

    def _open_experiments(self) -> Select[str]:
        """Those that are not told as they stand, running ones among them."""
        return (
            select(ExperimentRow.id)
            .outerjoin(TrackingRow, of_experiment(self._tracker))
            .where(differs_from_told(ExperimentRow))
        )

    def _is_left_over(self) -> tuple[ColumnElement[bool], ...]:
        """Trials that could not be sent while all else of their experiment was (and those that are open yet)."""
        return (
            TrackingRow.tracker == self._tracker,
            TrackingRow.told_status.is_(None),
            TrackingRow.trial_id != EXPERIMENT,
        )

    # ---- notes ----

    def claim_run(self, session: Session, experiment_id: str, trial_id: int, run_id: str) -> str:
        """Tie a trial (or an experiment) to a run unless another shipper was faster; gives the run that counts."""
        self._note(session, experiment_id, trial_id)
        row = self._row(experiment_id, trial_id)
        session.execute(update(TrackingRow).where(*row, TrackingRow.run_id.is_(None)).values(run_id=run_id))
        return session.scalars(select(TrackingRow.run_id).where(*row)).one() or run_id

    def set_group(self, session: Session, experiment_id: str, group_id: str) -> None:
        """Note where the runs are."""
        self._note(session, experiment_id, EXPERIMENT, group_id=group_id)

    def mark_shipped(self, session: Session, trial: TrialRow, rows: list[MetricRow]) -> None:
        """The tracker has these values, and all of the trial before them."""
        session.execute(
            update(TrackingRow)
            .where(*self._row(trial.experiment_id, trial.id), TrackingRow.shipped_to < rows[-1].id)
            .values(shipped_to=rows[-1].id, refusals=0, not_before=None)
        )

    def close_trial(self, session: Session, trial: TrialRow) -> bool:
        """Note that a trial's run is complete, unless the trial has started again since `trial` was read."""
        now = get_trial(session, trial.id)
        if (now.status, now.ended_at) != (trial.status, trial.ended_at):
            return False
        told = {"told_status": trial.status, "told_ended_at": trial.ended_at}
        self._note(session, trial.experiment_id, trial.id, **told, refusals=0, not_before=None)
        return True

    def close_summary(self, session: Session, experiment: ExperimentRow) -> bool:
        """Note that a summary is up to date, unless the experiment has changed since `experiment` was read."""
        now = get_experiment(session, experiment.id)
        if (now.status, now.ended_at) != (experiment.status, experiment.ended_at):
            return False
        told = {"told_status": experiment.status, "told_ended_at": experiment.ended_at}
        self._note(session, experiment.id, EXPERIMENT, **told, refusals=0, not_before=None)
        # From now on only these are looked for.
        left_over = (
            select(TrialRow.id)
            .outerjoin(TrackingRow, of_trial(self._tracker))
            .where(TrialRow.experiment_id == experiment.id, _has_work())
        )
        for trial_id in session.scalars(left_over).all():
            self._note(session, experiment.id, trial_id, told_status=None, told_ended_at=None)
        return True

    def postpone(self, session: Session, experiment_id: str, trial_id: int = EXPERIMENT) -> float:
        """Try again later, and later still each time; gives the seconds."""
        self._note(session, experiment_id, trial_id)
        row = self._row(experiment_id, trial_id)
        refusals = session.scalars(select(TrackingRow.refusals).where(*row)).one() + 1
        pause = pause_after(refusals)
        session.execute(update(TrackingRow).where(*row).values(refusals=refusals, not_before=DatabaseNow(pause)))
        return pause

    def forgive(self, session: Session, experiment_id: str) -> None:
        """An experiment that was refused passes again."""
        session.execute(
            update(TrackingRow).where(*self._row(experiment_id, EXPERIMENT)).values(refusals=0, not_before=None)
        )

    def forget(self, session: Session, experiment_id: str) -> None:
        """Send a whole experiment again: this tracker does not have what we sent (it is new, or lost its data)."""
        session.execute(
            delete(TrackingRow).where(TrackingRow.tracker == self._tracker, TrackingRow.experiment_id == experiment_id)
        )

    def _row(self, experiment_id: str, trial_id: int) -> tuple[ColumnElement[bool], ...]:
        return (
            TrackingRow.tracker == self._tracker,
            TrackingRow.experiment_id == experiment_id,
            TrackingRow.trial_id == trial_id,
        )

    def _note(self, session: Session, experiment_id: str, trial_id: int, **values: object) -> None:
        key = {"tracker": self._tracker, "experiment_id": experiment_id, "trial_id": trial_id}
        statement = insert_or(session, TrackingRow, [{"shipped_to": 0, "refusals": 0} | key | values])
        conflict = list(key)
        session.execute(
            statement.on_conflict_do_update(index_elements=conflict, set_=values)
            if values
            else statement.on_conflict_do_nothing(index_elements=conflict)
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


def _has_work() -> ColumnElement[bool]:
    """Of a trial beside its tracking row: ended otherwise than told, running without a run, or with new values."""
    has_values = select(MetricRow.id).where(is_unshipped()).correlate(TrialRow, TrackingRow).exists()
    has_ended = TrialRow.status.in_(_FINAL_TRIAL) & differs_from_told(TrialRow)
    has_begun = (TrialRow.status == TrialStatus.RUNNING) & TrackingRow.run_id.is_(None)
    return or_(has_ended, has_begun, (TrialRow.status != TrialStatus.PENDING) & has_values)


def _may_try() -> ColumnElement[bool]:
    return or_(TrackingRow.not_before.is_(None), TrackingRow.not_before <= DatabaseNow())
