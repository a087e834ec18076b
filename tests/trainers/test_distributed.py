"""One worker and two (gloo, real processes) on the same global batches."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from numpy.testing import assert_allclose, assert_array_equal

from trainers.analyses import receptive_field_observer as observer
from trainers.errors import DataError
from trainers.ranks import World
from trainers.runtime import Runtime
from trainers.tasks.detection.detections import read_detections
from trainers.training import trial as loop
from trainers.training.trial import train

# Gradients are summed in another order. Seen over 4 epochs of 3 steps: metrics part by less than 5e-6, weights by 8e-5
# (those of the keys' bias, whose true gradient is zero, so that AdamW enlarges its rounding).
TOLERANCE = 2e-5
WEIGHT_TOLERANCE = 4e-4


def child(config, storage, world, store, results, *, stop=None):
    """One rank, in a process of its own."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=world.rank, world_size=world.size)
    reports = []
    try:
        runtime = Runtime(device="cpu", storage=storage)
        outcome = train(config, runtime, world=world, on_epoch=reports.append, stop=stop)
    except Exception as error:  # noqa: BLE001  the parent asserts on it
        outcome = error
    results.send((outcome, reports))
    dist.destroy_process_group()


def train_together(processes, config, folder, *, size, target=child):
    """What each rank sends: its outcome, its reports."""
    pipes, children = [], []
    for rank in range(size):
        receiver, sender = processes.Pipe(duplex=False)
        arguments = (config, folder / "storage", World(rank, size), folder / "store", sender)
        children.append(processes.Process(target=target, args=arguments))
        children[-1].start()
        sender.close()
        pipes.append(receiver)
    try:
        for receiver in pipes:
            assert receiver.poll(120), "no result from a rank"
        return [receiver.recv() for receiver in pipes]
    finally:
        for process in children:
            process.join(120)


def best_weights(folder):
    return torch.load(folder / "best_weights.pt", weights_only=True)["state"]["best_weights"]


@pytest.fixture
def config(trial):
    """Without dropout and stochastic depth, whose masks are each rank's own."""

    def make(**optimization):
        return trial(
            model={"kind": "small_vit", "width": 12, "depth": 2, "num_heads": 2, "image_size_px": 16},
            dataset={"kind": "digits", "num_train": 100, "num_val": 31, "num_test": 33},
            optimization={"epochs": 4, "global_batch_size": 32, "ema": {"kind": "ema", "decay": 0.5}} | optimization,
        )

    return make


def test_two_workers_segment_as_one_does(config, processes, tmp_path):
    """With batch norms in the head, and masks with pixels that are not learned, of which ranks have unequal numbers."""
    head = {"kind": "upernet", "channels": 8, "auxiliary_channels": 8, "dropout": 0}
    shapes = {
        "task": {"kind": "segmentation", "head": head},
        "model": config().model.model_dump() | {"image_size_px": 32},
        "dataset": {"kind": "shapes", "image_size_px": 32, "num_train": 32, "num_val": 7, "num_test": 5},
        "augmentation": {"kind": "scale_crop"},
        "optimization": config(epochs=2, global_batch_size=16).optimization.model_dump(),
    }
    trial = type(config()).model_validate(config().model_dump() | shapes)
    alone = train(trial, Runtime(device="cpu"))
    (together, _), (of_rank_1, _) = train_together(processes, trial, tmp_path, size=2)
    assert together == of_rank_1
    for name in ("test/loss", "test/miou", "test/aacc", "test/image_miou", "sigma/00", "train/loss"):
        assert together.metrics[name] == pytest.approx(alone.metrics[name], abs=1e-3), name
    assert together.metrics["test/loss"] == pytest.approx(alone.metrics["test/loss"], abs=TOLERANCE)


DETECTION = {
    "task": {
        "kind": "detection",
        "channels": 8,
        "anchor_size_px": 8,
        "num_proposals": 10,
        "regions_per_image": 100,
        "box_channels": 8,
        "mask_channels": 8,
        "mask_layers": 1,
    },
    "model": {"kind": "small_vit", "width": 12, "depth": 2, "num_heads": 2, "image_size_px": 32},
    "dataset": {"kind": "shapes_objects", "image_size_px": 32, "num_train": 8, "num_val": 5, "num_test": 7},
    "augmentation": {"kind": "crop_flip"},
}


def test_two_workers_detect_as_one_does(trial, processes, tmp_path):
    """All boxes are asked, so no lot decides; each rank's losses are means over the objects of its own images."""
    config = trial(**DETECTION, optimization={"epochs": 1, "global_batch_size": 8})
    alone = train(config, Runtime(device="cpu", storage=tmp_path / "alone"))
    (together, _), (of_rank_1, _) = train_together(processes, config, tmp_path, size=2)
    assert together == of_rank_1
    assert together.metrics["train/loss"] == pytest.approx(alone.metrics["train/loss"], rel=0.05)


def test_two_workers_score_each_image_once(trial, processes, tmp_path):
    """What is found may differ by a box: batches of another size round otherwise, and near equals are thinned out."""
    config = trial(**DETECTION, optimization={"epochs": 0})
    train(config, Runtime(device="cpu", storage=tmp_path / "alone"))
    (together, _), _ = train_together(processes, config, tmp_path, size=2)
    ours, theirs = (np.load(tmp_path / folder / "predictions.npz") for folder in ("alone", "storage"))
    assert len(np.unique(theirs["test_index"])) == 7
    for name in ("index", "num_true", "true_box", "true_class", "true_mask", "true_area_px"):
        assert_array_equal(theirs[f"test_{name}"], ours[f"test_{name}"], err_msg=name)
    assert len(ours["test_found_box"]) > 7
    assert len(theirs["test_found_box"]) == pytest.approx(len(ours["test_found_box"]), rel=0.2)
    scored = read_detections(tmp_path / "storage" / "predictions.npz", "test").metrics()
    assert {name: together.metrics[f"test/{name}"] for name in scored} == scored


@pytest.mark.parametrize("parts", [1, 2])
def test_two_workers_give_the_numbers_of_one(config, processes, tmp_path, parts):
    alone = train(config(), Runtime(device="cpu", storage=tmp_path / "alone"))
    ranks = train_together(processes, config(accumulation_steps=parts), tmp_path, size=2)
    (together, reports), (of_rank_1, reports_of_rank_1) = ranks
    assert together == of_rank_1
    assert together.epochs == reports
    assert reports_of_rank_1 == []
    assert together.provenance["num_workers"] == "2"
    for ours, theirs in zip(alone.epochs, together.epochs, strict=True):
        for name in ("train/loss", "val/loss", "lr", "sigma/00", "sigma/01", "amplitude/00", "amplitude/01"):
            assert ours.metrics[name] == pytest.approx(theirs.metrics[name], abs=TOLERANCE), name
    assert together.metrics["test/loss"] == pytest.approx(alone.metrics["test/loss"], abs=TOLERANCE)
    ours, theirs = (best_weights(tmp_path / folder) for folder in ("alone", "storage"))
    for name, value in ours.items():
        assert_allclose(value, theirs[name], atol=WEIGHT_TOLERANCE)


def test_an_error_of_rank_0_reaches_every_rank(config, processes, tmp_path):
    storage = tmp_path / "storage"
    train(config().model_copy(update={"seed": 9}), Runtime(device="cpu", storage=storage))
    for outcome, _ in train_together(processes, config(), tmp_path, size=2):
        assert "belongs to another trial" in str(outcome)


def test_a_diverging_rank_stops_all(config, processes, tmp_path):
    explosive = config(optimizer={"kind": "sgd", "lr": 100.0})
    outcomes = [outcome for outcome, _ in train_together(processes, explosive, tmp_path, size=2)]
    assert str(outcomes[0]) == str(outcomes[1])
    assert "loss became" in str(outcomes[0])


@pytest.mark.parametrize("ema", [{"kind": "none"}, {"kind": "ema", "decay": 0.5}])
def test_ranks_agree_on_the_statistics_of_batch_norms(processes, trial, tmp_path, ema):
    """One step: the mean over ranks of their batches' means is the mean of the whole batch, as one worker sees it."""
    config = trial(
        model={"kind": "timm", "name": "test_resnet", "image_size_px": 32},
        attention_bias={"kind": "none"},
        dataset={"kind": "digits", "num_train": 32, "num_val": 31, "num_test": 33},
        optimization={"epochs": 1, "global_batch_size": 32, "ema": ema},
    )
    train(config, Runtime(device="cpu", storage=tmp_path / "alone"))
    (together, _), (of_rank_1, _) = train_together(processes, config, tmp_path, size=2)
    assert together == of_rank_1
    alone, shared = (best_weights(tmp_path / folder) for folder in ("alone", "storage"))
    first = next(name for name in shared if name.endswith("running_mean"))
    assert alone[first].any()
    assert_allclose(shared[first], alone[first], atol=1e-6)


def looking_child(config, storage, world, store, results):
    """A rank that counts the images and the biases that it looks at."""
    looks, image_batches, learned_bias = [], observer.image_batches, loop.learned_bias

    def counted_images(split, positions, normalize):
        looks.append(list(positions))
        return image_batches(split, positions, normalize)

    def counted_bias(*arguments):
        looks.append("bias")
        return learned_bias(*arguments)

    observer.image_batches, loop.learned_bias = counted_images, counted_bias
    child(config, storage, world, store, _Both(results, looks))


class _Both:
    """Sends what was counted beside the outcome."""

    def __init__(self, results, looks):
        self._results, self._looks = results, looks

    def send(self, outcome):
        self._results.send((*outcome, self._looks))


@pytest.mark.parametrize("num_images", [1, 13])
def test_ranks_share_the_images_of_a_receptive_field_and_none_waits_for_another_to_look(
    config, processes, tmp_path, num_images
):
    analysis = {"kind": "receptive_field", "num_images": num_images, "target": {"kind": "lattice", "per_side": 2}}
    document = config(epochs=1).model_dump() | {"analyses": [analysis]}
    trial = type(config()).model_validate(document)
    alone = train(trial, Runtime(device="cpu", storage=tmp_path / "alone"))
    ranks = train_together(processes, trial, tmp_path, size=2, target=looking_child)
    (together, _, looks), (of_rank_1, _, looks_of_rank_1) = ranks
    assert together == of_rank_1
    # Before and after training: each image on one rank, half of them on each.
    assert len(looks) == len(looks_of_rank_1) == 3
    assert "bias" == looks[-2] == looks_of_rank_1[-2]
    for ours, theirs in zip(looks, looks_of_rank_1, strict=True):
        if ours != "bias":
            assert len(ours) == (num_images + 1) // 2
            assert len({*ours, *theirs}) == len(ours) + len(theirs) == num_images
    names = {name for name in alone.metrics if name.startswith("receptive_field_initial/")}
    assert names
    for name in names:
        assert together.metrics[name] == pytest.approx(alone.metrics[name], rel=1e-5), name
    ours, theirs = (np.load(tmp_path / folder / "receptive_field.npz") for folder in ("alone", "storage"))
    assert sorted(ours.files) == sorted(theirs.files)
    for name in ours.files:
        assert_allclose(theirs[name], ours[name], rtol=1e-4, atol=2e-6, err_msg=name)


def broken_child(config, storage, world, store, results):
    """Rank 1 can't read its share."""
    image_batches = observer.image_batches

    def broken_batches(split, positions, normalize):
        yield from image_batches(split, positions[:1], normalize)
        if world.rank == 1:
            raise DataError("this image is broken")

    observer.image_batches = broken_batches
    child(config, storage, world, store, results)


def test_an_image_that_one_rank_cannot_read_is_told_by_all(config, processes, tmp_path):
    document = config(epochs=1).model_dump() | {"analyses": [{"kind": "receptive_field", "num_images": 4}]}
    trial = type(config()).model_validate(document)
    outcomes = [outcome for outcome, _ in train_together(processes, trial, tmp_path, size=2, target=broken_child)]
    assert [type(outcome) for outcome in outcomes] == [DataError] * 2
