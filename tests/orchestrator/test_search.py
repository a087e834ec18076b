"""The search phase on a real Ray: every algorithm finds what was planted, and only confirm trials see the test."""

import json

import pytest

from orchestrator.driving.cell_search import CellSearch
from orchestrator.driving.driver import run_experiment
from orchestrator.planning.expansion import Expansion
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.database import open_database
from tests.orchestrator.small_experiments import (
    TINY,
    begin,
    experiment_of,
    kill,
    ray_cluster,  # noqa: F401
    rows_of,
    run,
    settings_in,
    spec_of,
    start_driver,
    submit,
    wait_until,
)

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

LR = "optimization.optimizer.lr"
SEEDS = [100, 101]


def searched(name: str, space: dict, **search: object) -> dict:
    bias = {"control": {"kind": "none"}, "grid": {"kind": "gaussian", "sigma": 2.0}}
    patch = {"attention_bias": bias.get(name, {"kind": "gaussian", "sigma": float(len(name))})}
    role = "control" if name == "control" else "treatment"
    return {"name": name, "role": role, "patch": patch, "search": {"space": {LR: space}, "seeds": SEEDS, **search}}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    opened = open_database(f"sqlite:///{tmp_path_factory.mktemp('search') / 'sigmalab.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def searched_experiment(database, tmp_path_factory, ray_cluster) -> tuple[ExperimentSpec, str]:  # noqa: F811
    """Four arms, four ways to search; learning rates around 1e-7 can't learn, those around 1e-2 can."""
    choice = {"kind": "choice", "values": [1e-7, 1e-2]}
    interval = {"kind": "log_uniform", "low": 1e-7, "high": 1e-2}
    spec = spec_of(
        optimization={"epochs": 6, "global_batch_size": 20, "schedule": {"kind": "constant"}},
        arms=[
            searched("control", choice, algorithm={"kind": "grid"}),
            searched("random", interval, algorithm={"kind": "random", "seed": 1}, num_candidates=4),
            searched("optuna", interval, algorithm={"kind": "optuna", "seed": 1}, num_candidates=4),
            searched(
                "raced",
                {"kind": "choice", "values": [1e-2, 1.1e-7, 1.2e-7, 1.3e-7]},
                algorithm={"kind": "grid"},
                early_stopping={"kind": "asha", "grace_epochs": 2, "reduction_factor": 2},
            ),
        ],
        seeds=[0],
    )
    folder = tmp_path_factory.mktemp("home")
    return spec, run(database, settings_in(folder), spec)


def test_every_search_chooses_the_candidate_with_the_best_mean(searched_experiment, database):
    spec, experiment_id = searched_experiment
    experiment = experiment_of(database, experiment_id)
    assert experiment.status == ExperimentStatus.SUCCEEDED, experiment.reason
    rows = rows_of(database, experiment_id, Phase.SEARCH)
    for arm in spec.arms:
        values: dict[float, list[float]] = {}
        for row in rows:
            if row.arm == arm.name and row.status == TrialStatus.SUCCEEDED:
                values.setdefault(row.params[LR], []).append(row.final_metrics["best_val/top1"])
        means = {lr: sum(found) / 2 for lr, found in values.items() if len(found) == 2}
        (chosen,) = [params for place, params in experiment.chosen_params.items() if place.endswith(f"/{arm.name}")]
        assert means[chosen[LR]] == max(means.values())
        assert chosen[LR] > 1e-5, means


def test_every_algorithm_tries_what_it_was_told_to(searched_experiment, database):
    _, experiment_id = searched_experiment
    tried = {}
    for row in rows_of(database, experiment_id, Phase.SEARCH):
        tried.setdefault(row.arm, set()).add(row.params[LR])
        assert row.seed in SEEDS
    assert {arm: len(lrs) for arm, lrs in tried.items()} == {"control": 2, "random": 4, "optuna": 4, "raced": 4}


def test_the_race_stops_poor_candidates_early_and_spares_their_other_seeds(searched_experiment, database):
    _, experiment_id = searched_experiment
    rows = [row for row in rows_of(database, experiment_id, Phase.SEARCH) if row.arm == "raced"]
    pruned = [row for row in rows if row.status == TrialStatus.PRUNED]
    assert pruned
    assert {row.seed for row in pruned} == {100}
    assert all("stopped early after" in row.error for row in pruned)
    survivors = {row.params[LR] for row in rows} - {row.params[LR] for row in pruned}
    assert {row.params[LR] for row in rows if row.seed == 101} == survivors


def test_the_search_never_sees_the_test_split(searched_experiment, database):
    _, experiment_id = searched_experiment
    for row in rows_of(database, experiment_id):
        is_search = row.phase == Phase.SEARCH
        assert json.loads(row.config)["score_test"] is not is_search
        assert any(name.startswith("test/") for name in row.final_metrics) is not is_search


def test_confirm_trials_carry_the_chosen_params_and_fresh_seeds(searched_experiment, database):
    _, experiment_id = searched_experiment
    chosen = experiment_of(database, experiment_id).chosen_params
    rows = rows_of(database, experiment_id, Phase.CONFIRM)
    assert len(rows) == 4
    for row in rows:
        assert row.params == chosen[f"{row.cell}/{row.arm}"]
        assert json.loads(row.config)["optimization"]["optimizer"]["lr"] == row.params[LR]
        assert row.seed not in SEEDS


def test_a_search_without_a_result_fails_the_experiment_with_its_reason(database, tmp_path):
    wild = {"optimizer": {"kind": "sgd", "lr": 100.0}, "schedule": {"kind": "constant"}}
    hopeless = searched("hopeless", {"kind": "choice", "values": [90.0, 95.0]}, algorithm={"kind": "grid"})
    hopeless["patch"] = {"optimization": wild}
    hopeless["search"]["seeds"] = [100]
    experiment_id = run(
        database, settings_in(tmp_path), spec_of(name="hopeless", arms=[TINY["arms"][0], hopeless], seeds=[0])
    )
    experiment = experiment_of(database, experiment_id)
    assert experiment.status == ExperimentStatus.FAILED
    assert "the search of arm hopeless in cell" in experiment.reason
    assert "none of 2 candidates succeeded" in experiment.reason
    assert "the training loss became" in experiment.reason


def test_a_search_whose_driver_is_killed_goes_on_with_the_points_it_would_have_proposed(tmp_path, ray_cluster):  # noqa: F811
    settings = settings_in(tmp_path, database_url=f"sqlite:///{tmp_path / 'sigmalab.db'}")
    database = open_database(settings.effective_database_url)
    space = {
        LR: {"kind": "log_uniform", "low": 1e-4, "high": 1e-1},
        "attention_bias.sigma": {"kind": "log_uniform", "low": 0.5, "high": 8.0},
    }
    algorithm = {"kind": "optuna", "sampler": "cma_es", "seed": 5}
    arm = searched("gaussian", space[LR], algorithm=algorithm, num_candidates=9)
    arm["search"]["space"] = space
    spec = spec_of(
        optimization={"epochs": 6, "global_batch_size": 20},
        arms=[TINY["arms"][0], arm],
        seeds=[0],
        resources={"max_concurrent_trials": 1},
    )
    experiment_id = submit(database, settings, spec)
    driver = start_driver(settings, experiment_id, begin(database, experiment_id), ray_cluster)
    # A generation of CMA-ES has six candidates.
    wait_until(lambda: len(rows_of(database, experiment_id, Phase.SEARCH)) >= 2 * 7, driver)
    kill(driver)
    assert len(rows_of(database, experiment_id, Phase.SEARCH)) < 2 * 9
    run_experiment(database, settings, experiment_id, begin(database, experiment_id))

    rows = rows_of(database, experiment_id, Phase.SEARCH)
    assert {row.status for row in rows} == {TrialStatus.SUCCEEDED}
    # What a search that nobody kills asks for, given these results.
    results = {(str(row.params), row.seed): row.final_metrics["best_val/top1"] for row in rows}
    undisturbed = CellSearch(Expansion(spec, data_root=None).searches[0], spec.arms[1].search)
    asked = []
    while (request := undisturbed.next_request()) is not None:
        asked.append((request.params, request.seed))
        undisturbed.ended(request.params, request.seed, results[str(request.params), request.seed])
    assert [(row.params, row.seed) for row in rows] == asked
    assert experiment_of(database, experiment_id).chosen_params == {f"{rows[0].cell}/gaussian": undisturbed.choose()}
    database.close()
