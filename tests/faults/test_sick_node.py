"""A node without the data: its trials are trained elsewhere, it is avoided and named (two real nodes)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store.database import open_database
from orchestrator.store.experiments import get_experiment
from tests.orchestrator.small_experiments import rows_of, settings_in, spec_of, submit

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

STALE = """
import errno, os, sys

def no_data_here(event, arguments):
    if event == "open" and "FILE" in str(arguments[0]):
        raise OSError(errno.NUMBER, os.strerror(errno.NUMBER), str(arguments[0]))

sys.addaudithook(no_data_here)
"""
"""As the mount of a server that is gone, for every process of the node."""

DRIVE = """
import os, sys
from pathlib import Path

from orchestrator.driving.ray_environment import prepare_ray_environment

prepare_ray_environment()

import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.driving.driver import run_experiment
from orchestrator.store.database import open_database
from tests.orchestrator.small_experiments import begin, settings_in

folder, experiment_id = Path(sys.argv[1]), sys.argv[2]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=2, env_vars={"PYTHONPATH": str(folder / "stale")})
ray.init(address=cluster.address, log_to_driver=False)

@ray.remote(num_cpus=1)
class Holder:
    def hold(self):
        pass

head = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
holder = Holder.options(scheduling_strategy=head).remote()
ray.get(holder.hold.remote())

def on_progress(line):
    print(line)
    if "gets no more trials" in line:
        # Not before: or the healthy node might do all of it.
        ray.kill(holder)

database, settings = open_database(sys.argv[3]), settings_in(folder)
run_experiment(database, settings, experiment_id, begin(database, experiment_id), on_progress=on_progress)
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.parametrize(
    ("file", "number", "words"),
    [
        ("digits.csv", "ESTALE", "OSError: [Errno 116] Stale file handle"),
        ("/.experiments/", "ENOENT", "the storage "),
    ],
    ids=["data", "storage"],
)
def test_trials_of_a_node_without_a_mount_are_trained_elsewhere(
    tmp_path: Path, file: str, number: str, words: str
) -> None:
    (tmp_path / "stale").mkdir()
    (tmp_path / "stale" / "sitecustomize.py").write_text(STALE.replace("FILE", file).replace("NUMBER", number))
    settings = settings_in(tmp_path)
    database = open_database(settings.effective_database_url)
    experiment_id = submit(database, settings, spec_of())
    # A cluster of its own: the session's has one node.
    ended = subprocess.run(
        [sys.executable, "-c", DRIVE, str(tmp_path), experiment_id, settings.effective_database_url],
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
    assert [trial.status for trial in trials] == ["succeeded"] * 4
    # Two have to fail there; those that Tune had in hand by then may, once each.
    assert 6 <= sum(trial.attempt for trial in trials) <= 8
    assert max(trial.attempt for trial in trials) == 2
    (told,) = row.avoided_nodes.values()
    assert told.startswith(words), json.dumps(row.avoided_nodes)
