"""A node that will go: its trials save their state, and go on from there on another one (two real nodes)."""

import threading
import time
from pathlib import Path

import pytest
from ray._private.worker import global_worker
from ray.core.generated import autoscaler_pb2

from orchestrator.driving.driver import run_experiment
from orchestrator.store.database import open_database
from tests.orchestrator.small_experiments import (
    TINY,
    added_node,
    begin,
    experiment_of,
    full_head,
    ray_cluster,
    rows_of,
    settings_in,
    spec_of,
    submit,
    wait_until,
)

__all__ = ["ray_cluster"]

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]


def test_a_trial_of_a_node_that_will_go_is_saved_and_goes_on_elsewhere(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    database = open_database(settings.effective_database_url)
    spec = spec_of(
        arms=[{"name": "control", "role": "control"}, TINY["arms"][1]],
        seeds=[0],
        optimization={"epochs": 150, "global_batch_size": 20},
        resources={"max_concurrent_trials": 1},
    )
    experiment_id = submit(database, settings, spec)
    lines: list[str] = []
    has_drained = threading.Event()
    # Else Ray might begin on the node that stays.
    with full_head() as make_room, added_node(1) as leaving:

        def drain() -> None:
            wait_until(lambda: any("epoch 2/" in log.read_text() for log in tmp_path.rglob("log*.txt")))
            # What `ray start` does when it gets SIGTERM, but for the end.
            is_accepted, why = global_worker.gcs_client.drain_node(
                leaving,
                autoscaler_pb2.DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION,
                "will go",
                int(1000 * (time.time() + 600)),
            )
            assert is_accepted, why
            make_room()
            has_drained.set()

        drainer = threading.Thread(target=drain)
        drainer.start()
        run_experiment(database, settings, experiment_id, begin(database, experiment_id), on_progress=lines.append)
        drainer.join()
    assert has_drained.is_set()
    row = experiment_of(database, experiment_id)
    trials = rows_of(database, experiment_id)
    database.close()
    assert (row.status, row.reason) == ("succeeded", ""), lines
    assert [trial.status for trial in trials] == ["succeeded"] * 2
    assert sorted(trial.attempt for trial in trials) == [1, 2]
    logs = "".join(log.read_text() for log in tmp_path.rglob("log*.txt"))
    # By time a state is saved after five minutes only.
    assert logs.count("resumed in epoch") + logs.count("resumed after epoch") == 1, logs
