"""Claims: which driver trains into a trial's folder. Several experiments may ask for the very same training.

A claim holds as long as its owner's attempt is open. One that is silent is nobody's for those alone who have watched
its silence by their own clock: by the database's, every owner would be silent after a laptop has slept.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, exists, false, literal_column, not_, select
from sqlalchemy.orm import Session

from orchestrator.store.conflicts import insert_or
from orchestrator.store.experiments import fence
from orchestrator.store.tables import ClaimRow, DriverAttemptRow


class Holder(NamedTuple):
    """Who has a claim, as it was seen."""

    experiment_id: str
    attempt: int
    """Of its driver."""
    heard_at: datetime | None
    """Its last sign of life: a mark that changes, no age is told from it."""


def try_claim(
    session: Session, folder: str, experiment_id: str, attempt: int, dead: Holder | None = None
) -> Holder | None:
    """Take a folder that nobody trains into; one statement, so that two can't both win.

    Args:
        session: an open write.
        folder: name of the trial's folder.
        experiment_id: who asks.
        attempt: number of its driver attempt.
        dead: an owner that was watched for so long that it is dead, unless it has been heard of since.

    Returns:
        Who has it (`None`: the claim is ours).

    Raises:
        StaleAttemptError: the attempt has ended or been replaced.
    """
    fence(session, experiment_id, attempt)
    # By name: the row that is in the way is no table of the subquery.
    owner_is_open = exists().where(
        DriverAttemptRow.experiment_id == literal_column("claims.experiment_id"),
        DriverAttemptRow.number == literal_column("claims.attempt"),
        DriverAttemptRow.ended_at.is_(None),
    )
    insert = insert_or(session, ClaimRow, [{"folder": folder, "experiment_id": experiment_id, "attempt": attempt}])
    # Another attempt of one's own experiment is dead: the fence has let this one pass.
    taken = session.scalar(
        insert.on_conflict_do_update(
            index_elements=[ClaimRow.folder],
            set_={"experiment_id": insert.excluded.experiment_id, "attempt": insert.excluded.attempt},
            where=(ClaimRow.experiment_id == insert.excluded.experiment_id) | not_(owner_is_open) | _is_as_seen(dead),
        ).returning(ClaimRow.folder)
    )
    if taken is not None:
        return None
    of_owner = (DriverAttemptRow.experiment_id == ClaimRow.experiment_id) & (
        DriverAttemptRow.number == ClaimRow.attempt
    )
    found = session.execute(
        select(ClaimRow.experiment_id, ClaimRow.attempt, DriverAttemptRow.heartbeat_at)
        .join(DriverAttemptRow, of_owner)
        .where(ClaimRow.folder == folder)
    ).one()
    return Holder(*found)


def _is_as_seen(dead: Holder | None) -> ColumnElement[bool]:
    if dead is None:
        return false()
    return exists().where(
        literal_column("claims.experiment_id") == dead.experiment_id,
        literal_column("claims.attempt") == dead.attempt,
        DriverAttemptRow.experiment_id == dead.experiment_id,
        DriverAttemptRow.number == dead.attempt,
        DriverAttemptRow.heartbeat_at.is_not_distinct_from(dead.heard_at),
    )


def release_claim(session: Session, folder: str, experiment_id: str, attempt: int) -> None:
    """Nobody trains there any more; nothing happens if the claim is somebody else's."""
    session.execute(
        delete(ClaimRow).where(
            ClaimRow.folder == folder, ClaimRow.experiment_id == experiment_id, ClaimRow.attempt == attempt
        )
    )
