import logging
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data import FolderConfig, RandAugmentation
from trainers.data.image_cache import BYTES_PER_GIB, ImageCache
from trainers.data.image_file import FileSplit
from trainers.data.loading import BatchLoader
from trainers.data.sampling import TrainSampler
from trainers.errors import ConfigError
from trainers.world import ALONE

# What one of the images below takes.
IMAGE_GIB = 3 * 20 * 24 / BYTES_PER_GIB


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for class_name in ("cat", "dog"):
        (tmp_path / "pets" / class_name).mkdir(parents=True)
        for number in range(10):
            pixels = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / class_name / f"{number}.png")
    return tmp_path


@pytest.fixture
def decoded(monkeypatch):
    """Positions that were decoded in this process."""
    seen, original = [], FileSplit.image

    def listened(split, position):
        seen.append(int(split.indices[position]))
        return original(split, position)

    monkeypatch.setattr(FileSplit, "image", listened)
    return seen


def epochs(root, *, limit_gib, loader_workers=0, num_epochs=3):
    """All training batches of some epochs."""
    splits = FolderConfig(path="pets").load(root, input_size_px=16, augmentation=RandAugmentation(), seed=0)
    if limit_gib:
        splits.keep_decoded(limit_gib=limit_gib)
    sampler = TrainSampler(len(splits.train), global_batch_size=7, accumulation_steps=1, seed=0, world=ALONE)
    loader = BatchLoader(splits.train, sampler, loader_workers=loader_workers, pin=False)
    images = []
    for epoch in range(num_epochs):
        sampler.set_epoch(epoch)
        splits.train.set_epoch(epoch)
        images += [batch.images for batch in loader]
    return torch.stack(images)


@pytest.mark.parametrize("loader_workers", [0, 2])
@pytest.mark.parametrize("num_kept", [1000, 5, 0.5])
def test_the_cache_changes_no_pixel(folder, loader_workers, num_kept):
    expected = epochs(folder, limit_gib=0)
    assert expected.dtype == torch.uint8
    assert torch.equal(epochs(folder, limit_gib=num_kept * IMAGE_GIB, loader_workers=loader_workers), expected)


@pytest.mark.parametrize(("num_kept", "num_decoded"), [(1000, 14), (5, 5 + 3 * 9)])
def test_an_image_that_is_kept_is_decoded_once(folder, decoded, num_kept, num_decoded):
    epochs(folder, limit_gib=num_kept * IMAGE_GIB)
    # 14 training images, two batches of 7 in each of 3 epochs.
    assert len(decoded) == num_decoded
    assert len(set(decoded)) == 14


def test_loader_processes_share_the_cache(folder, tmp_path, monkeypatch):
    log, original = tmp_path / "decoded.txt", FileSplit.image

    def listened(split, position):
        with log.open("a") as file:
            file.write(f"{int(split.indices[position])}\n")
        return original(split, position)

    monkeypatch.setattr(FileSplit, "image", listened)
    epochs(folder, limit_gib=1000 * IMAGE_GIB, loader_workers=2, num_epochs=6)
    # In a cache of its own, each of the two would decode nearly all 14. Both may be at the same image at once.
    assert 14 <= len(log.read_text().split()) < 20


def test_a_full_cache_says_so_once(caplog):
    cache = ImageCache(10, limit_gib=3 * IMAGE_GIB)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            for index in range(10):
                image = cache.get(index, lambda index=index: Image.new("RGB", (24, 20), (index, 0, 0)))
                assert image.getpixel((23, 19)) == (index, 0, 0)
    (record,) = caplog.records
    assert "3 of 10 images take its" in record.getMessage()
    assert "raise image_cache_gib" in record.getMessage()


def test_more_memory_than_there_is_is_refused():
    with pytest.raises(ConfigError, match=r"image_cache_gib 1e\+12 is more memory than this machine gives"):
        ImageCache(10, limit_gib=1e12)


def test_sizes_may_differ():
    cache = ImageCache(3, limit_gib=10 * IMAGE_GIB)
    images = [Image.effect_noise(size, 50).convert("RGB") for size in ((5, 9), (9, 5), (1, 1))]
    for _ in range(2):
        assert [cache.get(index, lambda: image) for index, image in enumerate(images)] == images  # noqa: B023


def test_a_pickled_cache_is_an_empty_one():
    cache = ImageCache(1, limit_gib=IMAGE_GIB)
    cache.get(0, lambda: Image.new("RGB", (24, 20)))
    other = Image.new("RGB", (1, 1))
    assert pickle.loads(pickle.dumps(cache)).get(0, lambda: other) is other
