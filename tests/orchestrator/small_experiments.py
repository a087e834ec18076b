"""Run drivers against a real, private Ray: in this process, or as a process that can be killed."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.driving.driver import run_experiment
from orchestrator.driving.ray_environment import prepare_ray_environment
from orchestrator.planning.expansion import Expansion
from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from orchestrator.status import AttemptEnd, ExperimentStatus, Phase
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt, end_attempt, get_experiment, insert_experiment, move
from orchestrator.store.tables import ExperimentRow, TrialRow
from orchestrator.store.trials import plan_trials, start_trial, succeed_trial, trials_of
from tests.preloaded.ray_workers import preloaded_workers
from trainers.result import EpochReport, TrialResult

NUM_CPUS = 2

TINY = {
    "name": "tiny",
    "models": [{"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1, "image_size_px": 16}],
    "datasets": [{"kind": "digits", "num_train": 100, "num_val": 50, "num_test": 50}],
    "optimization": {"epochs": 2, "global_batch_size": 20},
    "arms": [
        {"name": "control", "role": "control"},
        {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}},
    ],
    "seeds": [0, 1],
}
"""Four trials of well under a second each."""


_cluster: list[Cluster] = []
"""The one of this test session, once there is one."""


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """Address of a Ray cluster of this test session alone, with this process as its driver.

    Every module that imports this fixture has one of its own, to pytest; the first one makes the cluster.
    """
    if _cluster:
        yield _cluster[0].address
        return
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # short: a socket's path has at most 107 bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        # Nobody else on this machine is to find it.
        patch.setattr("ray._private.utils.write_ray_address", lambda *_: None)
        before = dict(os.environ)
        prepare_ray_environment()
        with preloaded_workers():
            _cluster.append(_started(folder))
            yield _cluster[0].address
            ray.shutdown()
            _cluster.pop().shutdown()
        for name in os.environ.keys() - before.keys():
            del os.environ[name]


def _started(folder: Path) -> Cluster:
    """Ray gives its own processes 15 and 30 s, which a full machine exceeds (ray-project/ray#65983)."""
    head = {
        "num_cpus": NUM_CPUS,
        "temp_dir": str(folder),
        "include_dashboard": False,
        # Any: the default may be taken.
        "dashboard_port": None,
        "include_log_monitor": False,
    }
    for is_last in (False, False, True):
        try:
            cluster = Cluster(initialize_head=True, head_node_args=head)
            ray.init(address=cluster.address, log_to_driver=False)
        except Exception:
            ray.shutdown()
            if is_last:
                raise
        else:
            return cluster
    raise AssertionError


@contextmanager
def added_node(num_cpus: int, variables: Mapping[str, str] | None = None) -> Iterator[str]:
    """Id of another node of the cluster, whose processes have these variables too; it goes at the end."""
    (cluster,) = _cluster
    node = cluster.add_node(num_cpus=num_cpus, env_vars=dict(variables or {}))
    try:
        yield node.node_id
    finally:
        cluster.remove_node(node)
        # It holds a socket that Ray does not close.
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            del node
            gc.collect()


@contextmanager
def full_head() -> Iterator[Callable[[], None]]:
    """The node that every cluster has takes no trial, until what this gives is called."""

    @ray.remote(num_cpus=NUM_CPUS)
    class Holder:
        def hold(self) -> None:
            pass

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    holder = Holder.options(scheduling_strategy=here).remote()
    ray.get(holder.hold.remote())
    try:
        yield lambda: ray.kill(holder)
    finally:
        ray.kill(holder)


def spec_of(**changes: object) -> ExperimentSpec:
    """The tiny spec with changes."""
    return parse_spec({**TINY, **changes})


def settings_in(folder: Path, **changes: object) -> Settings:
    """Settings whose state lies in this folder."""
    return Settings(home=folder / "home", data_root=folder, mlflow_tracking_uri=None, **changes)


def submit(database: Database, settings: Settings, spec: ExperimentSpec) -> str:
    """What the service does with a spec."""
    expansion = Expansion(spec, data_root=settings.effective_data_root)
    with database.write() as session:
        row = insert_experiment(session, spec, expansion.digest, expansion.data_found)
        plan_trials(session, row.id, expansion.confirm_trials({}, expansion.first_reach))
    return row.id


def begin(database: Database, experiment_id: str) -> int:
    """What the reconciler does before it starts a driver, after it has found the last one dead."""
    with database.write() as session:
        row = get_experiment(session, experiment_id)
        if row.attempt:
            end_attempt(session, experiment_id, row.attempt, AttemptEnd.CRASHED)
            move(session, experiment_id, ExperimentStatus.QUEUED)
        attempt = begin_attempt(session, experiment_id, None)
        move(session, experiment_id, ExperimentStatus.STARTING)
    return attempt


def run(database: Database, settings: Settings, spec: ExperimentSpec, lines: list[str] | None = None) -> str:
    """Run an experiment to its end, in this process; gives its id."""
    experiment_id = submit(database, settings, spec)
    say = None if lines is None else lines.append
    run_experiment(database, settings, experiment_id, begin(database, experiment_id), on_progress=say)
    return experiment_id


def finish_all(database: Database, settings: Settings, spec: ExperimentSpec, top1: Callable[[str, int], float]) -> None:
    """Finish every training of a spec with a planted accuracy of its arm and seed: it stands in for the real one."""
    experiment_id = submit(database, settings, spec)
    attempt = begin(database, experiment_id)
    with database.write() as session:
        move(session, experiment_id, ExperimentStatus.RUNNING, attempt=attempt)
        for row in trials_of(session, experiment_id):
            value = top1(row.arm, row.seed)
            metrics = {"train/loss": 2.0, "val/top1": value, "val/top5": 0.9, "val/loss": 2.0}
            result = TrialResult(
                epochs=(EpochReport(epoch=0, metrics=metrics, seconds=0.1),),
                best_epoch=0,
                metrics={"test/top1": value, "best_val/top1": value},
                predictions_file=None,
                training_seconds=0.1,
                provenance={"device": "cpu", "num_workers": "1"},
            )
            start_trial(session, row.id, attempt)
            succeed_trial(session, row.id, result, attempt)
        move(session, experiment_id, ExperimentStatus.SUCCEEDED, attempt=attempt)


def rows_of(database: Database, experiment_id: str, phase: Phase | None = None) -> list[TrialRow]:
    with database.read() as session:
        return trials_of(session, experiment_id, phase)


def experiment_of(database: Database, experiment_id: str) -> ExperimentRow:
    with database.read() as session:
        return get_experiment(session, experiment_id)


def metrics_by_trial(database: Database, experiment_id: str) -> dict[tuple[str, str, int], dict[str, float]]:
    """What may not depend on how a trial ran: final metrics without the clock's."""
    return {
        (row.cell, row.arm, row.seed): {
            name: value
            for name, value in row.final_metrics.items()
            if name not in ("images_per_second", "data_wait_fraction")
        }
        for row in rows_of(database, experiment_id, Phase.CONFIRM)
    }


def start(arguments: list[str], settings: Settings, address: str) -> subprocess.Popen[str]:
    """`python -m orchestrator` in a process of its own."""
    environment = {**os.environ, **settings.driver_environment(), "RAY_ADDRESS": address}
    command = [sys.executable, "-m", "orchestrator", *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def start_driver(settings: Settings, experiment_id: str, attempt: int, address: str) -> subprocess.Popen[str]:
    """A driver in a process of its own."""
    return start(["drive", experiment_id, "--attempt", str(attempt)], settings, address)


def wait_until(
    condition: Callable[[], bool], driver: subprocess.Popen[str] | None = None, seconds: float = 240
) -> None:
    """Wait until something holds; fails if the driver ends first."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert driver is None or driver.poll() is None, f"the driver has ended:\n{driver.stdout.read()}"
        assert time.monotonic() < deadline, "it did not happen"
        pause.wait(0.05)


def kill(driver: subprocess.Popen[str], signal_number: int = signal.SIGKILL) -> str:
    """End a driver; gives what it wrote."""
    driver.send_signal(signal_number)
    output, _ = driver.communicate(timeout=120)
    return output
