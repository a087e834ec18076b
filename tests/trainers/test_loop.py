import hashlib
import io
import json
import multiprocessing
import subprocess
from collections import defaultdict

import numpy as np
import pytest
import torch

from trainers.config import TrialConfig
from trainers.data.splits import ImageSplit
from trainers.data.tensor_split import TensorSplit
from trainers.errors import CheckpointError, ConfigError, DataError, NonFiniteLossError
from trainers.runtime import Runtime
from trainers.training import trial as loop
from trainers.training.descent import Descent
from trainers.training.trial import train

CPU = Runtime(device="cpu")
NO_BIAS = {"kind": "none"}
KEPT = {"trial.json", "result.json", "predictions.npz", "learned_bias.npz", "best_weights.pt", "SHA256SUMS"}


def stored(folder):
    """Saves whenever it can: every epoch at least, as long as the disk keeps up."""
    return Runtime(device="cpu", storage=folder, checkpoint_minutes=0)


def numbers(result):
    """All of a result that must not depend on how it came about."""
    timed = ("images_per_second", "data_wait_fraction")
    epochs = [{name: value for name, value in report.metrics.items() if name not in timed} for report in result.epochs]
    final = {name: value for name, value in result.metrics.items() if name not in timed}
    return epochs, final, result.best_epoch


def weights(folder):
    return torch.load(folder / "best_weights.pt", weights_only=True)["state"]["best_weights"]


def assert_same_weights(some, other):
    some, other = weights(some), weights(other)
    assert some.keys() == other.keys()
    for name, value in some.items():
        assert torch.equal(value, other[name]), name


def test_a_trial_reports_every_epoch_and_keeps_its_predictions(trial, tmp_path):
    config, reports = trial(), []
    result = train(config, stored(tmp_path), on_epoch=reports.append)
    assert result.epochs == reports
    assert [report.epoch for report in reports] == [0, 1, 2, 3, 4]
    assert set(reports[0].metrics) == {
        *("train/loss", "val/loss", "val/top1", "val/top5", "lr", "images_per_second", "data_wait_fraction"),
        *("val/balanced_accuracy", "val/macro_f1", "val/ece"),
        *("sigma/00", "sigma/01", "amplitude/00", "amplitude/01"),
    }
    best = max(reports, key=lambda report: report.metrics["val/top1"])
    assert result.best_epoch == best.epoch
    assert result.metrics["best_val/top1"] == best.metrics["val/top1"]
    assert result.metrics["lr"] == reports[-1].metrics["lr"]
    with np.load(tmp_path / result.predictions_file) as kept:
        assert kept["test_correct"].mean() == pytest.approx(result.metrics["test/top1"])
        # Scored again with the kept weights: what was chosen is what is kept.
        assert kept["val_correct"].mean() == pytest.approx(result.metrics["best_val/top1"])
        assert kept["val_loss"].mean() == pytest.approx(result.metrics["best_val/loss"], abs=1e-6)
        assert set(kept["test_index"]).isdisjoint(kept["val_index"])
        assert kept["class_names"].tolist() == [str(digit) for digit in range(10)]
    assert result.provenance["num_workers"] == "1"
    assert len(result.provenance["trial"]) == 20


def test_of_equally_good_epochs_the_first_counts(trial):
    # At this learning rate, zero in fp32, every epoch scores the same.
    still = {"epochs": 3, "global_batch_size": 10, "optimizer": {"kind": "sgd", "lr": 1e-60, "weight_decay": 0.0}}
    assert train(trial(optimization=still), CPU).best_epoch == 0


def test_a_search_trial_never_sees_the_test_split(trial, tmp_path):
    result = train(trial(score_test=False), stored(tmp_path))
    assert not [name for name in result.metrics if name.startswith("test/")]
    with np.load(tmp_path / "predictions.npz") as kept:
        assert not [name for name in kept.files if name.startswith("test")]


def test_a_finished_trial_keeps_what_is_needed_and_is_not_trained_again(trial, tmp_path):
    first = train(trial(), stored(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == KEPT
    # As after a kill between the result and the end.
    (tmp_path / "checkpoint.pt").touch()
    (tmp_path / "best_weights.epoch00002.pt").touch()
    reports = []
    assert train(trial(), stored(tmp_path), on_epoch=reports.append) == first
    assert reports == []
    assert {path.name for path in tmp_path.iterdir()} == KEPT


def test_the_same_trial_gives_the_same_numbers_and_another_seed_gives_others(trial):
    first = numbers(train(trial(), CPU))
    assert numbers(train(trial(), CPU)) == first
    assert numbers(train(trial(seed=4), CPU)) != first


def test_loader_workers_change_no_number(trial):
    config = trial()
    assert numbers(train(config, CPU)) == numbers(train(config, Runtime(device="cpu", loader_workers=1)))


@pytest.mark.parametrize("stop_after", [0, 3, 4])
def test_an_interrupted_run_goes_on_where_it_stopped(trial, tmp_path, stop_after):
    config = trial()
    whole = train(config, stored(tmp_path / "whole"))

    def interrupt(report):
        if report.epoch == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, stored(tmp_path / "parts"), on_epoch=interrupt)
    seen = []
    resumed = train(config, stored(tmp_path / "parts"), on_epoch=lambda report: seen.append(report.epoch))
    # The report comes before the epoch is saved: it is reported again.
    assert seen[-1] == 4
    assert seen == list(range(seen[0], 5))
    assert seen[0] <= stop_after
    assert numbers(resumed) == numbers(whole)
    assert_same_weights(tmp_path / "parts", tmp_path / "whole")


def test_a_broken_checkpoint_costs_time_but_no_number(trial, tmp_path, caplog):
    config = trial()
    whole = train(config, CPU)

    def interrupt(report):
        if report.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, stored(tmp_path), on_epoch=interrupt)
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        (tmp_path / name).write_bytes(b"cut short")
    seen = []
    again = train(config, stored(tmp_path), on_epoch=lambda report: seen.append(report.epoch))
    assert seen == [0, 1, 2, 3, 4]
    assert numbers(again) == numbers(whole)
    assert caplog.text.count("can't be read") == 2


@pytest.mark.parametrize("content", [b"", b'{"epochs": [', b"{}"])
def test_a_trial_with_a_broken_result_is_trained_again(trial, tmp_path, caplog, content):
    config = trial(optimization={"epochs": 1, "global_batch_size": 10})
    whole = train(config, stored(tmp_path))
    (tmp_path / "result.json").write_bytes(content)
    # As an earlier version left it: the checksum would tell before anybody reads.
    (tmp_path / "SHA256SUMS").unlink()
    assert numbers(train(config, stored(tmp_path))) == numbers(whole)
    assert "result.json can't be read" in caplog.text


def test_the_storage_of_another_trial_is_refused(trial, tmp_path):
    train(trial(), stored(tmp_path))
    with pytest.raises(CheckpointError, match=r"result\.json belongs to another trial .* its config differ"):
        train(trial(seed=4), stored(tmp_path))


def test_the_checkpoint_of_another_trial_is_refused(trial, tmp_path):
    def interrupt(report):
        if report.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(trial(), stored(tmp_path), on_epoch=interrupt)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt belongs to another trial"):
        train(trial(seed=4), stored(tmp_path))


class Stream:
    """Hashes every training batch that a trial asks for."""

    def __init__(self, monkeypatch):
        self.digest = hashlib.sha256()
        for subclass in ImageSplit.__subclasses__():
            self._listen(monkeypatch, subclass)

    def _listen(self, monkeypatch, subclass):
        original = subclass.__getitems__

        def listened(split, positions):
            batch = original(split, positions)
            for tensor in batch:
                self.digest.update(tensor.numpy().tobytes())
            return batch

        monkeypatch.setattr(subclass, "__getitems__", listened)


def test_all_arms_see_the_same_images_and_start_from_the_same_weights(trial, tmp_path):
    streams, starts = [], []
    gaussian = {"kind": "gaussian", "sigma": 2.0}
    for number, bias in enumerate(
        (NO_BIAS, gaussian, {**gaussian, "per_head": True}, {**gaussian, "kind": "permuted_gaussian"})
    ):
        # At this learning rate, zero in fp32, the weights after an epoch are the initial ones.
        still = {"epochs": 1, "global_batch_size": 10, "optimizer": {"kind": "sgd", "lr": 1e-60, "weight_decay": 0.0}}
        with pytest.MonkeyPatch.context() as monkeypatch:
            stream = Stream(monkeypatch)
            train(trial(attention_bias=bias, optimization=still), stored(tmp_path / str(number)))
        streams.append(stream.digest.hexdigest())
        starts.append(weights(tmp_path / str(number)))
    assert len(set(streams)) == 1
    for start in starts[1:]:
        for name, value in starts[0].items():
            assert torch.equal(value, start[name]), name


MODERN = {
    "augmentation": {"kind": "rand_augment"},
    "mixing": {"kind": "mixup"},
    "normalization": "imagenet",
    "optimization": {
        "epochs": 3,
        "global_batch_size": 8,
        "accumulation_steps": 2,
        "layer_decay": 0.7,
        "ema": {"kind": "ema"},
    },
}


def test_mixing_and_rand_augment_go_on_where_they_stopped(trial, tmp_path):
    config = trial(**MODERN)
    whole = train(config, stored(tmp_path / "whole"))

    def interrupt(report):
        if report.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, stored(tmp_path / "parts"), on_epoch=interrupt)
    workers = stored(tmp_path / "parts").model_copy(update={"loader_workers": 2, "image_cache_gib": 0.01})
    assert numbers(train(config, workers)) == numbers(whole)
    assert_same_weights(tmp_path / "parts", tmp_path / "whole")


def test_both_arms_see_the_same_mixed_batches(trial, monkeypatch):
    arms, original = [], Descent._accumulate

    def listened(descent, *arguments):
        hook = descent._model.register_forward_pre_hook(lambda _model, inputs: arms[-1].append(inputs[0].clone()))
        loss = original(descent, *arguments)
        hook.remove()
        return loss

    monkeypatch.setattr(Descent, "_accumulate", listened)
    for bias in (NO_BIAS, {"kind": "gaussian", "sigma": 2.0}):
        arms.append([])
        train(trial(**MODERN, attention_bias=bias), CPU)
    control, treatment = arms
    assert len(control) == 3 * 5 * 2
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(control, treatment, strict=True))


def test_an_odd_batch_is_not_mixed(trial):
    odd = {"epochs": 1, "global_batch_size": 10, "accumulation_steps": 2}
    with pytest.raises(ConfigError, match=r"mixing pairs the images of a batch, and 5 .* is odd"):
        train(trial(mixing={"kind": "mixup"}, optimization=odd), CPU)


def test_every_epoch_augments_anew(trial, monkeypatch):
    seen = defaultdict(list)
    original = TensorSplit.__getitems__

    def listened(split, positions):
        batch = original(split, positions)
        for image, index in zip(batch.images, batch.indices.tolist(), strict=True):
            seen[index].append(image)
        return batch

    monkeypatch.setattr(TensorSplit, "__getitems__", listened)
    config = trial(optimization={"epochs": 2, "global_batch_size": 10})
    train(config, CPU)
    trained_on = config.dataset.load(
        None, input_size_px=16, augmentation=config.augmentation, seed=0
    ).train.indices.tolist()
    for index in trained_on:
        # Before the training some of the first epoch's images are looked at, as they will be (`trainers.start`).
        *looked_at, first, second = seen[index]
        assert all(torch.equal(image, first) for image in looked_at)
        assert not torch.equal(first, second)


@pytest.mark.parametrize("wanted", [1, 2])
def test_one_pool_reads_all_splits_of_all_epochs(trial, monkeypatch, wanted):
    pools, score = set(), loop.score_split

    def listened(*given, **named):
        pools.add(frozenset(child.pid for child in multiprocessing.active_children()))
        return score(*given, **named)

    monkeypatch.setattr(loop, "score_split", listened)
    monkeypatch.setattr(loop, "given_cores", lambda: 8.0)
    config = trial(optimization={"epochs": 3, "global_batch_size": 10})
    pooled = train(config, Runtime(device="cpu", loader_workers=wanted))
    (pool,) = pools
    assert len(pool) == wanted
    assert numbers(pooled) == numbers(train(config, CPU))


def test_a_trial_starts_no_more_readers_than_its_cores(trial, monkeypatch, caplog):
    seen, score = [], loop.score_split
    monkeypatch.setattr(
        loop,
        "score_split",
        lambda *given, **named: (seen.append(len(multiprocessing.active_children())), score(*given, **named))[1],
    )
    monkeypatch.setattr(loop, "given_cores", lambda: 3.0)
    train(trial(optimization={"epochs": 1, "global_batch_size": 10}), Runtime(device="cpu", loader_workers=6))
    assert seen == [2, 2, 2]
    assert "2 loader workers of 6 read" in caplog.text


def test_dropout_draws_the_same_masks_in_both_arms(trial):
    # A frozen bias of height (1e-4)^2 hardly changes a logit, so only other random numbers could part the arms.
    faint = {"kind": "gaussian", "amplitude": 1e-4, "learn_sigma": False, "learn_amplitude": False}
    control, treatment = (train(trial(attention_bias=bias), CPU) for bias in (NO_BIAS, faint))
    for ours, theirs in zip(control.epochs, treatment.epochs, strict=True):
        assert ours.metrics["train/loss"] == pytest.approx(theirs.metrics["train/loss"], abs=1e-4)


def test_the_losses_of_a_known_trial_stay_what_they_are():
    # Written down once on a CPU. A change here changes what users have measured: say so in the changelog.
    config = TrialConfig.model_validate(
        {
            "model": {"kind": "small_vit", "width": 24, "depth": 2, "num_heads": 2, "image_size_px": 16},
            "attention_bias": {"kind": "gaussian", "sigma": 2.0},
            "dataset": {"kind": "digits", "num_train": 100, "num_val": 50, "num_test": 50},
            "optimization": {"optimizer": {"kind": "adamw", "lr": 0.002}, "epochs": 4, "global_batch_size": 25},
        }
    )
    result = train(config, CPU)
    assert [report.metrics["train/loss"] for report in result.epochs] == pytest.approx(
        [2.3949, 2.2761, 2.2415, 2.2238], abs=2e-3
    )
    assert [report.metrics["val/loss"] for report in result.epochs] == pytest.approx(
        [2.2984, 2.2842, 2.2789, 2.2776], abs=2e-3
    )


def test_training_learns(trial):
    result = train(
        trial(
            dataset={"kind": "digits", "num_train": 300, "num_val": 100, "num_test": 100},
            augmentation={"kind": "none"},
            model={"kind": "small_vit", "width": 24, "depth": 2, "num_heads": 2, "image_size_px": 16},
            optimization={"optimizer": {"kind": "adamw", "lr": 0.005}, "epochs": 10, "global_batch_size": 50},
        ),
        CPU,
    )
    assert result.epochs[-1].metrics["train/loss"] < 0.7 * result.epochs[0].metrics["train/loss"]
    assert result.metrics["test/top1"] > 0.35


def test_the_default_average_of_a_short_training_is_not_scored_by_its_initial_weights(trial):
    config = trial(
        augmentation={"kind": "none"},
        model={"kind": "small_vit", "width": 24, "depth": 2, "num_heads": 2, "image_size_px": 16},
        dataset={"kind": "digits", "num_train": 300, "num_val": 100, "num_test": 100},
        optimization={
            "optimizer": {"kind": "adamw", "lr": 0.005},
            "epochs": 8,
            "global_batch_size": 50,
            "ema": {"kind": "ema"},
        },
    )
    assert train(config, CPU).metrics["test/top1"] > 0.2  # chance is 0.1


def test_a_diverging_trial_says_where(trial, tmp_path):
    explosive = {"optimizer": {"kind": "sgd", "lr": 100.0}, "epochs": 3, "global_batch_size": 10}
    with pytest.raises(
        NonFiniteLossError, match=r"the (training|validation) loss became (nan|inf) in epoch \d+, step \d+"
    ):
        train(trial(optimization=explosive, augmentation={"kind": "none"}), stored(tmp_path))
    assert not (tmp_path / "result.json").exists()


def test_a_batch_larger_than_the_data_is_refused_before_training(trial):
    with pytest.raises(ConfigError, match="global_batch_size 64 is larger than the training split of 40 images"):
        train(trial(optimization={"global_batch_size": 64}), CPU)


def test_without_epochs_the_initial_weights_are_scored_and_looked_at(trial, tmp_path):
    look = {"kind": "receptive_field", "num_images": 8}
    # A batch of 64 for 40 images, and a warm-up that would outlast the training: nothing of it acts.
    idle = {"epochs": 0, "global_batch_size": 64, "schedule": {"kind": "cosine", "warmup_epochs": 5.0}}
    config, reports = trial(optimization=idle, analyses=[look]), []
    result = train(config, stored(tmp_path), on_epoch=reports.append)
    assert (reports, result.epochs, result.best_epoch, result.training_seconds) == ([], [], None, 0)
    assert {path.name for path in tmp_path.iterdir()} == KEPT - {"best_weights.pt"} | {"receptive_field.npz"}
    assert train(config, stored(tmp_path)) == result
    # What a training starts from: the field of its initial weights, and their scores.
    one_epoch = trial(optimization={"epochs": 1, "global_batch_size": 40}, analyses=[look])
    trained = train(one_epoch, CPU).metrics
    initial = {name.replace("_initial", ""): value for name, value in trained.items() if "_initial/" in name}
    assert initial == {name: value for name, value in result.metrics.items() if name.startswith("receptive_field")}
    assert result.metrics["best_val/loss"] == result.metrics["val/loss"] == pytest.approx(np.log(10), abs=0.3)
    assert result.metrics["test/loss"] != result.metrics["val/loss"]
    assert result.metrics["sigma/00"] == pytest.approx(2.0)
    assert set(trained) - set(result.metrics) == {
        *("train/loss", "lr", "images_per_second", "data_wait_fraction"),
        *(name for name in trained if "_initial/" in name),
    }


def test_a_missing_folder_is_said_before_training(trial, tmp_path):
    config = trial(dataset={"kind": "folder", "path": "nowhere"})
    with pytest.raises(DataError, match=r"no folder .*nowhere"):
        train(config, Runtime(device="cpu", data_root=tmp_path))


def test_threads_are_given_back(trial):
    torch.set_num_threads(2)
    inside = []
    config = trial(optimization={"epochs": 1, "global_batch_size": 10})
    train(config, Runtime(device="cpu", num_threads=1), on_epoch=lambda _report: inside.append(torch.get_num_threads()))
    assert inside == [1]
    assert torch.get_num_threads() == 2


def test_a_result_survives_json(trial):
    result = train(trial(), CPU)
    assert type(result).model_validate(json.loads(result.model_dump_json())) == result
    assert result.predictions_file is None


@pytest.mark.parametrize("name", ["result.json", "predictions.npz", "lost"])
def test_files_that_were_changed_or_lost_are_made_again(trial, tmp_path, caplog, name):
    config = trial(optimization={"epochs": 1, "global_batch_size": 10})
    result = train(config, stored(tmp_path))
    kept = (tmp_path / "predictions.npz").read_bytes()
    if name == "lost":
        name = "predictions.npz"
        (tmp_path / name).unlink()
    else:
        better = json.loads((tmp_path / "result.json").read_text())
        better["metrics"]["test/top1"] = 1.0
        (tmp_path / name).write_text(json.dumps(better))
    assert numbers(train(config, stored(tmp_path))) == numbers(result)
    assert name in caplog.text
    assert "finishing the trial again" in caplog.text
    with np.load(io.BytesIO(kept)) as before, np.load(tmp_path / "predictions.npz") as after:
        assert all(np.array_equal(before[array], after[array]) for array in before.files)


def test_checksums_are_those_of_sha256sum_and_a_folder_without_them_is_believed(trial, tmp_path):
    config = trial(optimization={"epochs": 1, "global_batch_size": 10})
    result = train(config, stored(tmp_path))
    told = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout == "predictions.npz: OK\nresult.json: OK\n"
    (tmp_path / "SHA256SUMS").unlink()
    assert train(config, stored(tmp_path)) == result
