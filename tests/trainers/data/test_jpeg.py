"""Large JPEGs at a fraction of their side, where a data set asks for it."""

import uuid

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data.augmentation import NoAugmentation
from trainers.data.folder import FolderConfig
from trainers.data.image_file import FileSplit

INPUT_PX = 16
SIDES = {(300, 256): (38, 32), (130, 200): (33, 50), (64, 600): (32, 300), (63, 600): (63, 600), (20, 20): (20, 20)}
"""Width and height in the file -> what is decoded: an 8th, a 4th, a half, and twice all, of inputs of 16 pixels."""


@pytest.fixture
def photographs(tmp_path):
    for number, size in enumerate(SIDES):
        pixels = np.random.default_rng(number).integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        for name in ("one", "two"):
            (tmp_path / "photographs" / name).mkdir(parents=True, exist_ok=True)
            picture.save(tmp_path / "photographs" / name / f"{number}.jpg", quality=90)
            picture.save(tmp_path / "photographs" / name / f"{number}.png")
    return tmp_path


def load(root, **settings):
    config = FolderConfig(path="photographs", **settings)
    return config.load(root, input_size_px=INPUT_PX, augmentation=NoAugmentation(), seed=0)


def decoded_sizes(splits):
    """Size in the file -> size that was decoded, of each kind of file."""
    sizes = {}
    for split in (splits.train, splits.val, splits.test):
        assert isinstance(split, FileSplit)
        for position, path in enumerate(split._paths):
            with Image.open(path) as image:
                sizes[image.format, image.size] = split.image(position).size
    return sizes


def test_the_shorter_side_keeps_twice_the_input(photographs):
    expected = {("JPEG", there): decoded for there, decoded in SIDES.items()}
    expected |= {("PNG", there): there for there in SIDES}
    assert decoded_sizes(load(photographs, jpeg="scaled")) == expected
    assert decoded_sizes(load(photographs)) == {key: key[1] for key in expected}


def test_views_are_nearly_those_of_the_whole_image(photographs):
    whole, scaled = (
        splits.train.__getitems__(range(len(splits.train))).images.float()
        for splits in (load(photographs), load(photographs, jpeg="scaled"))
    )
    assert 0 < (whole - scaled).abs().mean() < 4


def test_the_cache_keeps_both_apart(photographs):
    key, images = uuid.uuid4().hex, {}
    for jpeg in ("full", "scaled"):
        expected = load(photographs, jpeg=jpeg).train
        positions = range(len(expected))
        kept = load(photographs, jpeg=jpeg)
        kept.keep_decoded(limit_gib=0.01, key=key)
        for _ in range(2):
            images[jpeg] = kept.train.__getitems__(positions).images
            assert torch.equal(images[jpeg], expected.__getitems__(positions).images)
    assert not torch.equal(images["full"], images["scaled"])


def test_it_is_part_of_the_identity_only_where_it_is_asked_for():
    assert "jpeg" not in FolderConfig(path="a").model_dump_json()
    assert FolderConfig(path="a", jpeg="scaled").model_dump()["jpeg"] == "scaled"
