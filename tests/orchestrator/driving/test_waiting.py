"""What an experiment says while nothing of it moves, on a real Ray whose CPUs somebody else holds."""

import threading

import pytest
import ray
from ray.train.v2._internal.constants import WORKER_GROUP_START_TIMEOUT_S_ENV_VAR, get_env_vars_to_propagate
from ray.util import placement_group, placement_group_table, remove_placement_group

from orchestrator.capacity import Capacity, Node
from orchestrator.driving.driver import run_experiment
from orchestrator.driving.waiting import WaitingNote, waits_for
from orchestrator.spec.experiment import Resources
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import open_database
from orchestrator.store.experiments import move
from orchestrator.store.trials import start_trial
from tests.orchestrator.small_experiments import (
    NUM_CPUS,
    begin,
    experiment_of,
    ray_cluster,  # noqa: F401
    rows_of,
    settings_in,
    spec_of,
    submit,
    wait_until,
)
from trainers.config import TrialConfig
from trainers.ray_worker import train_with_ray
from trainers.runtime import Runtime

ONE_BOX = Capacity((Node(4, 2),), None)
TWO_BOXES = Capacity((Node(4, 2), Node(4, 2)), None)


@pytest.mark.parametrize(
    ("wanted", "cluster", "free", "others", "text"),
    [
        ({"cpus_per_worker": 2}, ONE_BOX, [Node(2, 0)], {}, ""),
        ({"cpus_per_worker": 2}, ONE_BOX, [Node(1, 0)], {"a": 1}, "waits for 2 CPUs: a holds them"),
        ({"gpus_per_worker": 1}, ONE_BOX, [Node(1, 0)], {"b": 1, "a": 4}, "waits for 1 GPU: a and b hold it"),
        (
            {"gpus_per_worker": 1},
            Capacity((Node(4, 0),), Node(64, 8)),
            [],
            {},
            "waits for 1 GPU; the cluster has none now",
        ),
        (
            {"num_workers": 4, "gpus_per_worker": 1, "accelerator_type": "H100"},
            Capacity((Node(4, 2, "H100"), Node(4, 8, "A100")), None),
            [Node(4, 8, "A100")],
            {},
            "waits for 4 H100s; the cluster has 2 H100s now",
        ),
        (
            {"gpus_per_worker": 1, "accelerator_type": "H100"},
            Capacity((Node(4, 2, "H100"), Node(4, 8, "A100")), None),
            [Node(4, 0, "H100"), Node(4, 8, "A100")],
            {"a": 2},
            "waits for 1 H100: a holds it",
        ),
        (
            {"num_workers": 4, "gpus_per_worker": 1},
            Capacity((Node(4, 2),), Node(64, 8)),
            [],
            {},
            "waits for 4 GPUs; the cluster has 2 GPUs now",
        ),
        (
            {"num_workers": 4, "cpus_per_worker": 1},
            ONE_BOX,
            [Node(3, 0)],
            {},
            "waits for 4 CPUs: 3 of 4 are free, and no experiment of this service holds the others",
        ),
        (
            {"cpus_per_worker": 4},
            TWO_BOXES,
            [Node(3, 0), Node(2, 2)],
            {},
            "waits for 4 CPUs on one node: 5 CPUs are free, but on several nodes",
        ),
        (
            {"num_workers": 2, "cpus_per_worker": 2, "gpus_per_worker": 1},
            TWO_BOXES,
            [Node(1, 2), Node(3, 0)],
            {},
            "waits for 2 times 2 CPUs and 1 GPU, each on one node: 4 CPUs and 2 GPUs are free, but scattered",
        ),
        ({"num_workers": 2, "cpus_per_worker": 2, "gpus_per_worker": 1}, TWO_BOXES, [Node(2, 1), Node(2, 1)], {}, ""),
    ],
)
def test_what_is_missing_and_who_has_it(wanted, cluster, free, others, text) -> None:
    assert waits_for(Resources(**wanted), cluster, free, others) == text


@pytest.mark.ray
def test_an_experiment_says_what_it_waits_for_until_it_moves(ray_cluster, tmp_path) -> None:  # noqa: F811
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    settings = settings_in(tmp_path)
    holder = submit(database, settings, spec_of(name="holder"))
    attempt = begin(database, holder)
    with database.write() as session:
        move(session, holder, ExperimentStatus.RUNNING, attempt=attempt)
    waiting = submit(database, settings, spec_of(name="waiting", seeds=[0]))
    number = begin(database, waiting)

    held = placement_group([{"CPU": NUM_CPUS}])
    ray.get(held.ready())
    driver = threading.Thread(target=run_experiment, args=(database, settings, waiting, number))
    driver.start()
    wait_until(lambda: "no experiment of this service" in experiment_of(database, waiting).reason)
    assert experiment_of(database, waiting).reason.startswith("waits for 1 CPU: 0 of 2 are free")
    with database.write() as session:
        start_trial(session, rows_of(database, holder)[0].id, attempt)
    wait_until(lambda: experiment_of(database, waiting).reason == "waits for 1 CPU: holder holds it")
    remove_placement_group(held)
    driver.join(240)
    assert experiment_of(database, waiting).status == ExperimentStatus.SUCCEEDED
    assert experiment_of(database, waiting).reason == ""
    database.close()


@pytest.mark.ray
def test_a_trial_whose_process_only_starts_does_not_wait(ray_cluster, tmp_path) -> None:  # noqa: F811
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    note = WaitingNote(database, "nobody", 1, Resources())
    assert not note._has_a_place()
    place = placement_group([{"CPU": 1}])
    ray.get(place.ready())
    assert note._has_a_place()
    wider = WaitingNote(
        open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}"), "nobody", 1, Resources(cpus_per_worker=2)
    )
    assert not wider._has_a_place(), "another driver's, or something else of this one"
    remove_placement_group(place)
    wait_until(lambda: not note._has_a_place())
    database.close()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray.data.context")
@pytest.mark.filterwarnings("ignore:`.*` is deprecated:DeprecationWarning")
def test_a_trial_of_two_workers_says_that_it_waits_and_keeps_its_place(ray_cluster, tmp_path, monkeypatch) -> None:  # noqa: F811
    # Ray Train's limit is this process' business: it hands it on to the one that waits.
    monkeypatch.delenv(WORKER_GROUP_START_TIMEOUT_S_ENV_VAR, raising=False)
    config = TrialConfig.model_validate(
        {
            "model": spec_of().models[0],
            "dataset": spec_of().datasets[0],
            "optimization": {"epochs": 1, "global_batch_size": 20},
        }
    )
    held = placement_group([{"CPU": 1}])
    ray.get(held.ready())
    results = []

    def train_on_two() -> None:
        results.append(
            train_with_ray(
                config,
                Runtime(device="cpu", num_threads=1),
                num_workers=2,
                cpus_per_worker=1,
                gpus_per_worker=0,
                accelerator_type=None,
                run_name="gang",
                storage_path=tmp_path,
                report=lambda report: None,
            )
        )

    def pending() -> list[str]:
        groups = placement_group_table().items()
        return [name for name, group in groups if group["state"] == "PENDING" and len(group["bundles"]) == 2]

    trial = threading.Thread(target=train_on_two)
    trial.start()
    wait_until(lambda: len(pending()) == 1)
    assert float(get_env_vars_to_propagate()[WORKER_GROUP_START_TIMEOUT_S_ENV_VAR]) > 24 * 3600
    note = WaitingNote(open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}"), "nobody", 1, Resources(num_workers=2))
    assert note._num_waiting_for_workers() == 1
    remove_placement_group(held)
    trial.join(240)
    assert len(results) == 1
    assert note._num_waiting_for_workers() == 0
