import gc
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data.folder import FolderConfig
from trainers.data.image_cache import BYTES_PER_GIB, ImageCache
from trainers.data.image_file import FileSplit
from trainers.data.loading import BatchStream, Pass
from trainers.data.rand_augment import RandAugmentation
from trainers.data.sampling import TrainSampler
from trainers.errors import ConfigError
from trainers.ranks import ALONE

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
def key():
    """Of no cache that there is."""
    return uuid.uuid4().hex


@pytest.fixture
def decoded(monkeypatch):
    """Positions that were decoded in this process."""
    seen, original = [], FileSplit.image

    def listened(split, position):
        seen.append(int(split.indices[position]))
        return original(split, position)

    monkeypatch.setattr(FileSplit, "image", listened)
    return seen


def epochs(root, *, limit_gib, loader_workers=0, num_epochs=3, key=None):
    """All training batches of some epochs."""
    splits = FolderConfig(path="pets").load(root, input_size_px=16, augmentation=RandAugmentation(), seed=0)
    if limit_gib:
        splits.keep_decoded(limit_gib=limit_gib, key=key or uuid.uuid4().hex)
    sampler = TrainSampler(len(splits.train), global_batch_size=7, accumulation_steps=1, seed=0, world=ALONE)
    passes = [Pass("train", epoch, sampler.of_epoch(epoch)) for epoch in range(num_epochs)]
    stream = BatchStream({"train": splits.train}, passes, loader_workers=loader_workers, pin=False)
    images = [batch.images for epoch in range(num_epochs) for batch in stream.next_pass("train", epoch)]
    stream.close()
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


def test_a_full_cache_says_so_once(caplog, key):
    cache = ImageCache(10, limit_gib=3 * IMAGE_GIB, key=key)
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
        ImageCache(10, limit_gib=1e12, key="any")


def test_sizes_may_differ(key):
    cache = ImageCache(3, limit_gib=10 * IMAGE_GIB, key=key)
    images = [Image.effect_noise(size, 50).convert("RGB") for size in ((5, 9), (9, 5), (1, 1))]
    for _ in range(2):
        assert [cache.get(index, lambda: image) for index, image in enumerate(images)] == images  # noqa: B023


def in_another_process(body, **given):
    """Run some lines in a fresh interpreter, which has a cache `cache` of the same arguments as `arguments`."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE.format(**given) + textwrap.dedent(body)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


PREAMBLE = """
import os, sys
from PIL import Image
from trainers.data.image_cache import ImageCache
def decode():
    print("decoded", flush=True)
    return Image.new("RGB", (24, 20), (7, 8, 9))
cache = ImageCache({num_images}, limit_gib={limit_gib}, key={key!r})
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process has its own cache")


def never():
    raise AssertionError("decoded once more")


@LINUX
def test_processes_that_know_nothing_of_each_other_decode_an_image_once(key):
    given = {"num_images": 3, "limit_gib": 10 * IMAGE_GIB, "key": key}
    cache = ImageCache(**given)
    first = cache.get(0, lambda: Image.new("RGB", (24, 20), (1, 2, 3)))
    other = in_another_process(
        "print(cache.get(0, decode).getpixel((23, 19))); cache.get(1, decode); sys.stdin.read()", **given
    )
    assert [other.stdout.readline().strip() for _ in range(2)] == ["(1, 2, 3)", "decoded"]
    # The other one still runs: it holds what it has decoded, and nobody else's death takes that away.
    del cache
    gc.collect()
    joined = ImageCache(**given)
    assert joined.get(0, never).tobytes() == first.tobytes()
    assert joined.get(1, never).getpixel((0, 0)) == (7, 8, 9)
    other.communicate("")
    assert other.returncode == 0


@LINUX
def test_a_cache_of_another_key_or_size_is_another_one(key):
    cache = ImageCache(2, limit_gib=10 * IMAGE_GIB, key=key)
    cache.get(0, lambda: Image.new("RGB", (2, 2)))
    for arguments in ((2, 10 * IMAGE_GIB, key + "b"), (3, 10 * IMAGE_GIB, key), (2, 11 * IMAGE_GIB, key)):
        num_images, limit_gib, other = arguments
        marked = Image.new("RGB", (1, 1))
        assert ImageCache(num_images, limit_gib=limit_gib, key=other).get(0, lambda: marked) is marked  # noqa: B023


@LINUX
def test_who_is_killed_with_the_lock_in_hand_stops_nobody(key):
    given = {"num_images": 3, "limit_gib": 10 * IMAGE_GIB, "key": key}
    cache = ImageCache(**given)
    other = in_another_process(
        "cache.get(1, decode)\nwith cache._locked():\n    print('locked', flush=True)\n    sys.stdin.read()", **given
    )
    assert [other.stdout.readline().strip() for _ in range(2)] == ["decoded", "locked"]
    other.kill()
    other.communicate()
    assert cache.get(1, never).getpixel((0, 0)) == (7, 8, 9)
    assert cache.get(0, lambda: Image.new("RGB", (1, 1), (5, 5, 5))).getpixel((0, 0)) == (5, 5, 5)
    assert cache.get(0, never).getpixel((0, 0)) == (5, 5, 5)


@LINUX
def test_who_is_killed_while_it_writes_spoils_no_image(key):
    """Between claiming room and publishing, the pixels of the others must not land there."""
    given = {"num_images": 3, "limit_gib": 10 * IMAGE_GIB, "key": key}
    cache = ImageCache(**given)
    other = in_another_process(
        "def stop(*_):\n    print('writing', flush=True)\n    sys.stdin.read()\nos.pwrite = stop\ncache.get(1, decode)",
        **given,
    )
    assert [other.stdout.readline().strip() for _ in range(2)] == ["decoded", "writing"]
    other.kill()
    other.communicate()
    images = [Image.effect_noise((24, 20), 50).convert("RGB") for _ in range(3)]
    for _ in range(2):
        assert [cache.get(index, lambda: image).tobytes() for index, image in enumerate(images)] == [  # noqa: B023
            image.tobytes() for image in images
        ]


@LINUX
def test_the_memory_is_free_once_nobody_holds_it(key):
    given = {"num_images": 3, "limit_gib": 10 * IMAGE_GIB, "key": key}
    name = f"sigmalab-images-{key}-3-{int(10 * IMAGE_GIB * BYTES_PER_GIB)}"
    other = in_another_process("cache.get(1, decode); sys.stdin.read()", **given)
    assert other.stdout.readline() == "decoded\n"
    other.kill()
    other.communicate()
    # The list of the killed process is still there, and believed in nothing.
    cache = ImageCache(**given)
    cache.get(1, lambda: Image.new("RGB", (1, 1)))
    listed = Path(tempfile.gettempdir()) / f"sigmalab-memory-{os.getuid()}" / name
    assert listed.read_text() == f"{os.getpid()} {cache._file}\n"
    descriptor = cache._file
    del cache
    gc.collect()
    assert not listed.exists()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@LINUX
def test_a_pickled_cache_is_the_same_one(key):
    cache = ImageCache(1, limit_gib=IMAGE_GIB, key=key)
    cache.get(0, lambda: Image.new("RGB", (24, 20), (4, 5, 6)))
    assert pickle.loads(pickle.dumps(cache)).get(0, never).getpixel((0, 0)) == (4, 5, 6)


def test_the_next_trial_of_a_process_finds_its_images_decoded(folder, decoded):
    first = epochs(folder, limit_gib=1000 * IMAGE_GIB, key="same")
    num_decoded = len(decoded)
    assert num_decoded == 14
    assert torch.equal(epochs(folder, limit_gib=1000 * IMAGE_GIB, key="same"), first)
    assert len(decoded) == num_decoded


@pytest.mark.parametrize("thing", ["a file", "a dead link", "a folder that others may write"])
def test_what_a_stranger_has_put_in_its_place_makes_a_cache_of_its_own(tmp_path, monkeypatch, key, thing):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"sigmalab-memory-{os.getuid()}"
    if thing == "a file":
        place.touch()
    elif thing == "a dead link":
        place.symlink_to(tmp_path / "nowhere")
    else:
        place.mkdir(mode=0o777)
        place.chmod(0o777)
    image = Image.new("RGB", (4, 3), "red")
    first, second = (ImageCache(1, limit_gib=0.001, key=key) for _ in range(2))
    assert first.get(0, lambda: image).tobytes() == image.tobytes()
    decoded = []
    second.get(0, lambda: decoded.append(1) or image)
    assert decoded
