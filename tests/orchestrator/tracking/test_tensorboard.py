"""Event files after shipping, read back by TensorBoard's own reader: each value once, whoever died in the middle."""

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, select, update

from orchestrator.settings import Settings
from orchestrator.store.database import Database
from orchestrator.store.tables import LeaseRow, MetricRow, TrackingRow, TrialRow
from orchestrator.store.tracking import runs_of
from orchestrator.store.trials import reuse_trial
from orchestrator.tracking.outbox import Outbox
from orchestrator.tracking.shipper import Shipper
from orchestrator.tracking.tensorboard.kind import TensorboardKind
from orchestrator.tracking.tensorboard.tracker import TensorboardTracker
from orchestrator.tracking.tracker import TrackerUnavailableError
from tests.orchestrator.synthetic import begin, end, finish, make_record, make_spec, plan, train
from tests.orchestrator.tracking.event_reading import hparams, opened, scalars, texts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tensorboard"


@pytest.fixture
def experiment(store: Database) -> tuple[str, int]:
    """It runs, and one trial of six epochs has ended: its id and its driver's attempt."""
    experiment_id, attempt = begin(store, make_spec(seeds=[0]))
    add_trial(store, experiment_id, attempt, "gaussian")
    return experiment_id, attempt


def add_trial(store: Database, experiment_id: str, attempt: int, arm: str) -> None:
    record = make_record(arm, 0, num_epochs=6)
    trial_id = plan(store, experiment_id, record)
    train(store, trial_id, record, attempt)
    end(store, trial_id, record, attempt)


def run_of(store: Database, arm: str = "gaussian") -> str:
    with store.read() as session:
        (trial,) = session.scalars(select(TrialRow).where(TrialRow.arm == arm)).all()
        return runs_of(session, "tensorboard", trial.experiment_id)[trial.id]


def curves(run: Path) -> list[tuple[str, int, float, float]]:
    return sorted(each for each in scalars(run) if not each[0].startswith(("test/", "best_val/", "delta/")))


def stored(store: Database, arm: str = "gaussian") -> list[tuple[str, int, float, float]]:
    """What the store has of a trial, in TensorBoard's precision."""
    with store.read() as session:
        rows = session.scalars(select(MetricRow).join(TrialRow).where(TrialRow.arm == arm)).all()
    return sorted((row.key, row.step, row.recorded_at.timestamp(), float(np.float32(row.value))) for row in rows)


def forget_leases(store: Database) -> None:
    """Those of who is dead run out."""
    with store.write() as session:
        session.execute(delete(LeaseRow))


def test_an_experiment_is_a_folder_with_curves_configs_figures_and_words(
    store: Database, folder: Path, experiment: tuple[str, int]
) -> None:
    experiment_id, attempt = experiment
    finish(store, experiment_id, attempt)
    assert Shipper(store, TensorboardTracker(folder)).drain(60)
    run = run_of(store)
    assert run.startswith(f"{experiment_id}/gaussian-seed0-small_vit")
    assert curves(folder / run) == stored(store)
    config = hparams(folder / run)
    assert (config["attention_bias.sigma"], config["attention_bias.kind"], config["seed"]) == (2.0, "gaussian", 0)
    found = opened(folder / run)
    assert found.Tags()["images"] == ["figures/sigma_by_layer"]
    assert "_hparams_/session_end_info" in found.Tags()["tensors"]
    written = texts(folder / run)
    assert "**gaussian**, seed 0" in written["description"][0]
    assert "| sigmalab.status | succeeded |" in written["description"][0].replace("\\", "")
    assert "| layer | head |" in written["tables/sigma_by_layer"][0]
    summary = folder / experiment_id / "summary"
    assert "Does a Gaussian attention bias help" in texts(summary)["description"][0]
    assert "gaussian" in texts(summary)["tables/comparisons"][0]
    assert "figures/report/sigma" in opened(summary).Tags()["images"]


def test_what_was_trained_before_another_training_stood_in_is_there_once(
    store: Database, folder: Path, experiment: tuple[str, int]
) -> None:
    second, attempt = begin(store, make_spec(seeds=[0]))
    record = make_record("gaussian", 0, num_epochs=6)
    trial_id = plan(store, second, record)
    train(store, trial_id, record, attempt, epochs=slice(2))
    with store.write() as session:
        source = session.scalars(select(TrialRow).where(TrialRow.experiment_id == experiment[0])).one()
        reuse_trial(session, trial_id, source, attempt)
    finish(store, second, attempt)
    assert Shipper(store, TensorboardTracker(folder)).drain(60)
    with store.read() as session:
        run = folder / runs_of(session, "tensorboard", second)[trial_id]
    losses = [(step, at) for key, step, at, _ in scalars(run) if key == "train/loss"]
    assert [step for step, _ in sorted(losses)] == [0, 1, 2, 3, 4, 5]


def test_a_shipper_that_dies_before_its_note_doubles_nothing(
    store: Database, folder: Path, experiment: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    for last_act in ("claim_run", "mark_shipped", "close_trial"):
        with monkeypatch.context() as patch:
            patch.setattr(Outbox, last_act, die)
            with pytest.raises(Died):
                Shipper(store, TensorboardTracker(folder)).ship_once()
        forget_leases(store)
    assert Shipper(store, TensorboardTracker(folder)).drain(60)
    run = folder / run_of(store)
    assert curves(run) == stored(store)
    assert [len(texts(run)[tag]) for tag in ("description", "tables/sigma_by_layer")] == [1, 1]
    assert len(opened(run).Images("figures/sigma_by_layer")) == 1


def test_a_tracker_that_comes_late_has_the_curves_of_results(
    store: Database, folder: Path, experiment: tuple[str, int]
) -> None:
    before = [(tag, step, value) for tag, step, _, value in stored(store)]
    # As the janitor does, long after the end.
    with store.write() as session:
        session.execute(delete(MetricRow))
    assert Shipper(store, TensorboardTracker(folder)).drain(60)
    assert [(tag, step, value) for tag, step, _, value in curves(folder / run_of(store))] == before


def test_two_shippers_at_once_do_not_double(store: Database, folder: Path, experiment: tuple[str, int]) -> None:
    shippers = [Shipper(store, TensorboardTracker(folder)) for _ in range(2)]
    threads = [threading.Thread(target=shipper.drain, args=(60,)) for shipper in shippers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert curves(folder / run_of(store)) == stored(store)


@pytest.mark.parametrize("lost", ["removed", "of another machine", "of one experiment", "of one record"])
def test_a_folder_that_lacks_what_was_sent_gets_everything_again(
    store: Database, folder: Path, experiment: tuple[str, int], lost: str
) -> None:
    tracker = TensorboardTracker(folder)
    assert Shipper(store, tracker).drain(60)
    if lost == "of another machine":
        folder = folder.with_name("elsewhere")
        tracker = TensorboardTracker(folder)
    elif lost == "of one record":
        (file,) = (folder / run_of(store)).iterdir()
        damaged = bytearray(file.read_bytes())
        damaged[200] ^= 0xFF
        file.write_bytes(damaged)
        tracker = TensorboardTracker(folder)
    else:
        shutil.rmtree(folder if lost == "removed" else folder / experiment[0])
    # Something new is to be told, and what was told before is missed.
    add_trial(store, *experiment, "control")
    shipper = Shipper(store, tracker)
    shipper.ship_once()
    with store.write() as session:
        # After its pause.
        session.execute(update(TrackingRow).values(not_before=None))
    assert shipper.drain(60)
    assert curves(folder / run_of(store)) == stored(store)
    assert curves(folder / run_of(store, "control")) == stored(store, "control")


def test_a_full_disk_makes_everything_wait(
    store: Database, folder: Path, experiment: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("orchestrator.tracking.tensorboard.event_file.os.fsync", full)
        with pytest.raises(TrackerUnavailableError, match="No space left on device"):
            Shipper(store, TensorboardTracker(folder)).ship_once()
    forget_leases(store)
    assert Shipper(store, TensorboardTracker(folder)).drain(60)
    assert curves(folder / run_of(store)) == stored(store)


def test_doctor_and_readiness_are_told_of_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    kind = TensorboardKind()
    folder = tmp_path / "tensorboard"
    told = f"event files go to {folder}; `tensorboard --logdir {folder}` shows them"
    assert kind.look(Settings(home=tmp_path)) == (True, told, "")
    assert not folder.exists()
    (tmp_path / "file").touch()
    sight = kind.look(Settings(home=tmp_path, tensorboard_dir=tmp_path / "file" / "below"))
    assert (sight.is_well, "can't be written" in sight.reason, bool(sight.advice)) == (False, True, True)
