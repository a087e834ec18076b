"""Our data sets, asked what every data set must do. A new one is asked by an example and a class here."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from tests.trainers.data.coco_layouts import write_coco
from tests.trainers.data.layouts import make_pet, small
from tests.trainers.data.mask_layouts import write_masks
from trainers.command.dataset import CommandDataset
from trainers.contracts import DatasetContract, MaskSetContract
from trainers.data.augmentation import NoAugmentation
from trainers.data.coco_format import CocoFormatConfig
from trainers.data.dataset import Dataset
from trainers.data.digits import DigitsConfig
from trainers.data.folder import FolderConfig
from trainers.data.manifest_set import ManifestConfig
from trainers.data.mask_folder import MaskFolderConfig
from trainers.data.neighbor_texture import NeighborTextureConfig
from trainers.data.prepare import SETS
from trainers.data.prepare.preparation import prepare
from trainers.data.python_dataset import PythonDataset
from trainers.data.shapes import ShapesConfig
from trainers.data.shapes_objects import ShapesObjectsConfig
from trainers.kinds import DatasetConfig
from trainers.own_code.place import running
from trainers.strict_json import JsonObject


def make_digits(root: Path) -> Dataset:
    return DigitsConfig(num_train=60, num_val=40, num_test=50)


def make_folder(root: Path) -> Dataset:
    generator = np.random.default_rng(0)
    for class_name in ("cat", "dog"):
        folder = root / "pets" / class_name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return FolderConfig(path="pets")


def make_manifest(root: Path) -> Dataset:
    (pet,) = (published for published in SETS if published.name == "oxford_pet")
    images = make_pet(root / "pet")
    output = root / "pet.manifest.parquet"
    prepare(small(pet, images), images, "paper", output, allow_incomplete=False, stream=io.StringIO())
    return ManifestConfig(path=output.name)


def make_neighbor_texture(root: Path) -> Dataset:
    return NeighborTextureConfig(num_train=12, num_val=6, num_test=9)


def make_shapes(root: Path) -> Dataset:
    return ShapesConfig(num_train=6, num_val=3, num_test=4, image_size_px=32)


def make_mask_folder(root: Path) -> Dataset:
    write_masks(root / "shapes")
    return MaskFolderConfig(path="shapes")


def make_coco_format(root: Path) -> Dataset:
    write_coco(root / "set")
    return CocoFormatConfig(path="set")


def make_shapes_objects(root: Path) -> Dataset:
    return ShapesObjectsConfig(num_train=12, num_val=6, num_test=9)


EXAMPLES = {
    "digits": make_digits,
    "folder": make_folder,
    "manifest": make_manifest,
    "neighbor_texture": make_neighbor_texture,
}
MASK_EXAMPLES = {"mask_folder": make_mask_folder, "shapes": make_shapes}
OBJECT_EXAMPLES = {"coco_format": make_coco_format, "shapes_objects": make_shapes_objects}


def test_every_member_of_the_union_has_an_example(tmp_path: Path) -> None:
    examples = EXAMPLES | MASK_EXAMPLES | OBJECT_EXAMPLES
    # Own ones run in a process that may import them: see below. What only a script reads has nothing to be asked.
    own = {PythonDataset, CommandDataset}
    assert {type(make(tmp_path / name)) for name, make in examples.items()} == set(get_args(DatasetConfig)) - own


class TestDigits(DatasetContract):
    def make(self, data_root: Path) -> Dataset:
        return make_digits(data_root)


class TestFolder(DatasetContract):
    def make(self, data_root: Path) -> Dataset:
        return make_folder(data_root)


class TestManifest(DatasetContract):
    def make(self, data_root: Path) -> Dataset:
        return make_manifest(data_root)


class TestNeighborTexture(DatasetContract):
    def make(self, data_root: Path) -> Dataset:
        return make_neighbor_texture(data_root)


class TestOwn(DatasetContract):
    @pytest.fixture(autouse=True)
    def in_this_process(self) -> Iterator[None]:
        with running(None):
            yield

    def make(self, data_root: Path) -> Dataset:
        # Some that torchvision makes up, of PIL images.
        arguments: JsonObject = {"size": 30, "image_size": [3, 16, 16], "num_classes": 3}
        return PythonDataset(target="torchvision.datasets:FakeData", arguments=arguments)


class TestMaskFolder(MaskSetContract):
    def make(self, data_root: Path) -> Dataset:
        return make_mask_folder(data_root)


class TestShapes(MaskSetContract):
    def make(self, data_root: Path) -> Dataset:
        return make_shapes(data_root)


class TestCocoFormat(DatasetContract):
    def make(self, data_root: Path) -> Dataset:
        return make_coco_format(data_root)


class TestShapesObjects(DatasetContract):
    def make(self, data_root: Path) -> Dataset:
        return make_shapes_objects(data_root)


@pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_labels_are_those_of_classes(make: Callable[[Path], Dataset], tmp_path: Path) -> None:
    splits = make(tmp_path).load(tmp_path, input_size_px=16, augmentation=NoAugmentation(), seed=0)
    for split in (splits.train, splits.val, splits.test):
        assert all(0 <= label < len(splits.class_names) for _, label, _ in (split[0], split[1]))
