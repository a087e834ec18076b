"""Idempotency keys: a request that is sent again finds what the first one made."""

import hashlib

from sqlalchemy import delete
from sqlalchemy.orm import Session

from orchestrator.errors import IdempotencyConflictError
from orchestrator.store.clock import DatabaseNow, database_now
from orchestrator.store.conflicts import insert_or
from orchestrator.store.tables import IdempotencyKeyRow


def find_replay(session: Session, key: str, body: bytes) -> str | None:
    """Id of the experiment that this key stands for (`None`: the key is new).

    Raises:
        IdempotencyConflictError: the key came with another body.
    """
    row = session.get(IdempotencyKeyRow, key)
    if row is None:
        return None
    if row.body_digest != _digest(body):
        raise IdempotencyConflictError(
            f"the Idempotency-Key {key!r} was already used with another body, for experiment {row.experiment_id}; "
            "take a new key for a new request"
        )
    return row.experiment_id


def keep_key(session: Session, key: str, body: bytes, experiment_id: str) -> bool:
    """Tie the key to an experiment that is inserted in the same transaction.

    Returns:
        False if another process was faster: roll back, then ask `find_replay`. (PostgreSQL waits here for the other
        process's commit; SQLite has one writer.)
    """
    inserted = session.scalar(
        insert_or(
            session,
            IdempotencyKeyRow,
            [
                {
                    "key": key,
                    "body_digest": _digest(body),
                    "experiment_id": experiment_id,
                    "created_at": database_now(session),
                }
            ],
        )
        .on_conflict_do_nothing(index_elements=[IdempotencyKeyRow.key])
        .returning(IdempotencyKeyRow.key)
    )
    return inserted is not None


def forget_old_keys(session: Session, older_than_seconds: float) -> None:
    """Remove keys that no client will send again."""
    session.execute(delete(IdempotencyKeyRow).where(IdempotencyKeyRow.created_at < DatabaseNow(-older_than_seconds)))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
