import numpy as np
import pytest
import torch
from pydantic import ValidationError

from trainers.data.augmentation import NoAugmentation
from trainers.data.neighbor_texture import NeighborTextureConfig

CELL = 8
CHANCE = 1 / 3
# Four standard errors of an accuracy at chance, over the test images below.
NUM_TEST = 999
SLACK = 4 * np.sqrt(CHANCE * (1 - CHANCE) / NUM_TEST)


def load(side=64, **changes):
    config = NeighborTextureConfig(**changes)
    return config.load(None, input_size_px=side, augmentation=NoAugmentation(), seed=0)


def everything(split):
    batch = split.__getitems__(range(len(split)))
    assert torch.equal(batch.images[:, 0], batch.images[:, 2])
    return batch.images[:, 0].double().numpy(), batch.targets.numpy()


def cut(images):
    """[n, S, S] -> [n, G, G, 8, 8]"""
    n, side, _ = images.shape
    grid = side // CELL
    return images.reshape(n, grid, CELL, grid, CELL).transpose(0, 1, 3, 2, 4)


def stands(images):
    """[n, G, G] of +1 (the bar stands) and -1, told by where the brightness varies: along the row or the column."""
    cells = cut(images)
    return np.where(cells.mean(3).var(-1) > cells.mean(4).var(-1), 1, -1)


def agreement(images):
    """Mean product of each bar with its right and lower neighbour; blocks go on at the opposite edge."""
    bars = stands(images)
    return np.mean([bars * np.roll(bars, -1, axis) for axis in (1, 2)], axis=(0, 2, 3))


def by_neighbours(images):
    """Of the four right and lower neighbours in a block, as many are alike as in the class, all others are random."""
    centers = np.array([0.5, 0.0, -0.5])
    return np.abs(agreement(images)[:, None] - centers).argmin(1)


def ridge_accuracy(features, labels, test_features, test_labels):
    """Of a linear classifier by ridge regression on one-hot labels."""
    mean, std = features.mean(0), features.std(0) + 1e-9
    x, targets = (features - mean) / std, np.eye(3)[labels] - CHANCE
    weights = np.linalg.solve(x.T @ x + 0.1 * len(x) * np.eye(x.shape[1]), x.T @ targets)
    return (((test_features - mean) / std @ weights).argmax(1) == test_labels).mean()


@pytest.fixture(scope="module")
def splits():
    return load(num_train=1500, num_val=30, num_test=NUM_TEST)


def test_neighbours_tell_the_class(splits):
    images, labels = everything(splits.test)
    assert (by_neighbours(images) == labels).mean() > 0.95


def test_a_classifier_that_is_blind_to_position_stays_at_chance(splits):
    # Random features of each patch, averaged over the patches: any order of the patches gives the same.
    weights = np.random.default_rng(0).normal(size=(CELL * CELL, 150)) / CELL

    def bag(images):
        patches = cut(images).reshape(len(images), -1, CELL * CELL) - 0.5
        return np.maximum(patches @ weights, 0).mean(1)

    (images, labels), (test_images, test_labels) = everything(splits.train), everything(splits.test)
    assert abs(ridge_accuracy(bag(images), labels, bag(test_images), test_labels) - CHANCE) < SLACK
    # The same features do tell an image's class where patches are of different kinds: brightness of a marked class.
    images[labels == 0] += 0.02
    test_images[test_labels == 0] += 0.02
    assert ridge_accuracy(bag(images), labels, bag(test_images), test_labels) > CHANCE + 2 * SLACK


def test_patches_with_their_places_stay_at_chance_without_their_neighbours(splits):
    (images, labels), (test_images, test_labels) = everything(splits.train), everything(splits.test)
    bars, test_bars = (stands(part).reshape(len(part), -1) for part in (images, test_images))
    assert abs(ridge_accuracy(bars, labels, test_bars, test_labels) - CHANCE) < SLACK


@pytest.mark.parametrize("shuffled_fraction", [0.0, 0.3, 0.9])
def test_every_image_has_as_many_lying_bars_as_standing_ones(shuffled_fraction):
    # Without noise each bar is read without fault.
    train = load(num_train=60, num_val=3, num_test=3, noise_std=0, shuffled_fraction=shuffled_fraction).train
    images, _ = everything(train)
    assert (stands(images).sum(axis=(1, 2)) == 0).all()


def test_distractors_make_it_harder():
    images, labels = everything(load(num_train=3, num_val=3, num_test=300, shuffled_fraction=0.4).test)
    share = (by_neighbours(images) == labels).mean()
    assert CHANCE + 0.05 < share < 0.9


def test_mirroring_keeps_the_class(splits):
    images, labels = everything(splits.test)
    for mirrored in (images[:, :, ::-1], images[:, ::-1]):
        assert (by_neighbours(mirrored) == labels).mean() > 0.95


def test_an_image_depends_on_seed_and_index_only():
    few, many = load(num_train=9, num_val=3, num_test=6), load(num_train=30, num_val=12, num_test=9)
    for name in ("train", "val", "test"):
        small, large = getattr(few, name), getattr(many, name)
        assert small.indices.tolist() == large.indices.tolist()[: len(small)]
        assert torch.equal(small[2][0], large[2][0])
    other = load(num_train=9, num_val=3, num_test=6, generation_seed=1)
    assert not torch.equal(other.train[2][0], few.train[2][0])


def test_no_image_is_in_two_splits_and_labels_are_balanced():
    splits = load(num_train=50, num_val=40, num_test=41)
    parts = [everything(part) for part in (splits.train, splits.val, splits.test)]
    assert len({image.tobytes() for images, _ in parts for image in images}) == 131
    for _, labels in parts:
        counts = np.bincount(labels, minlength=3)
        assert counts.max() - counts.min() <= 1


def test_the_largest_splits_do_not_overlap():
    largest = {name: NeighborTextureConfig.model_fields[f"num_{name}"].metadata[1].le for name in ("val", "test")}
    few = load(num_train=3, num_val=3, num_test=3)
    starts = {name: int(getattr(few, name).indices[0]) for name in ("train", "val", "test")}
    assert starts["test"] + largest["test"] <= starts["val"]
    assert starts["val"] + largest["val"] <= starts["train"]


def test_other_sizes_are_generated_and_models_of_another_input_get_them_resized():
    sizes = {"num_train": 3, "num_val": 3, "num_test": 3}
    assert load(side=96, image_size_px=96, **sizes).train[0][0].shape == (3, 96, 96)
    large, small = load(side=64, **sizes).train[0][0], load(side=32, **sizes).train[0][0]
    assert small.shape == (3, 32, 32)
    blocks = large.unflatten(1, (32, 2)).unflatten(3, (32, 2)).mean(dim=(2, 4))
    assert (small - blocks).abs().mean() < 0.05


def test_a_size_of_half_blocks_is_refused():
    with pytest.raises(ValidationError, match=r"80 is not a multiple of 32 .*, as 64 is"):
        NeighborTextureConfig(image_size_px=80)


def test_fingerprint_and_label_tell_data_sets_apart():
    changes = [
        {},
        {"num_train": 500},
        {"image_size_px": 96},
        {"shuffled_fraction": 0.25},
        {"noise_std": 0.2},
        {"generation_seed": 1},
    ]
    configs = [NeighborTextureConfig(**change) for change in changes]
    assert len({config.fingerprint(None) for config in configs}) == len(configs)
    assert [config.label for config in configs] == [
        "neighbors-1000",
        "neighbors-500",
        "neighbors-1000-px96",
        "neighbors-1000-shuffled0.25",
        "neighbors-1000-noise0.2",
        "neighbors-1000-gen1",
    ]
