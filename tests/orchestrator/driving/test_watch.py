"""Heartbeat, cancel and fence, on real rows (and without Ray)."""

import pytest

from orchestrator.driving.watch import StopReason, Watch
from orchestrator.errors import StaleAttemptError
from orchestrator.store.database import Database
from orchestrator.store.experiments import newest_attempt, request_cancel
from tests.orchestrator.small_experiments import begin, settings_in, spec_of, submit, wait_until


@pytest.fixture
def experiment_id(database, tmp_path):
    return submit(database, settings_in(tmp_path), spec_of())


def watch_of(database, experiment_id, attempt):
    return Watch(database, experiment_id, attempt, heartbeat_seconds=0.1)


def heard_at(database: Database, experiment_id: str):
    with database.read() as session:
        return newest_attempt(session, experiment_id).heartbeat_at


def test_it_says_that_the_driver_lives(database, experiment_id):
    attempt = begin(database, experiment_id)
    assert heard_at(database, experiment_id) is None
    with watch_of(database, experiment_id, attempt) as watch:
        first = heard_at(database, experiment_id)
        assert first is not None
        wait_until(lambda: heard_at(database, experiment_id) > first, seconds=20)
    assert watch.reason is None


def test_it_hears_of_a_cancel(database, experiment_id):
    with watch_of(database, experiment_id, begin(database, experiment_id)) as watch:
        with database.write() as session:
            request_cancel(session, experiment_id)
        wait_until(lambda: watch.reason is StopReason.CANCELLED, seconds=20)


def test_it_hears_that_it_has_been_replaced(database, experiment_id):
    with watch_of(database, experiment_id, begin(database, experiment_id)) as watch:
        begin(database, experiment_id)
        wait_until(lambda: watch.reason is StopReason.STALE, seconds=20)


def test_a_replaced_attempt_does_not_even_begin(database, experiment_id):
    old = begin(database, experiment_id)
    begin(database, experiment_id)
    with pytest.raises(StaleAttemptError), watch_of(database, experiment_id, old):
        pytest.fail("it began")


def test_what_forbids_writing_outweighs_other_reasons(database, experiment_id):
    watch = watch_of(database, experiment_id, begin(database, experiment_id))
    watch.stop(StopReason.TERMINATED)
    watch.stop(StopReason.CANCELLED)
    assert watch.reason is StopReason.TERMINATED
    watch.stop(StopReason.STALE)
    assert watch.reason is StopReason.STALE
