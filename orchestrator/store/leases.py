"""Leases: jobs that only one process does at a time (reconciler, shipper), by the database's clock.

A lease further away than its length was written before that clock was set back: it holds nobody off.
"""

from typing import NamedTuple

from sqlalchemy import case, or_, select, update
from sqlalchemy.orm import Session

from orchestrator.store.clock import DatabaseNow, database_now
from orchestrator.store.conflicts import insert_or
from orchestrator.store.tables import LeaseRow

_TOLERANCE_SECONDS = 1.0
"""Clocks are corrected by small steps, too."""


class Holder(NamedTuple):
    """Who has, or last had, a lease."""

    name: str
    is_current: bool
    """Whether it holds now."""
    seconds_left: float
    """Until it ends (negative: it has ended)."""


def try_acquire(session: Session, name: str, holder: str, ttl_seconds: float) -> int | None:
    """Take a lease that is free or has run out, or renew one's own; one statement, so that two can't both win.

    Args:
        session: an open write.
        name: the job.
        holder: who asks; unique among all processes that ever ask.
        ttl_seconds: how long the lease holds unless it is renewed.

    Returns:
        The fence token, which grows with every change of holder (`None`: somebody else has the lease).
    """
    insert = insert_or(
        session, LeaseRow, [{"name": name, "holder": holder, "token": 1, "expires_at": DatabaseNow(ttl_seconds)}]
    )
    statement = insert.on_conflict_do_update(
        index_elements=[LeaseRow.name],
        set_={
            "holder": insert.excluded.holder,
            "token": case((LeaseRow.holder == insert.excluded.holder, LeaseRow.token), else_=LeaseRow.token + 1),
            "expires_at": insert.excluded.expires_at,
        },
        where=or_(
            LeaseRow.holder == insert.excluded.holder,
            LeaseRow.expires_at <= DatabaseNow(),
            LeaseRow.expires_at > DatabaseNow(ttl_seconds + _TOLERANCE_SECONDS),
        ),
    ).returning(LeaseRow.token)
    return session.scalar(statement)


def holder_of(session: Session, name: str, ttl_seconds: float) -> Holder | None:
    """Who has a lease of this length (`None`: nobody ever had it)."""
    row = session.scalar(select(LeaseRow).where(LeaseRow.name == name))
    if row is None:
        return None
    left = (row.expires_at - database_now(session)).total_seconds()
    return Holder(row.holder, 0 < left <= ttl_seconds + _TOLERANCE_SECONDS, left)


def release(session: Session, name: str, holder: str) -> None:
    """Give the lease back early; nothing happens if it is somebody else's.

    The row stays as expired, so that the token keeps growing.
    """
    session.execute(
        update(LeaseRow).where(LeaseRow.name == name, LeaseRow.holder == holder).values(expires_at=DatabaseNow(-1.0))
    )
