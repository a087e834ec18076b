"""Idempotency keys: tied to an experiment in the transaction that makes it, or not there at all."""

import pytest
from sqlalchemy import update

from orchestrator.errors import IdempotencyConflictError
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.store.clock import DatabaseNow
from orchestrator.store.database import Database
from orchestrator.store.experiments import insert_experiment
from orchestrator.store.idempotency import find_replay, forget_old_keys, keep_key
from orchestrator.store.tables import IdempotencyKeyRow


def test_a_key_leads_back_to_its_experiment(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        assert find_replay(session, "key", b"body") is None
        assert keep_key(session, "key", b"body", experiment_id)
    with database.read() as session:
        assert find_replay(session, "key", b"body") == experiment_id
        assert find_replay(session, "other key", b"body") is None
        with pytest.raises(IdempotencyConflictError, match=f"'key' .* another body, for experiment {experiment_id}"):
            find_replay(session, "key", b"other body")


def test_the_second_to_keep_a_key_loses(database: Database, experiment_id: str, small_spec: ExperimentSpec) -> None:
    with database.write() as session:
        keep_key(session, "key", b"body", experiment_id)
    with database.write() as session:
        other = insert_experiment(session, small_spec, "digest").id
        assert not keep_key(session, "key", b"body", other)


def test_a_crash_before_the_commit_leaves_neither(database: Database, small_spec: ExperimentSpec) -> None:
    def crash() -> None:
        with database.write() as session:
            keep_key(session, "key", b"body", insert_experiment(session, small_spec, "digest").id)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        crash()
    with database.read() as session:
        assert find_replay(session, "key", b"body") is None


def test_old_keys_are_forgotten(database: Database, experiment_id: str) -> None:
    with database.write() as session:
        keep_key(session, "old", b"", experiment_id)
        session.execute(update(IdempotencyKeyRow).values(created_at=DatabaseNow(-100.0)))
        keep_key(session, "new", b"", experiment_id)
        forget_old_keys(session, 50.0)
    with database.read() as session:
        assert find_replay(session, "old", b"") is None
        assert find_replay(session, "new", b"") == experiment_id
