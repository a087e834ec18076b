"""Trials: planned, run, ended. Every write of a driver carries its attempt and tells the watchers.

    pending -> running -> succeeded | failed | pruned | cancelled
    running, failed, pruned, cancelled -> running   (a retry, in this attempt of the driver or a later one)
    pending -> succeeded                            (a finished trial stands in: `reuse_trial`)

`succeeded` is for good: a result is never overwritten.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session, defer

from orchestrator.code_of_arms import code_of
from orchestrator.errors import StatusConflictError, TrialNotFoundError
from orchestrator.planning.hardware import Hardware
from orchestrator.planning.planned import PlannedTrial
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.clock import DatabaseNow, database_now
from orchestrator.store.codes import keep_codes
from orchestrator.store.events import append_event
from orchestrator.store.experiments import fence, get_experiment, note_progress
from orchestrator.store.tables import TrialRow
from trainers.config import canonical_json
from trainers.result import TrialResult
from trainers.version import UsedCode, used_code

_CHUNK = 500
"""Values in one IN list, rows in one INSERT: far below every database's limit on parameters."""


class TrialRowKey(NamedTuple):
    """What tells the trials of one experiment apart."""

    phase: Phase
    cell: str
    arm: str
    seed: int
    identity: str

    @classmethod
    def of(cls, trial: PlannedTrial) -> "TrialRowKey":
        """Key of a planned trial."""
        return cls(trial.phase, trial.cell.key, trial.arm, trial.seed, trial.identity)


def plan_trials(
    session: Session, experiment_id: str, trials: Sequence[PlannedTrial], attempt: int | None = None
) -> dict[TrialRowKey, int]:
    """Add trials that are not there yet as pending; those that are there stay as they are.

    Args:
        session: an open write.
        experiment_id: its id.
        trials: any number; doubles count once.
        attempt: number of the driver attempt that asks (`None`: not a driver).

    Returns:
        Key of each given trial -> id of its row.

    Raises:
        StaleAttemptError: the attempt has ended or been replaced.
    """
    if attempt is None:
        get_experiment(session, experiment_id, lock=True)
    else:
        fence(session, experiment_id, attempt)
    known = _ids_by_key(session, experiment_id)
    missing = {key: trial for trial in trials if (key := TrialRowKey.of(trial)) not in known}
    if missing:
        codes = {key: _code_of(trial) for key, trial in missing.items()}
        keep_codes(session, codes.values())
        # In the given order, so that ids follow the plan's order.
        rows = [_new_row(experiment_id, trial, codes[key].version) for key, trial in missing.items()]
        session.execute(insert(TrialRow), rows)
        known = _ids_by_key(session, experiment_id)
    return {key: known[key] for key in map(TrialRowKey.of, trials)}


def _code_of(trial: PlannedTrial) -> UsedCode:
    with code_of(trial.arm):
        return used_code(trial.config)


def get_trial(session: Session, trial_id: int, *, lock: bool = False) -> TrialRow:
    """One trial; `lock` reads its newest state and keeps it until the end of the write.

    Raises:
        TrialNotFoundError: no such trial.
    """
    query = select(TrialRow).where(TrialRow.id == trial_id)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    row = session.scalar(query)
    if row is None:
        raise TrialNotFoundError(f"no trial has the id {trial_id}")
    return row


def get_trial_of(session: Session, experiment_id: str, trial_id: int) -> TrialRow:
    """One trial of this experiment.

    Raises:
        ExperimentNotFoundError: no such experiment.
        TrialNotFoundError: it has no such trial.
    """
    get_experiment(session, experiment_id)
    row = session.scalar(select(TrialRow).where(TrialRow.id == trial_id, TrialRow.experiment_id == experiment_id))
    if row is None:
        raise TrialNotFoundError(f"experiment {experiment_id} has no trial {trial_id}")
    return row


def trials_of(
    session: Session, experiment_id: str, phase: Phase | None = None, *, but: Collection[TrialStatus] = ()
) -> list[TrialRow]:
    """All trials of an experiment, but for those in some statuses, in the order in which they were planned."""
    query = (
        select(TrialRow)
        .where(TrialRow.experiment_id == experiment_id, TrialRow.status.not_in(but))
        .order_by(TrialRow.id)
    )
    if phase is not None:
        query = query.where(TrialRow.phase == phase)
    return list(session.scalars(query))


def summaries_of(
    session: Session,
    experiment_id: str,
    phase: Phase | None = None,
    *,
    status: TrialStatus | None = None,
    after_id: int = 0,
    limit: int | None = None,
) -> list[TrialRow]:
    """As `trials_of`, without the bulk: `config` and `result` of these rows can't be read.

    Args:
        session: an open read.
        experiment_id: its id.
        phase: only this one.
        status: only these.
        after_id: the last id of the page before.
        limit: most of them (`None`: all).
    """
    query = (
        select(TrialRow)
        .options(defer(TrialRow.config, raiseload=True), defer(TrialRow.result, raiseload=True))
        .where(TrialRow.experiment_id == experiment_id, TrialRow.id > after_id)
        .order_by(TrialRow.id)
        .limit(limit)
    )
    if phase is not None:
        query = query.where(TrialRow.phase == phase)
    if status is not None:
        query = query.where(TrialRow.status == status)
    return list(session.scalars(query))


def start_trial(session: Session, trial_id: int, attempt: int) -> TrialRow:
    """A trial begins, or begins again.

    Raises:
        StaleAttemptError: the driver attempt has ended or been replaced.
        StatusConflictError: it has already succeeded.
    """
    row = _fenced(session, trial_id, attempt)
    row.attempt += 1
    row.error, row.ended_at = "", None
    if row.started_at is None:
        row.started_at = database_now(session)
    return _change(session, row, TrialStatus.RUNNING)


def succeed_trial(session: Session, trial_id: int, result: TrialResult, attempt: int) -> TrialRow:
    """A trial ended with a result. Saying so again changes nothing.

    Raises:
        StaleAttemptError: the driver attempt has ended or been replaced.
    """
    row = _fenced(session, trial_id, attempt, but_succeeded=False)
    if row.status == TrialStatus.SUCCEEDED:
        return row
    row.result = result.model_dump_json()
    row.hardware = Hardware.used(result.provenance).key
    row.final_metrics = result.metrics
    row.training_seconds, row.num_epochs = result.training_seconds, len(result.epochs)
    return _end(session, row, TrialStatus.SUCCEEDED)


def fail_trial(session: Session, trial_id: int, error: str, attempt: int) -> TrialRow:
    """A trial ended without a result; `error` says why, with step and arm.

    Raises:
        StaleAttemptError: the driver attempt has ended or been replaced.
        StatusConflictError: it has already succeeded.
    """
    row = _fenced(session, trial_id, attempt)
    row.error = error
    return _end(session, row, TrialStatus.FAILED)


def prune_trial(
    session: Session, trial_id: int, reason: str, attempt: int, result: TrialResult | None = None
) -> TrialRow:
    """The search ended a poor candidate early; what it reached until then is kept, if given.

    Raises:
        StaleAttemptError: the driver attempt has ended or been replaced.
        StatusConflictError: it has already succeeded.
    """
    row = _fenced(session, trial_id, attempt)
    row.error = reason
    if result is not None:
        row.result, row.final_metrics = result.model_dump_json(), result.metrics
        row.training_seconds, row.num_epochs = result.training_seconds, len(result.epochs)
    return _end(session, row, TrialStatus.PRUNED)


def cancel_open_trials(
    session: Session, experiment_id: str, attempt: int | None = None, *, reason: str = "the experiment was cancelled"
) -> int:
    """All pending and running trials become cancelled; gives their number.

    Args:
        session: an open write.
        experiment_id: its id.
        attempt: number of the driver attempt that asks (`None`: not a driver).
        reason: why, for people.

    Raises:
        StaleAttemptError: the attempt has ended or been replaced.
    """
    if attempt is not None:
        fence(session, experiment_id, attempt)
    return _set_all(
        session,
        experiment_id,
        (TrialStatus.PENDING, TrialStatus.RUNNING),
        TrialStatus.CANCELLED,
        reason,
    )


def reopen_trials(session: Session, experiment_id: str, statuses: Collection[TrialStatus]) -> int:
    """Trials in these statuses become pending again (their driver is dead, or the experiment goes on).

    Their checkpoints stay, so training goes on where it stopped.
    """
    return _set_all(session, experiment_id, statuses, TrialStatus.PENDING, "")


def find_reusable(session: Session, identities: Collection[str], hardware: Hardware) -> dict[str, TrialRow]:
    """Identity -> a succeeded trial that can stand in for it (of any experiment; never one that is a stand-in).

    Args:
        session: an open read.
        identities: the trainings that are asked for.
        hardware: what they are to run on; on other hardware the numbers are others, though the config is the same.
    """
    found: dict[str, TrialRow] = {}
    for chunk in _chunks(identities):
        rows = session.scalars(
            select(TrialRow)
            .where(
                TrialRow.identity.in_(chunk),
                TrialRow.status == TrialStatus.SUCCEEDED,
                TrialRow.reused_from.is_(None),
                TrialRow.hardware == hardware.key,
            )
            .order_by(TrialRow.id)
        )
        for row in rows:
            found.setdefault(row.identity, row)
    return found


def succeeded_of(session: Session, experiment_id: str, identities: Collection[str]) -> list[TrialRow]:
    """Trials of an experiment that have done one of these trainings."""
    return [
        row
        for chunk in _chunks(identities)
        for row in session.scalars(
            select(TrialRow).where(
                TrialRow.experiment_id == experiment_id,
                TrialRow.identity.in_(chunk),
                TrialRow.status == TrialStatus.SUCCEEDED,
            )
        )
    ]


def reuse_trial(session: Session, trial_id: int, source: TrialRow, attempt: int) -> TrialRow:
    """Let a finished trial stand in.

    Raises:
        StaleAttemptError: the driver attempt has ended or been replaced.
        ValueError: the source is another trial, or has not succeeded.
    """
    row = _fenced(session, trial_id, attempt)
    if source.identity != row.identity or source.status != TrialStatus.SUCCEEDED:
        raise ValueError(f"trial {source.id} ({source.identity}, {source.status}) can't stand in for {row.identity}")
    row.result, row.hardware, row.final_metrics = source.result, source.hardware, source.final_metrics
    row.training_seconds, row.num_epochs = source.training_seconds, source.num_epochs
    row.reused_from = source.experiment_id
    return _end(session, row, TrialStatus.SUCCEEDED)


def finished_identities(session: Session, identities: Collection[str], hardware: Hardware) -> set[str]:
    """Which of these trainings have already been done, on such hardware."""
    found: set[str] = set()
    for chunk in _chunks(identities):
        found.update(
            session.scalars(
                select(TrialRow.identity)
                .where(
                    TrialRow.identity.in_(chunk),
                    TrialRow.status == TrialStatus.SUCCEEDED,
                    TrialRow.hardware == hardware.key,
                )
                .distinct()
            )
        )
    return found


def _fenced(session: Session, trial_id: int, attempt: int, *, but_succeeded: bool = True) -> TrialRow:
    """The trial, locked, if this attempt may change it."""
    experiment_id = get_trial(session, trial_id).experiment_id
    # Experiment first, then trial: everybody locks in this order, so nobody waits in a circle.
    fence(session, experiment_id, attempt)
    row = get_trial(session, trial_id, lock=True)
    if but_succeeded and row.status == TrialStatus.SUCCEEDED:
        raise StatusConflictError(f"trial {trial_id} ({row.cell}/{row.arm}/seed{row.seed}) has already succeeded")
    return row


def _end(session: Session, row: TrialRow, status: TrialStatus) -> TrialRow:
    row.ended_at = database_now(session)
    note_progress(session, row.experiment_id)
    return _change(session, row, status)


def _change(session: Session, row: TrialRow, status: TrialStatus) -> TrialRow:
    row.status = status
    payload = {
        "trial_id": row.id,
        "cell": row.cell,
        "arm": row.arm,
        "seed": row.seed,
        "phase": row.phase,
        "params": row.params,
        "status": str(status),
        "error": row.error,
        "reused_from": row.reused_from,
    }
    append_event(session, row.experiment_id, "trial", payload)
    return row


def _set_all(
    session: Session, experiment_id: str, statuses: Collection[TrialStatus], to: TrialStatus, error: str
) -> int:
    get_experiment(session, experiment_id, lock=True)
    values = {"status": to, "error": error, "ended_at": DatabaseNow() if to.is_final else None}
    changed = session.scalars(
        update(TrialRow)
        .where(TrialRow.experiment_id == experiment_id, TrialRow.status.in_(statuses))
        .values(values)
        .returning(TrialRow.id)
        .execution_options(synchronize_session=False)
    ).all()
    if changed:
        # One event for all: thousands of trials may be pending.
        append_event(session, experiment_id, "trial", {"status": str(to), "num_trials": len(changed), "error": error})
        session.expire_all()
    return len(changed)


def _ids_by_key(session: Session, experiment_id: str) -> dict[TrialRowKey, int]:
    rows = session.execute(
        select(TrialRow.id, TrialRow.phase, TrialRow.cell, TrialRow.arm, TrialRow.seed, TrialRow.identity).where(
            TrialRow.experiment_id == experiment_id
        )
    )
    return {
        TrialRowKey(Phase(phase), cell, arm, seed, identity): trial_id
        for trial_id, phase, cell, arm, seed, identity in rows
    }


def _new_row(experiment_id: str, trial: PlannedTrial, code: str) -> dict[str, object]:
    return {
        "experiment_id": experiment_id,
        "identity": trial.identity,
        "cell": trial.cell.key,
        "arm": trial.arm,
        "seed": trial.seed,
        "phase": trial.phase,
        "params": trial.params,
        "config": canonical_json(trial.config),
        "code": code,
        "status": TrialStatus.PENDING,
        "attempt": 0,
        "error": "",
        "final_metrics": {},
    }


def _chunks(values: Collection[str]) -> Iterator[list[str]]:
    unique = sorted(set(values))
    for start in range(0, len(unique), _CHUNK):
        yield unique[start : start + _CHUNK]
