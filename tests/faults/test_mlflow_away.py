"""MLflow dies in mid-shipping and comes back: training is not slowed, nothing is lost, nothing is doubled."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import MetricRow, TrackingRow
from orchestrator.store.tracking import groups_of, runs_of
from orchestrator.store.trials import trials_of
from orchestrator.tracking.mlflow.client import open_client
from orchestrator.tracking.mlflow.naming import tracked_key
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.outbox import Outbox
from orchestrator.tracking.shipper import Shipper
from orchestrator.tracking.tracker import TrackerUnavailableError
from tests.orchestrator.mlflow_server import MlflowServer
from tests.orchestrator.synthetic import begin, end, finish, make_record, make_spec, plan, train

pytestmark = pytest.mark.mlflow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    yield database
    database.close()


def num_shipped(store: Database) -> int:
    with store.read() as session:
        has_it = (TrackingRow.trial_id == MetricRow.trial_id) & (TrackingRow.shipped_to >= MetricRow.id)
        return session.scalar(select(func.count()).select_from(MetricRow).join(TrackingRow, has_it)) or 0


def test_nothing_is_lost_or_doubled_when_mlflow_is_killed(server: MlflowServer, store: Database) -> None:
    spec = make_spec(name="killed-in-mid-shipping", seeds=[0, 1, 2])
    experiment_id, attempt = begin(store, spec)
    records = [make_record(arm.name, seed, num_epochs=8) for seed in spec.seeds for arm in spec.arms]
    early, late = records[:6], records[6:]
    for record in early:
        trial_id = plan(store, experiment_id, record)
        train(store, trial_id, record, attempt)
        end(store, trial_id, record, attempt)

    shipper, stop = Shipper(store, MlflowTracker(server.url)), threading.Event()

    def kill_after_the_first_values() -> bool:
        # The shipper asks before every trial whether its time is over.
        if num_shipped(store):
            server.kill()
        return False

    with pytest.raises(TrackerUnavailableError):
        shipper.ship_once(kill_after_the_first_values)
    with store.read() as session:
        assert not Outbox("mlflow").backlog(session).is_empty
    assert num_shipped(store) > 0

    # Trials go on as if nothing had happened, beside a shipper that finds nobody.
    thread = threading.Thread(target=shipper.run, args=(stop,))
    thread.start()
    for record in late:
        trial_id = plan(store, experiment_id, record)
        train(store, trial_id, record, attempt)
        end(store, trial_id, record, attempt)
    finish(store, experiment_id, attempt)
    assert thread.is_alive()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    with pytest.raises(TrackerUnavailableError):
        Shipper(store, MlflowTracker(server.url)).ship_once()

    server.start()
    assert Shipper(store, MlflowTracker(server.url)).drain(120)

    client = open_client(server.url)
    with store.read() as session:
        (group,) = groups_of(session, "mlflow", [experiment_id]).values()
        tracked_runs = runs_of(session, "mlflow", experiment_id)
        trials = trials_of(session, experiment_id)
        rows = session.scalars(select(MetricRow)).all()
    runs = MlflowTracker(server.url).known_runs(group, experiment_id)
    assert len(runs) == len({key for key, _ in runs}) == len(trials) + 1
    for trial in trials:
        run = client.get_run(tracked_runs[trial.id])
        assert run.info.status == "FINISHED"
        stored = {
            (tracked_key(row.key), row.step, row.value, int(row.recorded_at.timestamp() * 1000))
            for row in rows
            if row.trial_id == trial.id
        }
        keys = {point[0] for point in stored}
        tracked = [
            (metric.key, metric.step, metric.value, metric.timestamp)
            for key in keys
            for metric in client.get_metric_history(tracked_runs[trial.id], key)
        ]
        assert len(tracked) == len(stored)
        assert set(tracked) == stored


def test_without_a_server_rows_wait(tmp_path: Path, store: Database) -> None:
    nobody = MlflowServer(tmp_path)
    experiment_id, attempt = begin(store, make_spec(name="nobody-there", seeds=[0]))
    record = make_record("gaussian", 0, num_epochs=3)
    trial_id = plan(store, experiment_id, record)
    train(store, trial_id, record, attempt)
    shipper = Shipper(store, MlflowTracker(nobody.url))
    with pytest.raises(TrackerUnavailableError):
        shipper.ship_once()
    assert not shipper.drain(1.0)
    with store.read() as session:
        assert Outbox("mlflow").backlog(session).metrics == sum(len(report.metrics) for report in record.result.epochs)
