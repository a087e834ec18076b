"""Claims: which driver trains into a trial's folder. Several experiments may ask for the very same training.

A claim holds as long as its owner lives: the attempt is open, and was heard of lately by the database's clock. So it
needs no renewal of its own, and one that a killed driver left is nobody's.
"""

from sqlalchemy import delete, exists, literal_column, not_, select
from sqlalchemy.orm import Session

from orchestrator.store.clock import DatabaseNow
from orchestrator.store.conflicts import insert_or
from orchestrator.store.experiments import fence
from orchestrator.store.tables import ClaimRow, DriverAttemptRow


def try_claim(session: Session, folder: str, experiment_id: str, attempt: int, silence_seconds: float) -> str | None:
    """Take a folder that nobody trains into; one statement, so that two can't both win.

    Args:
        session: an open write.
        folder: name of the trial's folder.
        experiment_id: who asks.
        attempt: number of its driver attempt.
        silence_seconds: an owner that was not heard of for longer is dead.

    Returns:
        Id of the experiment that has it (`None`: the claim is ours).

    Raises:
        StaleAttemptError: the attempt has ended or been replaced.
    """
    fence(session, experiment_id, attempt)
    # By name: the row that is in the way is no table of the subquery.
    owner_lives = exists().where(
        DriverAttemptRow.experiment_id == literal_column("claims.experiment_id"),
        DriverAttemptRow.number == literal_column("claims.attempt"),
        DriverAttemptRow.ended_at.is_(None),
        DriverAttemptRow.heartbeat_at > DatabaseNow(-silence_seconds),
    )
    insert = insert_or(session, ClaimRow, [{"folder": folder, "experiment_id": experiment_id, "attempt": attempt}])
    # Another attempt of one's own experiment is dead: the fence has let this one pass.
    taken = session.scalar(
        insert.on_conflict_do_update(
            index_elements=[ClaimRow.folder],
            set_={"experiment_id": insert.excluded.experiment_id, "attempt": insert.excluded.attempt},
            where=(ClaimRow.experiment_id == insert.excluded.experiment_id) | not_(owner_lives),
        ).returning(ClaimRow.folder)
    )
    if taken is not None:
        return None
    return session.scalar(select(ClaimRow.experiment_id).where(ClaimRow.folder == folder))


def release_claim(session: Session, folder: str, experiment_id: str, attempt: int) -> None:
    """Nobody trains there any more; nothing happens if the claim is somebody else's."""
    session.execute(
        delete(ClaimRow).where(
            ClaimRow.folder == folder, ClaimRow.experiment_id == experiment_id, ClaimRow.attempt == attempt
        )
    )
