"""When a state is saved, that training goes on meanwhile, and that it can be interrupted anywhere."""

import threading

import pytest
import torch

from tests.trainers.interruption import AfterLooks, in_pieces
from tests.trainers.test_distributed import child as rank_process
from tests.trainers.test_distributed import train_together
from tests.trainers.test_loop import CPU, MODERN, assert_same_weights, numbers, stored
from trainers.errors import CheckpointError, InterruptedTrainingError
from trainers.ranks import ALONE
from trainers.runtime import Runtime
from trainers.training import saving
from trainers.training.checkpoint import CheckpointFolder
from trainers.training.saving import Saver
from trainers.training.trial import train

SELDOM = 1000.0


SHORT = {"optimization": {"epochs": 3, "global_batch_size": 10, "ema": {"kind": "ema", "decay": 0.8}}}


@pytest.mark.parametrize(("changes", "looks"), [(SHORT, 5), (MODERN, 7)], ids=["dropout", "mixing"])
def test_interrupted_anywhere_it_gives_the_same_bits(trial, tmp_path, changes, looks):
    """A look follows each step (4 or 5), each batch of validation (2 or 4), and each epoch."""
    config = trial(**changes)
    whole = train(config, stored(tmp_path / "whole"))
    runtime = stored(tmp_path / "parts").model_copy(update={"checkpoint_minutes": SELDOM})
    parts, reports, interruptions = in_pieces(config, runtime, looks)
    assert interruptions > 2
    assert numbers(parts) == numbers(whole)
    assert_same_weights(tmp_path / "parts", tmp_path / "whole")
    # No epoch is left out, and only one that was interrupted between its report and its saved end may come twice.
    assert sorted({report.epoch for report in reports}) == list(range(len(whole.epochs)))
    assert parts.training_seconds > 0


def test_a_trial_without_a_storage_just_stops(trial):
    with pytest.raises(InterruptedTrainingError, match="nothing is kept"):
        train(trial(), CPU, stop=AfterLooks(2))


def stopped_child(config, storage, world, store, results):
    """A rank that is asked to stop in the middle of an epoch, a batch norm and a dropout of its own in its hands."""
    # Ask after every step, however fast they are.
    saving._LOOK_SECONDS = 0.0
    rank_process(config, storage, world, store, results, stop=AfterLooks(3))


def test_ranks_stop_together_and_go_on_with_their_own_noise_and_statistics(trial, processes, tmp_path):
    config = trial(
        model={"kind": "timm", "name": "test_resnet", "image_size_px": 32, "arguments": {"drop_rate": 0.2}},
        attention_bias={"kind": "none"},
        dataset={"kind": "digits", "num_train": 96, "num_val": 31, "num_test": 33},
        optimization={"epochs": 2, "global_batch_size": 16, "ema": {"kind": "ema", "decay": 0.5}},
    )
    for name in ("whole", "parts", "again"):
        (tmp_path / name).mkdir()
    (whole, _), _ = train_together(processes, config, tmp_path / "whole", size=2)
    for outcome, reports in train_together(processes, config, tmp_path / "parts", size=2, target=stopped_child):
        assert isinstance(outcome, InterruptedTrainingError)
        assert reports == []
    state = torch.load(tmp_path / "parts/storage/checkpoint.pt", weights_only=True)["state"]
    ours, theirs = state["ranks"]
    assert len(ours["part"]["losses"]) == len(theirs["part"]["losses"]) == 3
    assert not torch.equal(ours["noise"]["cpu"], theirs["noise"]["cpu"])
    with pytest.raises(CheckpointError, match=r"in the middle of an epoch by 2 worker\(s\) on cpu"):
        train(config, Runtime(device="cpu", storage=tmp_path / "parts/storage"))
    # Another meeting, the same files.
    (tmp_path / "parts/storage").rename(tmp_path / "again/storage")
    (resumed, _), _ = train_together(processes, config, tmp_path / "again", size=2)
    assert numbers(resumed) == numbers(whole)
    assert_same_weights(tmp_path / "again/storage", tmp_path / "whole/storage")


def test_what_computed_attention_is_known_after_an_interruption_that_leaves_only_the_scoring(trial, tmp_path):
    stop = threading.Event()
    config = trial(**SHORT)
    with pytest.raises(InterruptedTrainingError):
        train(config, stored(tmp_path), on_epoch=lambda report: stop.set() if report.epoch == 2 else None, stop=stop)
    resumed = train(config, stored(tmp_path), on_epoch=lambda report: pytest.fail(f"epoch {report.epoch} again"))
    assert resumed.provenance["attention"] == train(config, CPU).provenance["attention"]
    assert resumed.provenance["attention"].startswith("training: ")


def test_training_goes_on_while_a_state_is_written(trial, tmp_path, monkeypatch):
    has_trained_on, save = threading.Event(), CheckpointFolder.save

    def slow(folder, state):
        assert has_trained_on.wait(60), "training waits for the disk"
        save(folder, state)

    monkeypatch.setattr(CheckpointFolder, "save", slow)
    train(trial(), stored(tmp_path), on_epoch=lambda report: has_trained_on.set() if report.epoch == 3 else None)


def test_what_the_disk_does_not_take_ends_the_training(trial, tmp_path, monkeypatch):
    def full(folder, state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CheckpointFolder, "save", full)
    with pytest.raises(OSError, match="No space left"):
        train(trial(), stored(tmp_path))


def test_a_short_trial_saves_nothing_before_its_end(trial, tmp_path):
    seen = []
    runtime = Runtime(device="cpu", storage=tmp_path)
    train(trial(), runtime, on_epoch=lambda _: seen.append({path.name for path in tmp_path.iterdir()}))
    assert seen == [{"trial.json"}] * 5


def test_a_state_is_saved_when_its_time_has_come(tmp_path, monkeypatch):
    now, saved = [100.0], []

    class Folder:
        def save(self, state):
            saved.append(state.name)

    class State:
        def __init__(self, name):
            self.name = name

        def on_cpu(self):
            return self

    monkeypatch.setattr(saving.time, "monotonic", lambda: now[0])
    saver = Saver(Folder(), every_seconds=60.0, world=ALONE, stop=threading.Event())
    for seconds in (30, 29, 2, 30, 29, 1, 1):
        now[0] += seconds
        saver.after_step(lambda: State(now[0] - 100))
        saver.finish()
    saver.close()
    assert saved == [61, 121]
