"""Events: what a watcher of an experiment wants to know, in an order that can be replayed.

Kinds written by the store itself, in the transaction of the change they tell of: `status` (by `move`), `trial` (by
every change of a trial's status), `epoch` (by `record_epoch`), `end` (when an experiment reaches a final status).
"""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.errors import ExperimentNotFoundError
from orchestrator.store.clock import database_now
from orchestrator.store.tables import EventRow, ExperimentRow


def append_event(session: Session, experiment_id: str, kind: str, payload: dict[str, Any]) -> int:
    """Add an event; its id is greater than that of every event of this experiment that anyone can have read.

    Raises:
        ExperimentNotFoundError: no such experiment.
    """
    # The lock on the experiment keeps PostgreSQL from committing a smaller id after a greater one: a watcher that
    # has seen the greater would never ask for the smaller.
    known = session.scalar(
        select(ExperimentRow.id).where(ExperimentRow.id == experiment_id).with_for_update(key_share=True)
    )
    if known is None:
        raise ExperimentNotFoundError(f"no experiment has the id {experiment_id!r}")
    row = EventRow(experiment_id=experiment_id, kind=kind, payload=payload, created_at=database_now(session))
    session.add(row)
    session.flush()
    return row.id


def events_after(session: Session, experiment_id: str, after_id: int = 0, limit: int = 1000) -> list[EventRow]:
    """The next events of an experiment, oldest first (empty: nothing new, or no such experiment)."""
    return list(
        session.scalars(
            select(EventRow)
            .where(EventRow.experiment_id == experiment_id, EventRow.id > after_id)
            .order_by(EventRow.id)
            .limit(limit)
        )
    )


def last_event_id(session: Session, experiment_id: str) -> int:
    """The newest event of an experiment (0: none)."""
    return session.scalar(select(func.max(EventRow.id)).where(EventRow.experiment_id == experiment_id)) or 0


def events_of_kind(session: Session, experiment_id: str, kind: str) -> list[dict[str, Any]]:
    """What all events of one kind tell, oldest first."""
    of_kind = (EventRow.experiment_id == experiment_id, EventRow.kind == kind)
    return list(session.scalars(select(EventRow.payload).where(*of_kind).order_by(EventRow.id)))
