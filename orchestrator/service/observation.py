"""What the reconciler sees of an experiment in the database."""

from datetime import datetime
from typing import NamedTuple

from orchestrator.status import ExperimentStatus
from orchestrator.store.clock import database_now
from orchestrator.store.database import Database
from orchestrator.store.experiments import unfinished_experiments


class Found(NamedTuple):
    """One experiment with its newest attempt, at one moment of the database's clock."""

    id: str
    status: ExperimentStatus
    reason: str
    attempt: int
    attempts_used: int
    job_id: str | None
    is_open: bool
    began_at: datetime | None
    heard_at: datetime | None
    attempt_ended_at: datetime | None
    cancel_requested_at: datetime | None
    now: datetime


def look(database: Database) -> list[Found]:
    """All experiments that have not ended, oldest first."""
    found = []
    with database.read() as session:
        now = database_now(session)
        for row, attempt in unfinished_experiments(session):
            found.append(
                Found(
                    id=row.id,
                    status=ExperimentStatus(row.status),
                    reason=row.reason,
                    attempt=row.attempt,
                    attempts_used=row.attempt - row.attempts_before,
                    job_id=attempt.job_id if attempt else None,
                    is_open=attempt is not None and attempt.ended_at is None,
                    began_at=attempt.started_at if attempt else None,
                    heard_at=attempt.heartbeat_at if attempt else None,
                    attempt_ended_at=attempt.ended_at if attempt else None,
                    cancel_requested_at=row.cancel_requested_at,
                    now=now,
                )
            )
    return found


def age(now: datetime, then: datetime | None) -> float | None:
    """Seconds since then (`None`: never)."""
    return None if then is None else (now - then).total_seconds()
