"""A node that will go: its trials save their state, and go on from there on another one (two real nodes)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store.database import open_database
from orchestrator.store.experiments import get_experiment
from tests.orchestrator.small_experiments import TINY, rows_of, settings_in, spec_of, submit

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

DRIVE = """
import os, sys, threading, time
from pathlib import Path

from orchestrator.driving.ray_environment import prepare_ray_environment

prepare_ray_environment()

import ray
from ray._private.worker import global_worker
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.driving.driver import run_experiment
from orchestrator.store.database import open_database
from tests.orchestrator.small_experiments import begin, settings_in

folder, experiment_id, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[4])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
leaving = cluster.add_node(num_cpus=workers)
staying = cluster.add_node(num_cpus=workers)
ray.init(address=cluster.address, log_to_driver=False)

@ray.remote
class Holder:
    def hold(self):
        pass

# Else Ray might begin on the node that stays.
there = NodeAffinitySchedulingStrategy(staying.node_id, soft=False)
holder = Holder.options(num_cpus=workers, scheduling_strategy=there).remote()
ray.get(holder.hold.remote())
has_drained = threading.Event()

def drain():
    while not any("epoch 2/" in log.read_text() for log in folder.rglob("log*.txt")):
        time.sleep(0.1)
    # What `ray start` does when it gets SIGTERM, but for the end.
    is_accepted, why = global_worker.gcs_client.drain_node(
        leaving.node_id,
        autoscaler_pb2.DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION,
        "will go",
        int(1000 * (time.time() + 600)),
    )
    assert is_accepted, why
    ray.kill(holder)
    has_drained.set()

threading.Thread(target=drain, daemon=True).start()
database, settings = open_database(sys.argv[3]), settings_in(folder)
run_experiment(database, settings, experiment_id, begin(database, experiment_id), on_progress=print)
assert has_drained.is_set()
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.parametrize("num_workers", [1])
def test_a_trial_of_a_node_that_will_go_is_saved_and_goes_on_elsewhere(tmp_path: Path, num_workers: int) -> None:
    settings = settings_in(tmp_path)
    database = open_database(settings.effective_database_url)
    arms = [{"name": "control", "role": "control"}, TINY["arms"][1]]
    spec = spec_of(
        arms=arms,
        seeds=[0],
        optimization={"epochs": 150 * num_workers, "global_batch_size": 20},
        resources={"num_workers": num_workers, "max_concurrent_trials": 1},
    )
    experiment_id = submit(database, settings, spec)
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            DRIVE,
            str(tmp_path),
            experiment_id,
            settings.effective_database_url,
            str(num_workers),
        ],
        env=os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_raylet_start_wait_time_s": "600"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    with database.read() as session:
        row = get_experiment(session, experiment_id)
    trials = rows_of(database, experiment_id)
    database.close()
    assert (row.status, row.reason) == ("succeeded", ""), ended.stdout
    assert [trial.status for trial in trials] == ["succeeded"] * 2
    assert sorted(trial.attempt for trial in trials) == [1, 2]
    logs = "".join(log.read_text() for log in tmp_path.rglob("log*.txt"))
    # By time a state is saved after five minutes only.
    assert logs.count("resumed in epoch") + logs.count("resumed after epoch") == num_workers, logs
