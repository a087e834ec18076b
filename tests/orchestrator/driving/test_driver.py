"""Whole experiments on a real Ray, on real images."""

import threading

import pytest

from orchestrator.driving.driver import run_experiment
from orchestrator.null_spec import null_spec
from orchestrator.planning.hardware import trial_folder
from orchestrator.spec.experiment import parse_spec
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.database import Database, open_database
from orchestrator.store.events import events_after
from orchestrator.store.experiments import insert_experiment, request_cancel
from orchestrator.store.telemetry import metrics_of
from orchestrator.store.tracking import runs_of
from orchestrator.store.trials import fail_trial
from orchestrator.stored.report import comparisons_of, read_experiment, report_of
from tests.orchestrator.small_experiments import (
    TINY,
    begin,
    experiment_of,
    metrics_by_trial,
    ray_cluster,  # noqa: F401
    rows_of,
    run,
    settings_in,
    spec_of,
    submit,
)
from tests.orchestrator.tracking.event_reading import scalars

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

WILD = {
    "name": "wild",
    "patch": {"optimization": {"optimizer": {"kind": "sgd", "lr": 100.0}, "schedule": {"kind": "constant"}}},
}
"""An arm whose loss becomes NaN within a few steps."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("driver")


@pytest.fixture(scope="module")
def settings(folder):
    return settings_in(folder, trackers=("tensorboard",))


@pytest.fixture(scope="module")
def database(folder):
    opened = open_database(f"sqlite:///{folder / 'sigmalab.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def finished(database, settings, ray_cluster):  # noqa: F811
    """Id and progress lines of an experiment in which one arm fails."""
    lines: list[str] = []
    return run(database, settings, spec_of(arms=[*TINY["arms"], WILD]), lines), lines


def events_of(database: Database, experiment_id: str, kind: str) -> list[dict]:
    with database.read() as session:
        return [event.payload for event in events_after(session, experiment_id) if event.kind == kind]


def test_an_experiment_ends_with_rows_metrics_pairs_and_comparisons(finished, database, settings):
    experiment_id, lines = finished
    assert experiment_of(database, experiment_id).status == ExperimentStatus.SUCCEEDED
    trials = [row for row in rows_of(database, experiment_id) if row.arm != "wild"]
    assert [(trial.arm, trial.seed, trial.status, trial.attempt) for trial in trials] == [
        ("control", 0, "succeeded", 1),
        ("gaussian", 0, "succeeded", 1),
        ("control", 1, "succeeded", 1),
        ("gaussian", 1, "succeeded", 1),
    ]
    with database.read() as session:
        curves = [metrics_of(session, trial.id) for trial in trials]
        comparison, _ = comparisons_of(session, experiment_of(database, experiment_id))
    assert all([step for step, _ in curve["val/top1"]] == [0, 1] for curve in curves)
    assert "sigma/00" in curves[1]
    assert "sigma/00" not in curves[0]
    effects = [100 * (trials[i + 1].final_metrics["test/top1"] - trials[i].final_metrics["test/top1"]) for i in (0, 2)]
    assert [pair.effect for pair in comparison.pairs] == pytest.approx(effects)

    pairs = events_of(database, experiment_id, "pair")
    assert [(pair["pairs_complete"], pair["pairs_total"]) for pair in pairs] == [(1, 4), (2, 4)]
    assert sorted(pair["effect"] for pair in pairs) == pytest.approx(sorted(effects))
    assert any(line.startswith("pair 2/4 complete: gaussian ") for line in lines)
    # Ray's own files are gone, the trials' are there.
    assert not list((settings.home / "ray").glob("*"))
    folders = [settings.effective_storage / trial_folder(trial.identity, "cpu-1") for trial in trials]
    assert all((folder / "predictions.npz").exists() for folder in folders)


def test_the_driver_ships_to_each_tracker_that_is_on(finished, database, settings):
    experiment_id, lines = finished
    with database.read() as session:
        runs = runs_of(session, "tensorboard", experiment_id)
    trials = rows_of(database, experiment_id)
    assert sorted(runs) == [trial.id for trial in trials]
    for trial in trials:
        with database.read() as session:
            curves = metrics_of(session, trial.id)
        shown = scalars(settings.home / "tensorboard" / runs[trial.id])
        kept = {(key, step) for key, curve in curves.items() for step, _ in curve}
        assert {(key, step) for key, step, *_ in shown} >= kept
    assert not any("wait in the store" in line for line in lines)


def test_a_nan_loss_fails_the_trial_with_step_and_arm_and_leaves_the_pair_incomplete(finished, database):
    experiment_id, lines = finished
    trial = next(row for row in rows_of(database, experiment_id) if (row.arm, row.seed) == ("wild", 0))
    assert trial.status == TrialStatus.FAILED
    # Once: the next execution would find the same.
    assert trial.attempt == 1
    assert "arm wild, seed 0: the training loss became" in trial.error
    assert "step" in trial.error
    assert "[loss_not_finite]" in trial.error
    row = experiment_of(database, experiment_id)
    assert row.reason == "2 of 4 pairs are incomplete: 2 trials failed"
    with database.read() as session:
        gaussian, wild = comparisons_of(session, row)
    assert (gaussian.num_pairs, wild.num_pairs) == (2, 0)
    assert "arm wild" in wild.pairs[0].missing_because
    assert "pair incomplete: wild (seed 0): a trial of it failed" in lines


def test_finished_trials_are_reused_and_a_new_arm_is_trained_alone(finished, database, settings):
    first, _ = finished
    wider = {"name": "wider", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 3.0}}}
    lines: list[str] = []
    second = run(database, settings, spec_of(name="again", arms=[*TINY["arms"], wider]), lines)

    reused = {(row.arm, row.reused_from) for row in rows_of(database, second)}
    assert reused == {("control", first), ("gaussian", first), ("wider", None)}
    assert "reused 4 finished trials" in lines
    old, new = metrics_by_trial(database, first), metrics_by_trial(database, second)
    assert {key: new[key] for key in old if key[1] != "wild"} == {key: old[key] for key in old if key[1] != "wild"}
    assert experiment_of(database, second).status == ExperimentStatus.SUCCEEDED


def test_reuse_never_trains_again_in_a_folder_of_its_own(finished, database, settings):
    first, _ = finished
    second = run(database, settings, spec_of(reuse="never", seeds=[0]))

    rows = rows_of(database, second)
    assert [(row.reused_from, row.attempt) for row in rows] == [(None, 1), (None, 1)]
    old, new = metrics_by_trial(database, first), metrics_by_trial(database, second)
    assert {key: old[key] for key in new} == new
    folders = [settings.effective_storage / second / trial_folder(row.identity, "cpu-1") for row in rows]
    assert all((folder / "result.json").exists() for folder in folders)


def test_the_control_is_really_trained_twice_and_gives_the_same_numbers(finished, database, settings):
    spec = parse_spec(null_spec({**TINY, "seeds": [0]}))
    experiment_id = run(database, settings, spec)
    rows = rows_of(database, experiment_id)
    assert [(row.arm, row.reused_from, row.attempt) for row in rows] == [("control", None, 1), ("null", None, 1)]
    assert len({row.identity for row in rows}) == 2
    with database.read() as session:
        (check,) = report_of(read_experiment(session, experiment_id)).repeats
    assert check.is_exact, check.text


def test_an_experiment_whose_trials_all_fail_has_failed(database, settings):
    experiment_id = submit(database, settings, spec_of(name="hopeless", seeds=[7]))
    attempt = begin(database, experiment_id)
    with database.write() as session:
        for row in rows_of(database, experiment_id):
            fail_trial(session, row.id, f"arm {row.arm}: no luck", attempt)
    status = run_experiment(database, settings, experiment_id, begin(database, experiment_id))
    assert status == ExperimentStatus.FAILED
    assert experiment_of(database, experiment_id).reason == "all 2 trials failed; the first error: arm control: no luck"


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        ({"cpus_per_worker": 3}, "one worker with 3 CPUs and 0 GPUs"),
        ({"gpus_per_worker": 1}, "one worker with 1 CPU and 1 GPU"),
        ({"num_workers": 4}, "4 workers, each with 1 CPU"),
    ],
)
def test_what_the_cluster_will_never_have_is_refused_at_once(database, settings, resources, wanted):
    experiment_id = run(database, settings, spec_of(name="too-much", seeds=[8], resources=resources))
    row = experiment_of(database, experiment_id)
    assert row.status == ExperimentStatus.FAILED
    assert wanted in row.reason
    assert "the cluster has 1 node with 2 CPUs and 0 GPUs" in row.reason
    assert {trial.status for trial in rows_of(database, experiment_id)} == {TrialStatus.CANCELLED}
    assert {trial.attempt for trial in rows_of(database, experiment_id)} == {0}


def test_a_cancelled_experiment_ends_soon_and_keeps_what_is_done(database, settings):
    endless = {"name": "endless", "patch": {"optimization": {"epochs": 10_000}}}
    experiment_id = submit(
        database, settings, spec_of(name="endless", arms=[*TINY["arms"], endless], seeds=[3, 4, 5, 6])
    )
    asked = threading.Event()

    def cancel_once(line: str) -> None:
        if line.startswith("pair ") and not asked.is_set():
            asked.set()
            with database.write() as session:
                request_cancel(session, experiment_id)

    status = run_experiment(database, settings, experiment_id, begin(database, experiment_id), on_progress=cancel_once)
    assert status == ExperimentStatus.CANCELLED
    statuses = {row.status for row in rows_of(database, experiment_id, Phase.CONFIRM)}
    assert statuses == {TrialStatus.SUCCEEDED, TrialStatus.CANCELLED}
    assert len(events_of(database, experiment_id, "end")) == 1


def test_a_driver_with_other_code_or_data_than_the_submission_refuses(database, settings):
    with database.write() as session:
        experiment_id = insert_experiment(session, spec_of(), "another-digest").id
    status = run_experiment(database, settings, experiment_id, begin(database, experiment_id))
    assert status == ExperimentStatus.FAILED
    assert "submit the spec again" in experiment_of(database, experiment_id).reason
