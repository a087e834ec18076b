"""What the reconciler sees of an experiment in the database."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from orchestrator.status import AttemptEnd, ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import unfinished_experiments


class Found(NamedTuple):
    """One experiment with its newest attempt. Its times are marks that change: ages are not told from them."""

    id: str
    status: ExperimentStatus
    reason: str
    attempt: int
    ends: Mapping[AttemptEnd, int]
    """How attempts have ended since the last progress."""
    job_id: str | None
    cluster: str | None
    is_open: bool
    last_end: AttemptEnd | None
    began_at: datetime | None
    heard_at: datetime | None
    cancel_requested_at: datetime | None


def look(database: Database) -> list[Found]:
    """All experiments that have not ended, oldest first."""
    found = []
    with database.read() as session:
        for row, attempt in unfinished_experiments(session):
            found.append(
                Found(
                    id=row.id,
                    status=ExperimentStatus(row.status),
                    reason=row.reason,
                    attempt=row.attempt,
                    ends={AttemptEnd(end): times for end, times in row.attempt_ends.items()},
                    job_id=attempt.job_id if attempt else None,
                    cluster=attempt.cluster if attempt else None,
                    is_open=attempt is not None and attempt.ended_at is None,
                    last_end=AttemptEnd(attempt.ended_by) if attempt and attempt.ended_by else None,
                    began_at=attempt.started_at if attempt else None,
                    heard_at=attempt.heartbeat_at if attempt else None,
                    cancel_requested_at=row.cancel_requested_at,
                )
            )
    return found
