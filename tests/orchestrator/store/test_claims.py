"""Claims on folders: one owner, for as long as it lives."""

import threading

import pytest
from sqlalchemy import update

from orchestrator.errors import StaleAttemptError
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import AttemptEnd
from orchestrator.store.claims import Holder, release_claim, try_claim
from orchestrator.store.clock import DatabaseNow
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt, end_attempt, heartbeat, insert_experiment
from orchestrator.store.tables import DriverAttemptRow


@pytest.fixture
def owners(database: Database, small_spec: ExperimentSpec) -> list[str]:
    """Experiments whose drivers live."""
    with database.write() as session:
        ids = [insert_experiment(session, small_spec, "digest").id for _ in range(4)]
        for experiment_id in ids:
            begin_attempt(session, experiment_id, None)
            heartbeat(session, experiment_id, 1)
    return ids


def claim(database: Database, experiment_id: str, attempt: int = 1, folder: str = "trial") -> str | None:
    holder = holder_met(database, experiment_id, attempt, folder)
    return None if holder is None else holder.experiment_id


def holder_met(
    database: Database, experiment_id: str, attempt: int = 1, folder: str = "trial", dead: Holder | None = None
) -> Holder | None:
    with database.write() as session:
        return try_claim(session, folder, experiment_id, attempt, dead)


def test_a_folder_has_one_owner(database: Database, owners: list[str]) -> None:
    ann, bob, *_ = owners
    assert claim(database, ann) is None
    assert claim(database, ann) is None
    assert claim(database, bob) == ann
    assert claim(database, bob, folder="another") is None


def test_a_released_folder_is_free(database: Database, owners: list[str]) -> None:
    ann, bob, *_ = owners
    claim(database, ann)
    with database.write() as session:
        release_claim(session, "trial", bob, 1)
    assert claim(database, bob) == ann
    with database.write() as session:
        release_claim(session, "trial", ann, 1)
    assert claim(database, bob) is None


def test_the_claim_of_an_attempt_that_ended_is_nobodys(database: Database, owners: list[str]) -> None:
    ann, bob, *_ = owners
    claim(database, ann)
    with database.write() as session:
        end_attempt(session, ann, 1, AttemptEnd.CRASHED)
    assert claim(database, bob) is None
    # Its next attempt begins without it.
    with database.write() as session:
        begin_attempt(session, ann, None)
    assert claim(database, ann, 2) == bob


def test_the_claim_of_a_driver_that_was_watched_and_stayed_silent_is_nobodys(
    database: Database, owners: list[str]
) -> None:
    ann, bob, carl, _ = owners
    claim(database, ann)
    seen = holder_met(database, bob)
    with database.write() as session:
        old = update(DriverAttemptRow).where(DriverAttemptRow.experiment_id == ann)
        session.execute(old.values(heartbeat_at=DatabaseNow(-86_400.0)))
    # However old it is by the database's clock, which may have jumped; and heard of since it was seen.
    assert holder_met(database, bob, dead=seen) is not None
    silent = holder_met(database, bob)
    assert holder_met(database, carl, folder="another", dead=silent) is None
    assert holder_met(database, bob, dead=silent) is None
    assert claim(database, carl) == bob


def test_the_next_attempt_takes_over_what_its_own_experiment_had(database: Database, owners: list[str]) -> None:
    ann = owners[0]
    claim(database, ann)
    with database.write() as session:
        end_attempt(session, ann, 1, AttemptEnd.TERMINATED)
        begin_attempt(session, ann, None)
    assert claim(database, ann, 2) is None
    with pytest.raises(StaleAttemptError):
        claim(database, ann, 1)


def test_of_many_only_one_wins(database: Database, owners: list[str]) -> None:
    barrier = threading.Barrier(len(owners))
    told: dict[str, str | None] = {}

    def race(experiment_id: str) -> None:
        barrier.wait()
        told[experiment_id] = claim(database, experiment_id)

    threads = [threading.Thread(target=race, args=(one,)) for one in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = (one for one, holder in told.items() if holder is None)
    assert {holder for one, holder in told.items() if one != winner} == {winner}
