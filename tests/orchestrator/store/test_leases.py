"""Leases: one holder at a time, a token that only grows."""

import threading

from sqlalchemy import update

from orchestrator.store.clock import DatabaseNow
from orchestrator.store.database import Database
from orchestrator.store.leases import holder_of, release, try_acquire
from orchestrator.store.tables import LeaseRow


def take(database: Database, holder: str, seconds: float = 60.0) -> int | None:
    with database.write() as session:
        return try_acquire(session, "job", holder, seconds)


def let_it_expire(database: Database) -> None:
    with database.write() as session:
        session.execute(update(LeaseRow).values(expires_at=DatabaseNow(-0.001)))


def test_a_lease_has_one_holder_who_may_renew(database: Database) -> None:
    assert take(database, "ann") == 1
    assert take(database, "bob") is None
    assert take(database, "ann") == 1


def test_leases_of_other_names_are_free(database: Database) -> None:
    take(database, "ann")
    with database.write() as session:
        assert try_acquire(session, "another job", "bob", 60.0) == 1


def test_a_lease_that_has_run_out_changes_hands_with_a_new_token(database: Database) -> None:
    take(database, "ann")
    let_it_expire(database)
    assert take(database, "bob") == 2
    assert take(database, "ann") is None


def test_a_lease_from_a_clock_that_was_set_back_holds_nobody_off(database: Database) -> None:
    take(database, "ann")
    with database.write() as session:
        session.execute(update(LeaseRow).values(expires_at=DatabaseNow(3600.0)))
    with database.read() as session:
        assert not holder_of(session, "job", 60.0).is_current
    assert take(database, "bob") == 2
    # By half a second: that is how clocks are corrected.
    with database.write() as session:
        session.execute(update(LeaseRow).values(expires_at=DatabaseNow(60.5)))
    assert take(database, "ann") is None


def test_who_holds_a_lease(database: Database) -> None:
    with database.read() as session:
        assert holder_of(session, "job", 60.0) is None
    take(database, "ann")
    with database.read() as session:
        name, is_current, left = holder_of(session, "job", 60.0)
    assert (name, is_current) == ("ann", True)
    assert 50.0 < left <= 60.0
    let_it_expire(database)
    with database.read() as session:
        name, is_current, left = holder_of(session, "job", 60.0)
    assert (name, is_current) == ("ann", False)
    assert left < 0


def test_a_released_lease_is_free_and_keeps_its_count(database: Database) -> None:
    take(database, "ann")
    with database.write() as session:
        release(session, "job", "bob")
    assert take(database, "bob") is None
    with database.write() as session:
        release(session, "job", "ann")
    assert take(database, "bob") == 2


def test_of_many_only_one_wins(database: Database) -> None:
    barrier = threading.Barrier(8)
    tokens: list[int | None] = []

    def race(holder: str) -> None:
        barrier.wait()
        tokens.append(take(database, holder))

    threads = [threading.Thread(target=race, args=(f"holder {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(token for token in tokens if token is not None) == [1]
