"""Events: appended in an order that a watcher can replay without a gap."""

import threading

import pytest

from orchestrator.errors import ExperimentNotFoundError
from orchestrator.store.database import Database
from orchestrator.store.events import append_event, events_after


def test_events_come_back_in_order_after_an_id(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        ids = [append_event(session, experiment_id, "trial", {"number": number}) for number in range(5)]
    with database.read() as session:
        after_second = events_after(session, experiment_id, ids[1], limit=2)
    assert [(event.id, event.payload) for event in after_second] == [(ids[2], {"number": 2}), (ids[3], {"number": 3})]


def test_an_event_of_nobody_is_refused(database: Database) -> None:
    with pytest.raises(ExperimentNotFoundError, match="'nobody'"), database.write() as session:
        append_event(session, "nobody", "trial", {})


def test_a_watcher_never_misses_an_event_that_commits_late(database: Database, experiment_id: str) -> None:
    """Without the lock on the experiment, PostgreSQL shows event n+1 before event n: a watcher would skip n."""
    slow_has_written, fast_may_be_seen = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with database.write() as session:
            append_event(session, experiment_id, "trial", {"who": "slow"})
            slow_has_written.set()
            fast_may_be_seen.wait(0.5)

    def write_fast() -> None:
        slow_has_written.wait()
        with database.write() as session:
            append_event(session, experiment_id, "trial", {"who": "fast"})
        fast_may_be_seen.set()

    threads = [threading.Thread(target=write_slowly), threading.Thread(target=write_fast)]
    for thread in threads:
        thread.start()
    seen, after = [], 0
    while len(seen) < 3:
        with database.read() as session:
            for event in events_after(session, experiment_id, after):
                seen.append(event.payload.get("who", "status"))
                after = event.id
    for thread in threads:
        thread.join()
    assert seen == ["status", "slow", "fast"]
