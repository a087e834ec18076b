"""Drivers and trials die in all ways; nothing is lost, nothing is doubled, and the numbers stay the same."""

import json
import os
import signal
import threading

import psutil
import pytest

from orchestrator.driving.driver import run_experiment
from orchestrator.planning.hardware import trial_folder
from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.store.database import Database, open_database
from orchestrator.store.events import events_after
from orchestrator.store.experiments import list_experiments
from orchestrator.store.telemetry import metrics_of
from tests.orchestrator.small_experiments import (
    begin,
    experiment_of,
    kill,
    ray_cluster,  # noqa: F401
    rows_of,
    settings_in,
    spec_of,
    start,
    start_driver,
    submit,
    wait_until,
)
from trainers.config import TrialConfig
from trainers.runtime import Runtime
from trainers.training.trial import train

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

CLOCK = ("images_per_second", "data_wait_fraction")


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    yield opened
    opened.close()


@pytest.fixture
def settings(tmp_path, database):
    return settings_in(tmp_path, database_url=f"sqlite:///{tmp_path / 'sigmalab.db'}", checkpoint_minutes=0)


def count(database: Database, experiment_id: str, status: TrialStatus) -> int:
    return sum(row.status == status for row in rows_of(database, experiment_id))


def epochs_recorded_of(database: Database, trial_id: str) -> int:
    with database.read() as session:
        return len(metrics_of(session, trial_id).get("val/top1", []))


def num_epochs_recorded(database: Database, experiment_id: str) -> int:
    return sum(epochs_recorded_of(database, row.id) for row in rows_of(database, experiment_id))


def assert_nothing_lost_nothing_doubled(database: Database, experiment_id: str) -> None:
    """Every trial has the numbers of an undisturbed training; every epoch is there once."""
    for row in rows_of(database, experiment_id):
        config = TrialConfig.model_validate_json(row.config)
        undisturbed = train(config, Runtime(device="cpu", num_threads=1))
        for name, value in undisturbed.metrics.items():
            assert name in CLOCK or row.final_metrics[name] == value, (row.arm, row.seed, name)
        with database.read() as session:
            curves = metrics_of(session, row.id)
        for name, curve in curves.items():
            expected = [(report.epoch, report.metrics[name]) for report in undisturbed.epochs]
            assert name in CLOCK or curve == expected, (row.arm, row.seed, name)
    with database.read() as session:
        events = events_after(session, experiment_id, limit=10_000)
    epochs = [(event.payload["trial_id"], event.payload["epoch"]) for event in events if event.kind == "epoch"]
    assert len(epochs) == len(set(epochs))
    trials = [event.payload for event in events if event.kind == "trial"]
    ended = [trial["trial_id"] for trial in trials if trial["status"] == TrialStatus.SUCCEEDED]
    assert sorted(ended) == [row.id for row in rows_of(database, experiment_id)]


def test_a_killed_driver_is_replaced_and_finished_trials_are_not_trained_again(database, settings, ray_cluster):  # noqa: F811
    spec = spec_of(optimization={"epochs": 40, "global_batch_size": 20}, seeds=[0, 1, 2])
    experiment_id = submit(database, settings, spec)
    driver = start_driver(settings, experiment_id, begin(database, experiment_id), ray_cluster)
    wait_until(lambda: count(database, experiment_id, TrialStatus.SUCCEEDED) >= 2, driver)
    running = num_epochs_recorded(database, experiment_id)
    wait_until(lambda: num_epochs_recorded(database, experiment_id) > running, driver)
    kill(driver, signal.SIGKILL)
    done = {row.id for row in rows_of(database, experiment_id) if row.status == TrialStatus.SUCCEEDED}
    assert 2 <= len(done) < 6

    status = run_experiment(database, settings, experiment_id, begin(database, experiment_id))
    assert status == ExperimentStatus.SUCCEEDED
    assert all(row.attempt == 1 for row in rows_of(database, experiment_id) if row.id in done)
    assert_nothing_lost_nothing_doubled(database, experiment_id)


def test_a_driver_told_to_terminate_leaves_and_one_that_is_replaced_stops(database, settings, ray_cluster):  # noqa: F811
    spec = spec_of(optimization={"epochs": 2000, "global_batch_size": 20}, seeds=[0])
    experiment_id = submit(database, settings, spec)
    driver = start_driver(settings, experiment_id, begin(database, experiment_id), ray_cluster)
    # Both are under way, not only the first: the second trial's process may start seconds after it.
    wait_until(lambda: count(database, experiment_id, TrialStatus.RUNNING) == 2, driver)
    wait_until(lambda: num_epochs_recorded(database, experiment_id) > 2, driver)
    output = kill(driver, signal.SIGTERM)
    assert driver.returncode == 4, output
    assert "terminated; another attempt goes on from here" in output
    assert experiment_of(database, experiment_id).status == ExperimentStatus.RUNNING
    assert count(database, experiment_id, TrialStatus.RUNNING) == 2

    before = num_epochs_recorded(database, experiment_id)
    second = start_driver(settings, experiment_id, begin(database, experiment_id), ray_cluster)
    wait_until(lambda: num_epochs_recorded(database, experiment_id) > before, second)
    # One trial may be under way before the other has begun.
    wait_until(lambda: all(row.attempt == 2 for row in rows_of(database, experiment_id)), second)
    third = begin(database, experiment_id)
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 4, output
    assert f"attempt 2 of experiment {experiment_id} has been replaced by attempt {third}" in output
    # It went on from the checkpoints of the first, and wrote nothing after it had been replaced.
    with database.read() as session:
        for row in rows_of(database, experiment_id):
            # One of the two may have ended no epoch yet.
            steps = [step for step, _ in metrics_of(session, row.id).get("val/top1", [])]
            assert steps == list(range(len(steps)))
    assert experiment_of(database, experiment_id).attempt == third
    assert [row.attempt for row in rows_of(database, experiment_id)] == [2, 2]


def trial_processes() -> list[psutil.Process]:
    """Processes of this test's Ray that run a trial."""
    children = psutil.Process(os.getpid()).children(recursive=True)
    return [process for process in children if process.name().startswith("ray::Implicit")]


def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(database, settings):
    spec = spec_of(optimization={"epochs": 60, "global_batch_size": 20}, seeds=[0])
    experiment_id = submit(database, settings, spec)

    def kill_one() -> None:
        wait_until(lambda: num_epochs_recorded(database, experiment_id) > 10)
        trial_processes()[0].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    status = run_experiment(database, settings, experiment_id, begin(database, experiment_id))
    killer.join()
    assert status == ExperimentStatus.SUCCEEDED
    assert sorted(row.attempt for row in rows_of(database, experiment_id)) == [1, 2]
    assert_nothing_lost_nothing_doubled(database, experiment_id)


def test_a_trial_that_is_lost_too_often_fails_with_the_reason(database, settings):
    spec = spec_of(optimization={"epochs": 5000, "global_batch_size": 20}, seeds=[0], max_trial_attempts=1)
    experiment_id = submit(database, settings, spec)

    def kill_all() -> None:
        # Both must be under way: one that starts after the other was killed would train to its end.
        wait_until(lambda: all(epochs_recorded_of(database, row.id) > 2 for row in rows_of(database, experiment_id)))
        for process in trial_processes():
            process.kill()

    killer = threading.Thread(target=kill_all)
    killer.start()
    status = run_experiment(database, settings, experiment_id, begin(database, experiment_id))
    killer.join()
    assert status == ExperimentStatus.FAILED
    for row in rows_of(database, experiment_id):
        assert (row.status, row.attempt) == (TrialStatus.FAILED, 1)
        assert f"arm {row.arm}, seed 0: lost 1 time, given up" in row.error
    assert "all 2 trials failed" in experiment_of(database, experiment_id).reason


def test_a_checkpoint_of_other_numbers_is_never_taken_up(database, settings):
    """The folder of a trial is named by its identity; what lies there and is another trial's fails that trial."""
    spec = spec_of(seeds=[0])
    experiment_id = submit(database, settings, spec)
    control, gaussian = rows_of(database, experiment_id)
    folder = settings.effective_storage / trial_folder(control.identity, "cpu-1")
    config = TrialConfig.model_validate(json.loads(gaussian.config))
    train(config, Runtime(device="cpu", num_threads=1, storage=folder))
    run_experiment(database, settings, experiment_id, begin(database, experiment_id))
    control, gaussian = rows_of(database, experiment_id)
    assert (control.status, gaussian.status) == (TrialStatus.FAILED, TrialStatus.SUCCEEDED)
    assert "belongs to another trial" in control.error


def test_an_interrupted_run_by_hand_is_cancelled(database, settings, tmp_path, ray_cluster):  # noqa: F811
    spec = tmp_path / "spec.json"
    spec.write_text(spec_of(optimization={"epochs": 2000, "global_batch_size": 20}, seeds=[0]).model_dump_json())
    driver = start(["run", str(spec)], settings, ray_cluster)
    wait_until(lambda: bool(experiments_of(database)), driver)
    (experiment_id,) = experiments_of(database)
    wait_until(lambda: num_epochs_recorded(database, experiment_id) > 2, driver)
    output = kill(driver, signal.SIGINT)
    assert driver.returncode == 3, output
    assert experiment_of(database, experiment_id).status == ExperimentStatus.CANCELLED
    assert count(database, experiment_id, TrialStatus.CANCELLED) == 2
    assert "Traceback" not in output


def experiments_of(database: Database) -> list[str]:
    with database.read() as session:
        return [row.id for row in list_experiments(session, limit=10)]
