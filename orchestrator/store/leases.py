"""Leases: jobs that only one process does at a time (reconciler, shipper), by the database's clock."""

from sqlalchemy import case, or_, update
from sqlalchemy.orm import Session

from orchestrator.store.clock import DatabaseNow
from orchestrator.store.conflicts import insert_or
from orchestrator.store.tables import LeaseRow


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
        where=or_(LeaseRow.holder == insert.excluded.holder, LeaseRow.expires_at <= DatabaseNow()),
    ).returning(LeaseRow.token)
    return session.scalar(statement)


def release(session: Session, name: str, holder: str) -> None:
    """Give the lease back early; nothing happens if it is somebody else's.

    The row stays as expired, so that the token keeps growing.
    """
    session.execute(
        update(LeaseRow).where(LeaseRow.name == name, LeaseRow.holder == holder).values(expires_at=DatabaseNow(-1.0))
    )
