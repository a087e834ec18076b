"""One trial by Ray: two workers give the numbers of one, and a failed start gives everything back."""

import pytest
import ray
from numpy.testing import assert_allclose
from ray.util import placement_group_table

from orchestrator.driving.driver import run_experiment
from orchestrator.service.experiments import Experiments
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import open_database
from orchestrator.store.telemetry import metrics_of
from orchestrator.store.trials import succeed_trial
from tests.orchestrator.small_experiments import (
    NUM_CPUS,
    begin,
    ray_cluster,  # noqa: F401
    rows_of,
    settings_in,
    spec_of,
    submit,
    wait_until,
)
from trainers.config import TrialConfig
from trainers.errors import NonFiniteLossError
from trainers.ray_worker import train_with_ray
from trainers.runtime import Runtime
from trainers.training.trial import train

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("ray_cluster"),
    # Ray Train copies Ray Data's context, field by field, the deprecated ones, too.
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray.data.context"),
    pytest.mark.filterwarnings("ignore:`.*` is deprecated:DeprecationWarning"),
]

TOLERANCE = 2e-5
"""Gradients are summed in another order; see tests/trainers/test_distributed.py."""
CLOCK = ("images_per_second", "data_wait_fraction")


def free_cpus() -> float:
    return ray.available_resources().get("CPU", 0.0)


def all_is_given_back() -> bool:
    groups = placement_group_table().values()
    return free_cpus() == NUM_CPUS and all(group["state"] == "REMOVED" for group in groups)


def test_an_experiment_on_two_workers_of_16_equals_one_worker_of_32(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    settings = settings_in(tmp_path)
    spec = spec_of(optimization={"epochs": 3, "global_batch_size": 32}, seeds=[0], resources={"num_workers": 2})
    experiment_id = submit(database, settings, spec)
    attempt = begin(database, experiment_id)
    alone = {
        row.arm: train(TrialConfig.model_validate_json(row.config), Runtime(device="cpu", num_threads=1))
        for row in rows_of(database, experiment_id)
    }
    # The control is done: its pair waits for the treatment alone.
    control, gaussian = rows_of(database, experiment_id)
    with database.write() as session:
        succeed_trial(session, control.id, alone["control"], attempt)

    assert run_experiment(database, settings, experiment_id, attempt) == ExperimentStatus.SUCCEEDED
    together = rows_of(database, experiment_id)[1]
    assert_metrics_close(together.final_metrics, alone["gaussian"].metrics)
    assert '"num_workers":"2"' in together.result
    with database.read() as session:
        assert [step for step, _ in metrics_of(session, gaussian.id)["train/loss"]] == [0, 1, 2]
    log = Experiments(database, settings).trial_log(experiment_id, gaussian.id)
    told, rank_0, rank_1 = log.split("\n---- log.rank")
    assert "epoch 3/3  train loss" in told
    assert rank_0.startswith("0.txt ----\n== ")
    assert rank_1.startswith("1.txt ----\n== ")
    wait_until(all_is_given_back, seconds=30)
    database.close()


def assert_metrics_close(found: dict[str, float], expected: dict[str, float]) -> None:
    names = [name for name in expected if name not in CLOCK]
    assert_allclose([found[name] for name in names], [expected[name] for name in names], atol=TOLERANCE)


def train_on_two(config, folder):
    return train_with_ray(
        config,
        Runtime(device="cpu", num_threads=1, storage=folder / "trial"),
        num_workers=2,
        cpus_per_worker=1,
        gpus_per_worker=0,
        accelerator_type=None,
        run_name="it",
        storage_path=folder,
        report=lambda report: None,
    )


def config_of(**optimization) -> TrialConfig:
    spec = spec_of()
    return TrialConfig.model_validate(
        {"model": spec.models[0], "dataset": spec.datasets[0], "optimization": {"epochs": 1} | optimization}
    )


def test_why_a_trial_cannot_be_trained_arrives_as_it_was_raised(tmp_path):
    wild = {"optimizer": {"kind": "sgd", "lr": 100.0}, "schedule": {"kind": "constant"}, "global_batch_size": 20}
    with pytest.raises(NonFiniteLossError, match="step"):
        train_on_two(config_of(epochs=2, **wild), tmp_path)
    wait_until(all_is_given_back, seconds=30)


def test_workers_whose_process_group_fails_give_their_places_back(tmp_path, monkeypatch):
    # Workers inherit nothing from this process; the runtime environment of the trial is where a cluster's admin errs.
    from ray.train import RunConfig

    import trainers.ray_worker

    def misconfigured(**arguments):
        return RunConfig(**arguments, worker_runtime_env={"env_vars": {"GLOO_SOCKET_IFNAME": "no-such-interface"}})

    monkeypatch.setattr(trainers.ray_worker, "RunConfig", misconfigured)
    with pytest.raises(Exception, match=r"no-such-interface|Unable to find address"):
        train_on_two(config_of(global_batch_size=20), tmp_path)
    wait_until(all_is_given_back, seconds=30)
