"""Manifests and the data sets that they describe, once written."""

import io
import json
import os
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.trainers.data.layouts import (
    imagenet_images,
    make_dogs,
    make_imagenet_parquet,
    make_imagenet_tar,
    make_pet,
    picture,
)
from trainers.data.augmentation import NoAugmentation
from trainers.data.crop_flip import CropFlipAugmentation
from trainers.data.loading import BatchStream, Pass
from trainers.data.manifest import COLUMNS, read_manifest
from trainers.data.manifest_set import ManifestConfig
from trainers.data.prepare.imagenet import IMAGENET
from trainers.data.prepare.oxford_pet import OXFORD_PET
from trainers.data.prepare.stanford_dogs import STANFORD_DOGS
from trainers.data.sampling import EvalSampler
from trainers.errors import DataError
from trainers.ranks import ALONE
from trainers.runtime import Runtime
from trainers.training.trial import train

SIDE = 16


def load(config, data_root, *, augmentation=None):
    return config.load(
        data_root,
        input_size_px=SIDE,
        augmentation=augmentation or NoAugmentation(),
        seed=0,
    )


@pytest.fixture
def pet(tmp_path, prepared):
    """A prepared Pet tree with a grey image, its manifest and its config."""
    images = make_pet(tmp_path / "pet")
    (images / "images" / "beagle_3.jpg").write_bytes(picture(5, mode="L"))
    return images, *prepared(OXFORD_PET, images, "paper")


def all_splits(splits):
    return (splits.train, splits.val, splits.test)


def test_images_are_those_of_the_files(pet, data_root):
    folder, manifest, config = pet
    splits = load(config, data_root)
    assert [len(split) for split in all_splits(splits)] == [56, 12, 12]
    assert splits.class_names == ("Abyssinian", "Bengal", "american_bulldog", "beagle")
    for split in all_splits(splits):
        for position, index in enumerate(split.indices.tolist()):
            path = manifest.stored_image(index).path
            with Image.open(folder / path) as image:
                assert split.image(position).tobytes() == image.convert("RGB").tobytes()
            assert path.startswith(f"images/{splits.class_names[split.labels[position]]}_")
            assert split[position][0].shape == (3, SIDE, SIDE)


def test_published_images_are_read_as_timm_reads_them(tmp_path, prepared, data_root):
    """Neither turned by EXIF nor laid on white: numbers on published sets compare with others' numbers."""
    images = make_pet(tmp_path / "pet")
    turned = Image.Exif()
    turned[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(images / "images" / "beagle_1.jpg", format="PNG")
    Image.fromarray(pixels[..., :3]).save(images / "images" / "beagle_2.jpg", exif=turned)
    manifest, config = prepared(OXFORD_PET, images, "paper")
    seen = {}
    for split in all_splits(load(config, data_root)):
        for position, index in enumerate(split.indices.tolist()):
            seen[manifest.stored_image(index).path.removeprefix("images/")] = split.image(position)
    assert seen["beagle_1.jpg"].tobytes() == pixels[..., :3].tobytes()
    assert seen["beagle_2.jpg"].size == (12, 9)


def test_copies_across_splits_are_counted(tmp_path, prepared, data_root):
    images = make_pet(tmp_path / "pet")
    _, config = prepared(OXFORD_PET, images, "paper")
    assert str(config.survey(data_root).account) == "4 classes, 56/12/12 images"
    for number in range(2, 21):
        shutil.copy(images / "images" / "beagle_1.jpg", images / "images" / f"beagle_{number}.jpg")
    _, config = prepared(OXFORD_PET, images, "paper")
    splits = load(config, data_root)
    expected = sum(int((part.labels == 3).sum()) for part in (splits.val, splits.test))
    assert expected > 1
    assert f"{expected} copies of training images in val or test" in str(config.survey(data_root).account)


@pytest.mark.parametrize("make", [make_imagenet_parquet, make_imagenet_tar])
def test_images_in_shards_are_read_in_any_order(tmp_path, data_root, prepared, make):
    _, config = prepared(IMAGENET, make(tmp_path / "imagenet"))
    train_split = load(config, data_root, augmentation=CropFlipAugmentation()).train
    expected = {}
    for part in ("train", "val"):
        for _, label, content in imagenet_images(part):
            expected[len(expected)] = (label, Image.open(io.BytesIO(content)).convert("RGB").tobytes())
    order = np.random.default_rng(0).permutation(len(train_split)).tolist()
    for position in order:
        label, pixels = expected[int(train_split.indices[position])]
        assert int(train_split.labels[position]) == label
        assert train_split.image(position).tobytes() == pixels
    # As loader workers get it where processes are not forked.
    copied = pickle.loads(pickle.dumps(train_split))
    assert (copied.__getitems__([3, 1]).images == train_split.__getitems__([3, 1]).images).all()


@pytest.mark.parametrize("loader_workers", [0, 1])
def test_loader_workers_read_shards(tmp_path, data_root, prepared, loader_workers):
    _, config = prepared(IMAGENET, make_imagenet_parquet(tmp_path / "imagenet"))
    split = load(config, data_root).test
    expected = split.__getitems__(range(len(split)))
    batches = EvalSampler(len(split), batch_size=15, world=ALONE)
    stream = BatchStream({"test": split}, [Pass("test", 0, batches)], loader_workers=loader_workers, pin=False)
    (batch,) = list(stream.next_pass("test", 0))
    stream.close()
    assert (batch.images == expected.images).all()


def test_the_fingerprint_is_of_the_content_not_of_the_place(tmp_path, data_root, prepared):
    images = make_pet(tmp_path / "pet")
    first = prepared(OXFORD_PET, images)[1].fingerprint(data_root)
    moved = tmp_path / "elsewhere" / "pet"
    moved.parent.mkdir()
    images.rename(moved)
    assert prepared(OXFORD_PET, moved)[1].fingerprint(data_root) == first
    assert prepared(OXFORD_PET, moved, "paper")[1].fingerprint(data_root) != first
    (moved / "images" / "beagle_3.jpg").write_bytes(picture(5))
    assert prepared(OXFORD_PET, moved)[1].fingerprint(data_root) != first


def test_a_set_may_move_with_its_manifest(tmp_path, prepared, data_root):
    _, config = prepared(OXFORD_PET, make_pet(data_root / "sets" / "pet"))
    shutil.move(data_root, tmp_path / "moved")
    assert load(config, tmp_path / "moved").train[0][0].shape == (3, SIDE, SIDE)


def complaint(function, *arguments):
    with pytest.raises(DataError) as caught:
        function(*arguments)
    return str(caught.value)


def test_a_missing_manifest_says_where_it_was_sought_and_what_to_type(pet, data_root):
    message = complaint(ManifestConfig(path="oxford_pet-official.manifest.parquet").fingerprint, data_root)
    assert message == (
        f"no manifest {data_root}/oxford_pet-official.manifest.parquet (path 'oxford_pet-official.manifest.parquet', "
        f"from the data root {data_root}); there is oxford_pet-paper.manifest.parquet; `sigmalab data prepare "
        "oxford_pet --root <its folder> --protocol official` writes one, `sigmalab data list` names the sets"
    )
    incomplete = complaint(ManifestConfig(path="oxford_pet-paper-incomplete.manifest.parquet").fingerprint, data_root)
    assert "`sigmalab data prepare oxford_pet --root <its folder> --protocol paper`" in incomplete
    assert "--protocol <protocol>" in complaint(ManifestConfig(path="cats.parquet").fingerprint, data_root)


def test_a_file_that_is_no_manifest(data_root):
    file = data_root / "other.manifest.parquet"
    config = ManifestConfig(path=file.name)
    file.write_bytes(b"not parquet at all")
    assert f"{file} is not a manifest: " in complaint(config.fingerprint, data_root)
    pq.write_table(pa.table({"a": [1]}), file)
    assert "is a Parquet file but not a manifest" in complaint(config.fingerprint, data_root)


def rewrite(file, change):
    table = pq.read_table(file)
    pq.write_table(change(table), file)


def test_a_manifest_that_was_changed_is_refused(pet, data_root):
    _, manifest, config = pet
    file = data_root / config.path
    label = COLUMNS.get_field_index("label")
    rewrite(file, lambda table: table.set_column(label, COLUMNS.field("label"), pa.array([0] * len(table), pa.int32())))
    assert f"was changed after it was written (its rows do not give its digest {manifest.header.digest[:20]})" in (
        complaint(config.fingerprint, data_root)
    )
    rewrite(file, lambda table: table.drop_columns(["sha256"]))
    assert "its columns are path, shard, offset, size, label, split, those of a manifest path" in (
        complaint(config.fingerprint, data_root)
    )


def test_a_manifest_of_another_version(pet, data_root):
    file = data_root / pet[2].path
    header = json.loads(pq.read_schema(file).metadata[b"sigmalab"]) | {"format": 2}
    rewrite(file, lambda table: table.replace_schema_metadata({b"sigmalab": json.dumps(header)}))
    assert "written by another version of sigmalab (format: Input should be 1)" in (
        complaint(pet[2].fingerprint, data_root)
    )


def test_an_image_that_changed_or_went_is_named(pet, data_root):
    folder, manifest, config = pet
    split = load(config, data_root).val
    file = folder / manifest.stored_image(int(split.indices[2])).path
    file.write_bytes(picture(77))
    message = complaint(split.__getitems__, [2])
    assert file.name in message
    assert "is not the image that the manifest was made from (its sha256 differs)" in message
    file.unlink()
    message = complaint(split.__getitems__, [2])
    assert file.name in message
    assert "No such file or directory; it was there when the manifest was written" in message


def test_a_shard_that_was_cut_or_replaced_is_named(tmp_path, data_root, prepared):
    root = make_imagenet_parquet(tmp_path / "imagenet")
    _, config = prepared(IMAGENET, root)
    shard = root / "data" / "validation-00000-of-00001.parquet"
    split = load(config, data_root).test
    assert split.image(0).size == (12, 14)
    content = shard.read_bytes()
    shard.unlink()
    message = complaint(split.image, 0)
    assert message.startswith("ILSVRC2012_val_00000010.JPEG in validation-00000-of-00001.parquet can't be read (")
    assert "No such file or directory; it was there when the manifest was written" in message
    shard.write_bytes(content[: len(content) // 2])
    assert "is not the shard that it was" in complaint(split.image, 0)


def test_a_trial_on_a_prepared_set_trains_and_resumes(pet, data_root, tmp_path, trial):
    config = trial(
        dataset=pet[2].model_dump(),
        optimization={"epochs": 2, "global_batch_size": 8},
        augmentation={"kind": "crop_flip"},
    )

    def run(name, on_epoch=None):
        return train(config, Runtime(device="cpu", data_root=data_root, storage=tmp_path / name), on_epoch=on_epoch)

    whole = run("whole")
    assert whole.provenance["data_fingerprint"] == pet[1].header.digest[:20]
    assert 0 <= whole.metrics["test/top1"] <= 1

    def interrupt(report):
        if report.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("parts", interrupt)
    resumed = run("parts")
    for ours, theirs in zip(whole.epochs, resumed.epochs, strict=True):
        for name in ("train/loss", "val/loss", "val/top1"):
            assert ours.metrics[name] == theirs.metrics[name]
    assert resumed.metrics["test/loss"] == whole.metrics["test/loss"]


def test_manifests_are_read_once(tmp_path, data_root, prepared):
    _, config = prepared(STANFORD_DOGS, make_dogs(tmp_path / "dogs"))
    file = data_root / config.path
    assert read_manifest(file) is read_manifest(file)
    before = read_manifest(file)
    os.utime(file, ns=(1, 1))
    assert read_manifest(file) is not before


def test_the_label_is_the_manifests_name():
    assert ManifestConfig(path="/data/oxford_pet-paper.manifest.parquet").label == "oxford_pet-paper"
    assert ManifestConfig(path="mine.parquet").label == "mine.parquet"
