import shutil

import numpy as np
import pytest
from PIL import Image

from trainers.config import TrialConfig
from trainers.data.augmentation import NoAugmentation
from trainers.data.crop_flip import CropFlipAugmentation
from trainers.data.folder import FolderConfig
from trainers.data.loading import BatchStream, Pass
from trainers.data.sampling import EvalSampler
from trainers.errors import DataError
from trainers.ranks import ALONE
from trainers.runtime import Runtime
from trainers.training.trial import train

SIDE = 16


def paint(folder, name, num_images, *, first=0):
    """Images of one class: a class is a colour, an image its shade."""
    target = folder / name
    target.mkdir(parents=True)
    color = {"blue": 2, "green": 1, "red": 0}[name]
    for number in range(first, first + num_images):
        pixels = np.zeros((20, 30, 3), np.uint8)
        pixels[:, :, color] = 55 + number
        Image.fromarray(pixels).save(target / f"{number:03}.png")


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "colors"
    for name in ("red", "green", "blue"):
        paint(folder, name, 20)
    return folder


@pytest.fixture
def trees(tmp_path):
    folder = tmp_path / "colors"
    for first, (split, num_images) in enumerate({"train": 6, "val": 3, "test": 2}.items()):
        for name in ("red", "green", "blue"):
            paint(folder / split, name, num_images, first=50 * first)
    return folder


PLAIN = NoAugmentation()


def load(folder, augmentation=PLAIN, **changes):
    config = FolderConfig.model_validate({"path": folder.name} | changes)
    return config.load(
        folder.parent,
        input_size_px=SIDE,
        augmentation=augmentation,
        seed=0,
    )


def everything(split):
    return split.__getitems__(range(len(split)))


def test_one_tree_is_split_by_seed(tree):
    splits = load(tree, val_fraction=0.2, test_fraction=0.1)
    assert splits.class_names == ("blue", "green", "red")
    assert [len(split) for split in (splits.train, splits.val, splits.test)] == [42, 12, 6]
    together = [*splits.train.indices.tolist(), *splits.val.indices.tolist(), *splits.test.indices.tolist()]
    assert sorted(together) == list(range(60))
    # Stratified.
    assert np.bincount(splits.val.labels).tolist() == [4, 4, 4]
    again, other = load(tree, val_fraction=0.2, test_fraction=0.1), load(tree, val_fraction=0.2, split_seed=1)
    assert again.val.indices.tolist() == splits.val.indices.tolist()
    assert other.val.indices.tolist() != splits.val.indices.tolist()


def test_images_are_what_the_files_hold(tree):
    split = load(tree).val
    batch = everything(split)
    assert batch.images.shape == (len(split), 3, SIDE, SIDE)
    # Classes in alphabetical order: blue, green, red; files in order within a class.
    channel = 2 - batch.targets
    brightness = batch.images[range(len(split)), channel, 0, 0]
    assert brightness.round().tolist() == (55 + batch.indices % 20).tolist()
    assert batch.images.sum() == pytest.approx(float(batch.images[range(len(split)), channel].sum()))


def test_ready_made_trees_are_used_as_they_are(trees):
    splits = load(trees)
    assert [len(split) for split in (splits.train, splits.val, splits.test)] == [18, 9, 6]
    assert splits.val.indices.tolist() == list(range(18, 27))
    assert everything(splits.test).images.amax((1, 2, 3)).tolist() == [155, 156] * 3


def test_missing_trees_are_cut_from_the_training_tree(trees):
    shutil.rmtree(trees / "test")
    splits = load(trees, test_fraction=0.34)
    assert [len(split) for split in (splits.train, splits.val, splits.test)] == [12, 9, 6]
    assert set(splits.test.indices.tolist()) < set(range(18))


def test_a_class_called_train_is_a_class(tmp_path):
    folder = tmp_path / "vehicles"
    for name in ("red", "green"):
        paint(folder, name, 10)
    (folder / "red").rename(folder / "train")
    assert load(folder).class_names == ("green", "train")


def test_augmented_images_have_the_models_size(tree):
    batch = everything(load(tree, CropFlipAugmentation(color_jitter=0.4)).train)
    assert batch.images.shape[1:] == (3, SIDE, SIDE)


def test_gray_and_transparent_images_become_rgb(tree):
    Image.new("L", (9, 9), 128).save(tree / "red" / "000.png")
    Image.new("RGBA", (9, 9), (0, 255, 0, 10)).save(tree / "green" / "000.png")
    Image.new("P", (9, 9)).save(tree / "blue" / "000.png")
    splits = load(tree)
    for split in (splits.train, splits.val, splits.test):
        assert everything(split).images.shape[1] == 3


def complaint(stream):
    # Not pytest.raises: what it keeps would keep the stream, and stopping workers from the garbage collector takes 5 s.
    try:
        list(stream.next_pass("val", 0))
    except DataError as error:
        return str(error)
    return "no error"


@pytest.mark.parametrize("loader_workers", [0, 1])
@pytest.mark.parametrize("content", [b"", b"not an image", "cut"])
def test_a_corrupt_image_is_named(tree, content, loader_workers):
    broken = tree / "green" / "007.png"
    broken.write_bytes(broken.read_bytes()[:60] if content == "cut" else content)
    splits = load(tree)
    # The one split that holds the broken file.
    split = next(split for split in (splits.train, splits.val, splits.test) if 27 in split.indices)
    batches = EvalSampler(len(split), batch_size=8, world=ALONE)
    stream = BatchStream({"val": split}, [Pass("val", 0, batches)], loader_workers=loader_workers, pin=False)
    message = complaint(stream)
    stream.close()
    assert message.startswith(f"{broken} can't be read as an image")
    assert "Traceback" not in message


def test_it_is_called_after_its_folder():
    """Not after a way to it, which would lead to another page in a URL."""
    labels = {path: FolderConfig(path=path).label for path in ("pets/images", "pets/", "..", "../..", ".")}
    assert labels == {"pets/images": "images", "pets/": "pets", "..": "folder", "../..": "folder", ".": "folder"}


def test_a_missing_folder_says_where_it_was_sought(tmp_path):
    with pytest.raises(DataError) as caught:
        FolderConfig(path="pets/images").fingerprint(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "pets" / "images") in message
    assert "data root" in message
    assert "one subfolder of images per class" in message


def test_a_folder_without_classes_says_what_is_expected(tmp_path):
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "flat" / "1.png")
    with pytest.raises(DataError, match="one subfolder of images per class"):
        load(tmp_path / "flat")


def test_an_empty_class_is_named(tree):
    (tree / "yellow").mkdir()
    with pytest.raises(DataError, match="yellow"):
        load(tree)


def test_trees_with_other_classes_are_refused(trees):
    shutil.rmtree(trees / "val" / "red")
    with pytest.raises(DataError, match="differ in their classes: red is in one of them only"):
        load(trees)


def test_too_few_images_for_a_split(tmp_path):
    paint(tmp_path / "colors", "red", 1)
    paint(tmp_path / "colors", "green", 1)
    with pytest.raises(DataError, match=r"the validation split of .* is empty: 2 images are too few"):
        load(tmp_path / "colors")


def test_the_fingerprint_notices_every_change_of_a_small_set(tree):
    config = FolderConfig(path=tree.name)
    seen = [config.fingerprint(tree.parent)]
    assert config.fingerprint(tree.parent) == seen[0]
    content = bytearray((tree / "red" / "003.png").read_bytes())
    content[-1] ^= 1
    (tree / "red" / "003.png").write_bytes(content)
    seen.append(config.fingerprint(tree.parent))
    (tree / "red" / "003.png").rename(tree / "red" / "903.png")
    seen.append(config.fingerprint(tree.parent))
    (tree / "red" / "903.png").unlink()
    seen.append(config.fingerprint(tree.parent))
    assert len(set(seen)) == 4
    # Not the place, nor the time of the copy.
    moved = tree.with_name("copy")
    shutil.copytree(tree, moved)
    assert FolderConfig(path="copy").fingerprint(tree.parent) == seen[-1]


@pytest.mark.parametrize("path", [".", "./", "../colors", "../colors/."])
def test_the_way_to_a_folder_is_not_in_its_fingerprint(tree, path, monkeypatch):
    monkeypatch.chdir(tree)
    first = FolderConfig(path=str(tree)).fingerprint(None)
    assert FolderConfig(path=path).fingerprint(None) == first
    (tree / "red").rename(tree / "rad")
    assert FolderConfig(path=path).fingerprint(None) == FolderConfig(path=str(tree)).fingerprint(None) != first


def test_a_folder_without_images_has_no_fingerprint(tmp_path):
    (tmp_path / "empty" / "red").mkdir(parents=True)
    (tmp_path / "empty" / "green").mkdir()
    with pytest.raises(DataError, match="empty has no image of green and red: remove these folders or add images"):
        FolderConfig(path="empty").fingerprint(tmp_path)


def test_the_label_is_the_folders_name():
    assert FolderConfig(path="/data/oxford_pets/").label == "oxford_pets"
    assert FolderConfig(path="flowers", split_seed=4).label == "flowers-split4"


def test_an_ordinary_folder_is_split_as_ever(tree):
    """Stored results stand on these splits, and on this digest of the files below."""
    splits = load(tree)
    assert splits.val.indices.tolist() == [46, 39, 18, 32, 1, 47, 51, 19, 35]
    assert splits.test.indices.tolist() == [59, 38, 8, 10, 48, 37, 17, 30, 55]
    assert splits.train.indices.tolist()[:8] == [6, 53, 29, 52, 27, 13, 50, 21]
    folder = tree.with_name("bytes")
    for name, content in (("a/1.jpg", b"one"), ("a/b/2.png", b"two"), ("a-b/3.JPEG", b"three")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert FolderConfig(path=str(folder)).fingerprint(None) == "f74ebff81162a25c409c"


def test_every_class_has_a_training_image(tmp_path):
    """One class of 60 images and six of one: by shares alone, some are in validation or test only."""
    folder = tmp_path / "rare"
    for name, num_images in {"common": 60, **dict.fromkeys("abcdef", 1)}.items():
        for number in range(num_images):
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 9), (number, 0, 0)).save(folder / name / f"{number}.png")
    moved = 0
    for split_seed in range(20):
        splits = load(folder, split_seed=split_seed)
        assert set(splits.train.labels.tolist()) == set(range(7))
        parts = [set(part.indices.tolist()) for part in (splits.train, splits.val, splits.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 66
        moved += len(parts[0]) - (66 - 2 * int(0.15 * 66))
    assert moved > 0
    found = FolderConfig(path="rare").survey(tmp_path).account
    assert found is not None
    assert "6 classes without a test image" in str(found)


def test_classes_are_kept_where_validation_is_ready_made(tmp_path):
    for split, num_images in (("train", 6), ("val", 2)):
        for name in ("red", "green", "blue"):
            paint(tmp_path / "colors" / split, name, 1 if split == "train" and name == "blue" else num_images)
    for split_seed in range(10):
        splits = load(tmp_path / "colors", split_seed=split_seed, test_fraction=0.3)
        assert 0 in splits.train.labels
        assert len(splits.val) == 6


def test_the_fingerprint_covers_what_is_read_and_nothing_else(tree):
    config = FolderConfig(path=str(tree))
    first = config.fingerprint(None)
    # Not read: hidden, of another kind, in no class folder.
    (tree / ".ipynb_checkpoints").mkdir()
    for name in (".ipynb_checkpoints/1.png", "red/._1.png", "red/notes.txt", "overview.png"):
        shutil.copy(tree / "red" / "001.png", tree / name)
    assert config.fingerprint(None) == first
    Image.new("RGB", (9, 9)).save(tree / "red" / "new.gif")
    assert config.fingerprint(None) != first


def test_two_files_that_look_the_same_are_the_same_input(tmp_path):
    """Under alpha 0 lie colours that nobody sees."""
    for name, hidden in (("one", (255, 0, 0)), ("two", (0, 0, 255))):
        (tmp_path / "pair" / name).mkdir(parents=True)
        for number in range(9):
            image = Image.new("RGBA", (SIDE, SIDE), (*hidden, 0))
            image.paste((10, 200, 30, 255), (0, 0, 5, 5))
            image.save(tmp_path / "pair" / name / f"{number}.png")
    train = everything(load(tmp_path / "pair").train)
    assert {0, 1} == set(train.targets.tolist())
    assert all(image.equal(train.images[0]) for image in train.images)
    assert train.images[0, :, -1, -1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("exif", ["ignore", "apply"])
def test_exif_is_ignored_or_applied(tmp_path, exif):
    """Stored as a red left half; orientation 6 asks viewers to turn it by 90 degrees clockwise: red on top."""
    orientation = Image.Exif()
    orientation[0x0112] = 6
    for name in ("one", "two"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(9):
            image = Image.new("RGB", (SIDE, SIDE))
            image.paste((255, 0, 0), (0, 0, SIDE // 2, SIDE))
            image.save(tmp_path / "photos" / name / f"{number}.jpg", exif=orientation, quality=95)
    images = everything(load(tmp_path / "photos", exif=exif).val).images
    left, top = images[:, 0, :, :4].float().mean(), images[:, 0, :4, :].float().mean()
    assert (left > 240, top > 240) == (exif == "ignore", exif == "apply")
    account = FolderConfig(path="photos", exif=exif).survey(tmp_path).account
    assert f"18 turned by EXIF ({'ignored' if exif == 'ignore' else 'applied'})" in str(account)


def test_a_trial_says_what_it_found(tree, caplog):
    (tree / "red" / "notes.txt").touch()
    config = TrialConfig.model_validate(
        {
            "model": {"kind": "small_vit", "width": 8, "depth": 1, "num_heads": 1, "image_size_px": 8},
            "dataset": {"kind": "folder", "path": tree.name},
            "optimization": {"epochs": 0, "global_batch_size": 4},
        }
    )
    with caplog.at_level("INFO"):
        train(config, Runtime(data_root=tree.parent, device="cpu"))
    assert "colors: 3 classes, 42/9/9 images, 1 file of another kind (.txt 1)" in caplog.messages


def test_a_trial_does_not_train_on_one_class(tmp_path):
    paint(tmp_path / "colors", "red", 20)
    config = TrialConfig.model_validate(
        {
            "model": {"kind": "small_vit", "width": 8, "depth": 1, "num_heads": 1, "image_size_px": 8},
            "dataset": {"kind": "folder", "path": "colors"},
            "optimization": {"epochs": 1, "global_batch_size": 4},
        }
    )
    with pytest.raises(DataError, match="colors has 1 class, and training needs two or more"):
        train(config, Runtime(data_root=tmp_path, device="cpu"))
