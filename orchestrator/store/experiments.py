"""Experiments and their driver attempts: every change of status, and the fence against drivers that were replaced.

An attempt's life: `begin_attempt` (the row first, then the Ray job) -> `heartbeat` every few seconds -> `move` to a
final status with its number (which ends the attempt, too), or `end_attempt` by whoever finds it dead. Attempt n+1
can't begin while n is open; a write that carries the number of an attempt that has ended or been replaced is
refused with StaleAttemptError, and the driver that gets it must stop.
"""

import secrets
import time
from collections.abc import Mapping

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session, defer

from orchestrator.errors import ExperimentNotFoundError, StaleAttemptError, StatusConflictError
from orchestrator.search.space import Params
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import ALLOWED_MOVES, AttemptEnd, ExperimentStatus
from orchestrator.store.clock import DatabaseNow, database_now
from orchestrator.store.events import append_event, events_of_kind
from orchestrator.store.tables import DriverAttemptRow, ExperimentRow
from trainers.config import canonical_json

EXTENDED = "extended by seeds"
"""How the reason begins with which an experiment that had ended is queued again for more seeds."""
RESUMED = "resumed"
"""How it begins where an experiment goes on with what is missing."""
_ID_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: ASCII order is the order of the digits, and nothing looks like something else."""


def new_experiment_id() -> str:
    """15 characters, sorted by time of creation (milliseconds) and unguessable enough to be unique."""
    number = (time.time_ns() // 1_000_000) << 30 | secrets.randbits(30)
    return "".join(_ID_DIGITS[number >> shift & 31] for shift in range(70, -1, -5))


def insert_experiment(
    session: Session, spec: ExperimentSpec, digest: str, data_found: Mapping[str, str] | None = None
) -> ExperimentRow:
    """Add a queued experiment.

    Args:
        session: an open write.
        spec: the question, validated.
        digest: names the result (`Expansion.digest`).
        data_found: what was found where the data lie (`Expansion.data_found`).
    """
    now = database_now(session)
    row = ExperimentRow(
        id=new_experiment_id(),
        status=ExperimentStatus.QUEUED,
        cancel_requested_at=None,
        reason="",
        attempt=0,
        attempt_ends={},
        avoided_nodes={},
        storage_trouble="",
        chosen_params={},
        created_at=now,
        updated_at=now,
        ended_at=None,
    )
    _describe(row, spec, digest, data_found)
    session.add(row)
    session.flush()
    _append_status(session, row)
    return row


def update_spec(
    session: Session, row: ExperimentRow, spec: ExperimentSpec, digest: str, data_found: Mapping[str, str] | None = None
) -> None:
    """Replace the question by a larger one (`extend`)."""
    _describe(row, spec, digest, data_found)
    row.updated_at = database_now(session)


def num_extensions(session: Session, experiment_id: str) -> int:
    """How often seeds were added after the experiment had ended."""
    changes = events_of_kind(session, experiment_id, "status")
    return sum(change["reason"].startswith(EXTENDED) and change["status"] == "queued" for change in changes)


def get_experiment(session: Session, experiment_id: str, *, lock: bool = False) -> ExperimentRow:
    """One experiment.

    Args:
        session: an open read or write.
        experiment_id: its id.
        lock: in a write: keep others from changing the row until the end, and read its newest state.

    Raises:
        ExperimentNotFoundError: no such experiment.
    """
    query = select(ExperimentRow).where(ExperimentRow.id == experiment_id)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    # PostgreSQL takes no NUL character, not even to say that nothing is found.
    row = None if "\0" in experiment_id else session.scalar(query)
    if row is None:
        raise ExperimentNotFoundError(f"no experiment has the id {experiment_id!r}")
    return row


def list_experiments(
    session: Session,
    *,
    limit: int,
    before_id: str | None = None,
    status: ExperimentStatus | None = None,
    search: str = "",
) -> list[ExperimentRow]:
    """Experiments, newest first.

    Args:
        session: an open read.
        limit: most of them.
        before_id: the last id of the page before.
        status: only these.
        search: text in the name or the question, in capitals or not; or how the id begins.
    """
    query = select(ExperimentRow).order_by(ExperimentRow.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(ExperimentRow.id < before_id)
    if status is not None:
        query = query.where(ExperimentRow.status == status)
    # PostgreSQL takes no NUL character, and no name has one.
    text = search.replace("\0", "").strip()
    if text:
        named = ExperimentRow.name.icontains(text, autoescape=True)
        asking = ExperimentRow.question.icontains(text, autoescape=True)
        query = query.where(or_(named, asking, ExperimentRow.id.startswith(text, autoescape=True)))
    return list(session.scalars(query))


def open_twin(session: Session, digest: str) -> str | None:
    """Id of the newest experiment with this digest that is on its way to a result (`None`: there is none).

    In a write, nobody else adds one before its end: of two that look at the same time the second sees the first's.
    """
    if session.get_bind().dialect.name == "postgresql":
        # SQLite has one writer anyway.
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(digest, 0))))
    wanted = (ExperimentStatus.QUEUED, ExperimentStatus.STARTING, ExperimentStatus.RUNNING)
    return session.scalar(
        select(ExperimentRow.id)
        .where(ExperimentRow.digest == digest, ExperimentRow.status.in_(wanted))
        .order_by(ExperimentRow.id.desc())
        .limit(1)
    )


def unfinished_experiments(session: Session) -> list[tuple[ExperimentRow, DriverAttemptRow | None]]:
    """All that are not in a final status, oldest first, each with its newest attempt; without their specs."""
    newest = (DriverAttemptRow.experiment_id == ExperimentRow.id) & (DriverAttemptRow.number == ExperimentRow.attempt)
    rows = session.execute(
        select(ExperimentRow, DriverAttemptRow)
        .options(defer(ExperimentRow.spec))
        .outerjoin(DriverAttemptRow, newest)
        .where(ExperimentRow.status.in_([status for status in ExperimentStatus if not status.is_final]))
        .order_by(ExperimentRow.id)
    )
    return [(row, attempt) for row, attempt in rows]


def move(
    session: Session, experiment_id: str, to: ExperimentStatus, reason: str = "", attempt: int | None = None
) -> ExperimentRow:
    """Change the status and tell the watchers.

    A final status ends the open attempt; leaving one (`extend`, `resume`) brings a fresh budget of attempts.

    Args:
        session: an open write.
        experiment_id: its id.
        to: the new status.
        reason: why, for people.
        attempt: number of the driver attempt that asks (`None`: not a driver).

    Raises:
        ExperimentNotFoundError: no such experiment.
        StatusConflictError: ALLOWED_MOVES has no such move.
        StaleAttemptError: the attempt has ended or been replaced.
    """
    row = get_experiment(session, experiment_id, lock=True)
    if attempt is not None:
        fence(session, experiment_id, attempt)
    before = ExperimentStatus(row.status)
    if to not in ALLOWED_MOVES[before]:
        raise StatusConflictError(f"experiment {experiment_id} is {before}; it can't become {to}")
    now = database_now(session)
    row.status, row.reason, row.updated_at = to, reason, now
    row.ended_at = now if to.is_final else None
    if before.is_final:
        row.cancel_requested_at = None
        row.attempt_ends = {}
    if to.is_final:
        error = reason if to is ExperimentStatus.FAILED else ""
        _end_open_attempts(session, experiment_id, AttemptEnd.DONE, error=error)
    _append_status(session, row)
    return row


def set_reason(session: Session, experiment_id: str, reason: str) -> None:
    """Say why an experiment is still where it is."""
    row = get_experiment(session, experiment_id, lock=True)
    row.reason, row.updated_at = reason, database_now(session)


def begin_attempt(session: Session, experiment_id: str, job_id: str | None, cluster: str | None = None) -> int:
    """Add the next driver attempt; its job is started after this is committed.

    Args:
        session: an open write.
        experiment_id: its id.
        job_id: Ray job submission id (`None`: the driver is this process, started by hand).
        cluster: Ray's name of the session that gets the job (`None`: not known).

    Returns:
        The attempt's number, from 1.

    Raises:
        StatusConflictError: an earlier attempt is not known to be dead, or the experiment has ended.
    """
    row = get_experiment(session, experiment_id, lock=True)
    if ExperimentStatus(row.status).is_final:
        raise StatusConflictError(f"experiment {experiment_id} is {row.status}; it takes no further attempt")
    open_attempt = newest_attempt(session, experiment_id)
    if open_attempt is not None and open_attempt.ended_at is None:
        raise StatusConflictError(
            f"attempt {open_attempt.number} of experiment {experiment_id} is not known to be dead; "
            "another one can't begin"
        )
    now = database_now(session)
    row.attempt += 1
    row.avoided_nodes = {}
    row.storage_trouble = ""
    row.updated_at = now
    session.add(
        DriverAttemptRow(
            experiment_id=experiment_id,
            number=row.attempt,
            job_id=job_id,
            started_at=now,
            heartbeat_at=None,
            ended_at=None,
            error="",
            ended_by=None,
            cluster=cluster,
        )
    )
    session.flush()
    return row.attempt


def heartbeat(session: Session, experiment_id: str, attempt: int) -> None:
    """Say that the driver lives.

    Raises:
        StaleAttemptError: it should not: it has been replaced, or taken for dead.
    """
    fence(session, experiment_id, attempt)
    session.execute(
        update(DriverAttemptRow)
        .where(DriverAttemptRow.experiment_id == experiment_id, DriverAttemptRow.number == attempt)
        .values(heartbeat_at=DatabaseNow())
        .execution_options(synchronize_session=False)
    )


def seconds_since_heartbeat(session: Session, attempt: DriverAttemptRow) -> float | None:
    """Age of the last sign of life, by the database's clock (`None`: there never was one)."""
    if attempt.heartbeat_at is None:
        return None
    return (database_now(session) - attempt.heartbeat_at).total_seconds()


def end_attempt(session: Session, experiment_id: str, attempt: int, end: AttemptEnd, error: str = "") -> None:
    """Note that an attempt is over, and how; every later write of it is refused. Ending it again changes nothing."""
    row = get_experiment(session, experiment_id, lock=True)
    if _end_open_attempts(session, experiment_id, end, error=error, number=attempt):
        row.attempt_ends = row.attempt_ends | {end: row.attempt_ends.get(end, 0) + 1}


def note_progress(session: Session, experiment_id: str) -> None:
    """A trial has ended or an epoch is new: whatever befell earlier attempts, they were not in vain."""
    row = get_experiment(session, experiment_id)
    if row.attempt_ends:
        row.attempt_ends = {}


def newest_attempt(session: Session, experiment_id: str) -> DriverAttemptRow | None:
    """The attempt with the greatest number."""
    return session.scalar(
        select(DriverAttemptRow)
        .where(DriverAttemptRow.experiment_id == experiment_id)
        .order_by(DriverAttemptRow.number.desc())
        .limit(1)
    )


def fence(session: Session, experiment_id: str, attempt: int) -> None:
    """Let a driver's write pass only if its attempt is the newest and still open.

    Holds the experiment's row until the end of the transaction, so that no newer attempt begins in between.

    Raises:
        ExperimentNotFoundError: no such experiment.
        StaleAttemptError: the attempt has been replaced, has ended, or never was.
    """
    row = get_experiment(session, experiment_id, lock=True)
    if attempt != row.attempt:
        raise StaleAttemptError(
            f"attempt {attempt} of experiment {experiment_id} has been replaced by attempt {row.attempt}"
        )
    is_open = session.scalar(
        select(DriverAttemptRow.ended_at.is_(None)).where(
            DriverAttemptRow.experiment_id == experiment_id, DriverAttemptRow.number == attempt
        )
    )
    if not is_open:
        raise StaleAttemptError(f"attempt {attempt} of experiment {experiment_id} has ended")


def request_cancel(session: Session, experiment_id: str) -> ExperimentRow:
    """Ask for the end: at once if nothing has started, else through the driver. Asking twice changes nothing.

    Raises:
        ExperimentNotFoundError: no such experiment.
        StatusConflictError: it has already ended.
    """
    row = get_experiment(session, experiment_id, lock=True)
    status = ExperimentStatus(row.status)
    if status.is_final:
        raise StatusConflictError(f"experiment {experiment_id} is already {status}; there is nothing to cancel")
    if row.cancel_requested_at is None:
        row.cancel_requested_at = database_now(session)
    if status is ExperimentStatus.CANCELLING:
        return row
    if status is ExperimentStatus.QUEUED:
        return move(session, experiment_id, ExperimentStatus.CANCELLED, "cancelled before it started")
    return move(session, experiment_id, ExperimentStatus.CANCELLING, "cancel requested")


def is_cancel_requested(session: Session, experiment_id: str) -> bool:
    """Whether the driver should come to an end."""
    return get_experiment(session, experiment_id).cancel_requested


def set_chosen_params(
    session: Session, experiment_id: str, cell_key: str, arm: str, params: Params, attempt: int
) -> None:
    """Keep what a search chose; once chosen, it stays.

    Raises:
        StaleAttemptError: the attempt has ended or been replaced.
    """
    fence(session, experiment_id, attempt)
    row = get_experiment(session, experiment_id)
    row.chosen_params = {f"{cell_key}/{arm}": params} | row.chosen_params


def avoid_node(session: Session, experiment_id: str, name: str, why: str, attempt: int) -> None:
    """Note that this attempt gives a node no more trials.

    Raises:
        StaleAttemptError: the attempt has ended or been replaced.
    """
    fence(session, experiment_id, attempt)
    row = get_experiment(session, experiment_id)
    row.avoided_nodes = row.avoided_nodes | {name: why}


def set_storage_trouble(session: Session, experiment_id: str, trouble: str, attempt: int) -> None:
    """Note what is wrong with the storage that trials wait for (empty: they go on).

    Raises:
        StaleAttemptError: the attempt has ended or been replaced.
    """
    fence(session, experiment_id, attempt)
    get_experiment(session, experiment_id).storage_trouble = trouble


def chosen_params(row: ExperimentRow) -> dict[tuple[str, str], Params]:
    """(cell key, arm) -> params, as `Expansion.confirm_trials` takes them."""
    chosen = {}
    for place, params in row.chosen_params.items():
        cell_key, _, arm = place.rpartition("/")
        chosen[cell_key, arm] = params
    return chosen


def set_reached(session: Session, experiment_id: str, num_pairs: int, num_confirm_trials: int, attempt: int) -> None:
    """Count what was asked for in the end, where planned looks have ended comparisons early.

    Raises:
        StaleAttemptError: the attempt has ended or been replaced.
    """
    fence(session, experiment_id, attempt)
    row = get_experiment(session, experiment_id)
    row.num_pairs, row.num_confirm_trials = num_pairs, num_confirm_trials


def _describe(row: ExperimentRow, spec: ExperimentSpec, digest: str, data_found: Mapping[str, str] | None) -> None:
    row.name, row.question, row.digest, row.spec = spec.name, spec.question, digest, canonical_json(spec)
    row.control = spec.control.name
    row.data_found = None if data_found is None else dict(data_found)
    row.num_pairs = spec.num_pairs
    row.num_confirm_trials = spec.num_confirm_trials
    row.num_search_trials = spec.num_search_trials


def _append_status(session: Session, row: ExperimentRow) -> None:
    payload = {"status": str(row.status), "reason": row.reason, "attempt": row.attempt}
    append_event(session, row.id, "status", payload)
    if ExperimentStatus(row.status).is_final:
        append_event(session, row.id, "end", payload)


def _end_open_attempts(
    session: Session, experiment_id: str, end: AttemptEnd, *, error: str, number: int | None = None
) -> bool:
    """Whether any was open."""
    statement = (
        update(DriverAttemptRow)
        .where(DriverAttemptRow.experiment_id == experiment_id, DriverAttemptRow.ended_at.is_(None))
        .values(ended_at=DatabaseNow(), ended_by=end, error=error)
        .returning(DriverAttemptRow.number)
        .execution_options(synchronize_session=False)
    )
    if number is not None:
        statement = statement.where(DriverAttemptRow.number == number)
    return session.scalars(statement).first() is not None
