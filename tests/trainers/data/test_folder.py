import shutil

import numpy as np
import pytest
from PIL import Image

from trainers.data import CropFlipAugmentation, FolderConfig, NoAugmentation
from trainers.data.loading import BatchLoader
from trainers.data.sampling import EvalSampler
from trainers.errors import DataError
from trainers.world import ALONE

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
    channel = 2 - batch.labels
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


def complaint(loader):
    # Not pytest.raises: what it keeps would keep the loader, and stopping workers from the garbage collector takes 5 s.
    try:
        list(loader)
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
    loader = BatchLoader(
        split, EvalSampler(len(split), batch_size=8, world=ALONE), loader_workers=loader_workers, pin=False
    )
    message = complaint(loader)
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
    paint(tmp_path / "colors", "red", 2)
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


def test_a_folder_without_images_has_no_fingerprint(tmp_path):
    (tmp_path / "empty" / "red").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no images"):
        FolderConfig(path="empty").fingerprint(tmp_path)


def test_the_label_is_the_folders_name():
    assert FolderConfig(path="/data/oxford_pets/").label == "oxford_pets"
    assert FolderConfig(path="flowers", split_seed=4).label == "flowers-split4"


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_a_validation_tree_by_another_name_is_not_ignored(trees, name):
    (trees / "val").rename(trees / name)
    with pytest.raises(DataError, match=f"{name} should be called .*val: rename it"):
        FolderConfig(path=str(trees)).sizes(None)
