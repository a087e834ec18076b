"""Leftovers of dead drivers go, those of living ones stay; rows go that are kept elsewhere, and no others."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from orchestrator.service.janitor import forget_passing_rows, remove_leftovers
from orchestrator.service.observation import Found, look
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt
from orchestrator.store.tables import EventRow, ExperimentRow, MetricRow, TrackingRow, TrialRow
from orchestrator.tracking.outbox import Outbox
from tests.api import playing
from tests.orchestrator.small_experiments import settings_in, submit
from trainers.storage_token import TOKENS


def leave(path: Path, *, age_seconds: float = 7200.0) -> Path:
    """A file, or (of Ray's) a folder, of a driver."""
    if path.parent.name == "ray":
        (path / "tune").mkdir(parents=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    then = time.time() - age_seconds
    os.utime(path, (then, then))
    return path


def test_leftovers_of_dead_drivers_go_of_this_database_alone(
    database: Database, small_spec: ExperimentSpec, tmp_path: Path
) -> None:
    living, ended = (submit(database, settings_in(tmp_path), small_spec) for _ in range(2))
    with database.write() as session:
        number = begin_attempt(session, living, None)
    ray, storage = tmp_path / "ray", tmp_path / "trials"
    foreign = "0zzzzzzzzz"
    kept = [
        leave(ray / f"{living}-a{number}-search"),
        leave(ray / f"{foreign}-a1-search"),
        leave(ray / "mine"),
        leave(storage / TOKENS / living),
        leave(storage / TOKENS / foreign),
        leave(ray / f"{ended}-a2-search", age_seconds=60),
    ]
    dead = [
        leave(ray / f"{living}-a{number + 1}-search"),
        leave(ray / f"{ended}-a1-confirm"),
        leave(storage / TOKENS / ended),
        leave(storage / TOKENS / f".{ended}.0a1b2c3d.tmp"),
    ]
    assert remove_leftovers(database, tmp_path, storage) == len(dead)
    assert [path.exists() for path in kept] == [True] * len(kept)
    assert [path.exists() for path in dead] == [False] * len(dead)
    assert remove_leftovers(database, tmp_path / "new", tmp_path / "nowhere") == 0


def test_what_begins_while_the_janitor_looks_stays(
    database: Database, small_spec: ExperimentSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = submit(database, settings_in(tmp_path), small_spec)
    tokens = tmp_path / "trials" / TOKENS

    def look_and_begin(of: Database) -> list[Found]:
        seen = look(of)
        leave(tokens / begun)
        return seen

    monkeypatch.setattr("orchestrator.service.janitor.look", look_and_begin)
    assert remove_leftovers(database, tmp_path, tmp_path / "trials") == 0
    assert (tokens / begun).exists()


def count(database: Database) -> tuple[int, int, list[str]]:
    with database.read() as session:
        kinds = list(session.scalars(select(EventRow.kind).distinct().order_by(EventRow.kind)))
        numbers = (session.scalar(select(func.count()).select_from(row)) or 0 for row in (MetricRow, EventRow))
        return (*numbers, kinds)


@pytest.fixture
def ended(database: Database, small_spec: ExperimentSpec, tmp_path: Path) -> str:
    """An experiment that has ended 91 days ago."""
    experiment_id = submit(database, settings_in(tmp_path), small_spec)
    playing.play(database, experiment_id)
    with database.write() as session:
        row = session.get_one(ExperimentRow, experiment_id)
        row.ended_at -= timedelta(days=91)
    return experiment_id


def test_values_that_the_trackers_have_go_after_their_time(database: Database, ended: str) -> None:
    num_metrics, _, kinds = count(database)
    assert num_metrics
    assert {"epoch", "trial", "status", "end"} <= set(kinds)
    with database.write() as session:
        assert forget_passing_rows(session, 92) == 0
    # No tracker has anything yet: values stay, what watchers were told of single trials goes.
    with database.write() as session:
        assert forget_passing_rows(session, 90) == 1
    assert count(database)[0] == num_metrics
    assert {"epoch", "trial"}.isdisjoint(count(database)[2])
    assert {"status", "end"} <= set(count(database)[2])
    succeeded = select(TrialRow).where(TrialRow.status == TrialStatus.SUCCEEDED).order_by(TrialRow.id)
    with database.write() as session:
        first, second, *_ = session.scalars(succeeded)
        for trial in (first, second):
            told(session, "mlflow", trial)
        # Its last value is not sent, whatever its run says.
        session.execute(update(TrackingRow).where(TrackingRow.trial_id == second.id).values(shipped_to=1))
    with database.write() as session:
        # Another tracker is on, and has nothing of it.
        assert forget_passing_rows(session, 90, ["mlflow", "tensorboard"]) == 0
    with database.write() as session:
        told(session, "tensorboard", first)
        assert forget_passing_rows(session, 90, ["mlflow", "tensorboard"]) == 1
        assert forget_passing_rows(session, 90, ["mlflow"]) == 0
        left = set(session.scalars(select(MetricRow.trial_id)))
    assert first.id not in left
    assert second.id in left
    assert 0 < count(database)[0] < num_metrics


def told(session: Session, tracker: str, trial: TrialRow) -> None:
    outbox = Outbox(tracker)
    outbox.claim_run(session, trial.experiment_id, trial.id, "a run")
    outbox.mark_shipped(session, trial, outbox.unshipped_metrics(session, trial, 1000))
    assert outbox.close_trial(session, trial)
