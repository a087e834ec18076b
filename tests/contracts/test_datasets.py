"""What every data set must do. A new member of `DatasetConfig` is asked by adding one example here."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainers.data.layouts import make_pet, small
from trainers.data import (
    CropFlipAugmentation,
    DatasetConfig,
    DigitsConfig,
    FolderConfig,
    ManifestConfig,
    NeighborTextureConfig,
    NoAugmentation,
)
from trainers.data.prepare import SETS
from trainers.data.prepare.preparation import prepare
from trainers.data.splits import Splits


def make_digits(root: Path) -> DatasetConfig:
    return DigitsConfig(num_train=60, num_val=40, num_test=50)


def make_folder(root: Path) -> DatasetConfig:
    generator = np.random.default_rng(0)
    for class_name in ("cat", "dog"):
        folder = root / "pets" / class_name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return FolderConfig(path="pets")


def make_manifest(root: Path) -> DatasetConfig:
    (pet,) = (published for published in SETS if published.name == "oxford_pet")
    images = make_pet(root / "pet")
    output = root / "pet.manifest.parquet"
    prepare(small(pet, images), images, "paper", output, allow_incomplete=False, stream=io.StringIO())
    return ManifestConfig(path=output.name)


def make_neighbor_texture(root: Path) -> DatasetConfig:
    return NeighborTextureConfig(num_train=12, num_val=6, num_test=9)


EXAMPLES = {
    "digits": make_digits,
    "folder": make_folder,
    "manifest": make_manifest,
    "neighbor_texture": make_neighbor_texture,
}


@pytest.fixture(params=EXAMPLES.values(), ids=EXAMPLES.keys())
def config(request: pytest.FixtureRequest, tmp_path: Path) -> DatasetConfig:
    make: Callable[[Path], DatasetConfig] = request.param
    return make(tmp_path)


def load(config: DatasetConfig, root: Path, *, seed: int = 0, augmented: bool = False) -> Splits:
    return config.load(
        root,
        input_size_px=16,
        augmentation=CropFlipAugmentation() if augmented else NoAugmentation(),
        seed=seed,
    )


def test_every_member_of_the_union_has_an_example(tmp_path: Path) -> None:
    assert {type(make(tmp_path / name)) for name, make in EXAMPLES.items()} == set(get_args(DatasetConfig))


def test_gives_images_labels_and_indices(config: DatasetConfig, tmp_path: Path) -> None:
    splits = load(config, tmp_path)
    assert len(splits.class_names) == splits.num_classes
    for split in (splits.train, splits.val, splits.test):
        image, label, _ = split[0]
        assert image.shape == (3, 16, 16)
        assert image.dtype in (torch.uint8, torch.float32)
        assert 0 <= image.min() < image.max() <= (255 if image.dtype == torch.uint8 else 1)
        assert 0 <= label < splits.num_classes
        # Else it could not be page-locked for a GPU.
        assert split.__getitems__([0, 1]).images.is_contiguous()


def test_splits_are_disjoint_and_do_not_depend_on_the_trial_seed(config: DatasetConfig, tmp_path: Path) -> None:
    first, second = load(config, tmp_path, seed=0), load(config, tmp_path, seed=1)
    indices = [set(split.indices.tolist()) for split in (first.train, first.val, first.test)]
    assert all(indices)
    assert sum(len(part) for part in indices) == len(set.union(*indices))
    assert indices == [set(split.indices.tolist()) for split in (second.train, second.val, second.test)]


def test_augmentation_is_a_function_of_seed_epoch_and_image(config: DatasetConfig, tmp_path: Path) -> None:
    def image(seed: int, epoch: int) -> torch.Tensor:
        train = load(config, tmp_path, seed=seed, augmented=True).train
        train.set_epoch(epoch)
        return train[3][0]

    assert torch.equal(image(0, 0), image(0, 0))
    assert not torch.equal(image(0, 0), image(0, 1))
    assert not torch.equal(image(0, 0), image(1, 0))


def test_label_and_fingerprint_are_stable(config: DatasetConfig, tmp_path: Path) -> None:
    assert "/" not in config.label
    assert config.fingerprint(tmp_path) == config.fingerprint(tmp_path) != ""
