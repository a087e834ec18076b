import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from tests.trainers.data.mask_layouts import write_ade, write_masks, write_pairs
from trainers.data.augmentation import NoAugmentation
from trainers.data.class_mask import UNSCORED
from trainers.data.mask_folder import MaskFolderConfig
from trainers.data.scale_crop import ScaleCropAugmentation
from trainers.data.shapes import CLASS_NAMES, ShapesConfig, draw
from trainers.errors import DataError
from trainers.fence import Fence, fenced

ADE = {"path": "ade", "masks": "annotations", "test_folder": "validation", "zero_is_ignored": True}


@pytest.fixture
def masks(tmp_path):
    return write_masks(tmp_path / "set")


def load(root, config=None, augmentation=None):
    config = config or MaskFolderConfig(path="set")
    return config.load(root, input_size_px=16, augmentation=augmentation or NoAugmentation(), seed=0)


def read_all(root, **fields):
    splits = load(root, MaskFolderConfig(**{"path": "set"} | fields))
    for split in (splits.train, splits.val, splits.test):
        split.__getitems__(range(len(split)))


@pytest.mark.parametrize("mode", ["P", "L"])
def test_a_mask_is_read_as_it_was_written(tmp_path, mode):
    write_masks(tmp_path / "set", mode=mode)
    splits = load(tmp_path)
    assert splits.class_names == CLASS_NAMES
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [14, 3, 3]
    written = draw(ShapesConfig(image_size_px=32), 0, 20)
    batch = splits.test.__getitems__([0, 1, 2])
    for image, mask, index in zip(batch.images, batch.targets, batch.indices.tolist(), strict=True):
        assert np.array_equal(mask.numpy(), written.ids[index][:, :24])
        assert image.shape == (3, 21, 16)


def test_ade20ks_own_layout_is_read(tmp_path):
    write_ade(tmp_path / "ade")
    config = MaskFolderConfig(**ADE, class_names=CLASS_NAMES, val_fraction=0.25)
    assert tuple(config.survey(tmp_path).sizes) == (9, 3, 4)
    test = load(tmp_path, config).test
    written = draw(ShapesConfig(image_size_px=32), 1000, 4)
    assert [
        np.array_equal(mask.numpy(), ids[:, :24])
        for mask, ids in zip(test.__getitems__(range(4)).targets, written.ids, strict=True)
    ] == [True] * 4
    # Without the ground's name all ids are one less, and what was 1 is the first class.
    other = MaskFolderConfig(**ADE | {"zero_is_ignored": False}, class_names=("none", *CLASS_NAMES))
    assert load(tmp_path, other).test[0][1].min() == 1


def test_folders_of_splits_are_used_as_they_are(tmp_path):
    for name, number in (("train", 5), ("val", 3), ("Test", 2)):
        write_pairs(tmp_path / "set/images" / name, tmp_path / "set/masks" / name, number, start=10 * number)
    config = MaskFolderConfig(path="set", class_names=CLASS_NAMES)
    assert tuple(config.survey(tmp_path).sizes) == (5, 3, 2)
    splits = load(tmp_path, config)
    assert [sorted(part.indices.tolist()) for part in (splits.train, splits.val, splits.test)] == [
        [*range(5)],
        [5, 6, 7],
        [8, 9],
    ]


def test_values_may_be_no_class(masks, tmp_path):
    splits = load(tmp_path, MaskFolderConfig(path="set", ignore=(0, 3)))
    ids = torch.cat([mask.unique() for mask in splits.test.__getitems__([0, 1, 2]).targets])
    assert UNSCORED in ids
    assert not {0, 3} & set(ids.tolist())


def test_batches_are_augmented_by_epoch_and_resumable(masks, tmp_path):
    def batch(epoch):
        train = load(tmp_path, augmentation=ScaleCropAugmentation()).train
        train.set_epoch(epoch)
        images, targets, _ = train.__getitems__([2, 5])
        assert (images.shape, targets.shape) == ((2, 3, 16, 16), (2, 16, 16))
        return images, targets

    first, again, other = batch(1), batch(1), batch(2)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_decoded_images_are_kept(masks, tmp_path):
    splits = load(tmp_path)
    before = splits.train[0]
    splits.keep_decoded(limit_gib=0.001, key=tmp_path.name)
    for _ in range(2):
        assert all(torch.equal(one, two) for one, two in zip(before[:2], splits.train[0][:2], strict=True))


def test_the_account_tells_what_was_found(masks, tmp_path):
    shutil.copy(masks / "images/000.png", masks / "images/copy.png")
    shutil.copy(masks / "masks/000.png", masks / "masks/copy.png")
    (masks / "images/notes.txt").write_text("")
    survey = MaskFolderConfig(path="set", split_seed=2).survey(tmp_path)
    assert str(survey.account).startswith("6 classes, 15/3/3 images, 1 file of another kind (.txt 1)")


def test_copies_of_training_images_are_counted(tmp_path):
    for name in ("train", "val", "test"):
        write_pairs(tmp_path / "set/images" / name, tmp_path / "set/masks" / name, 2)
    account = MaskFolderConfig(path="set", class_names=CLASS_NAMES).survey(tmp_path).account
    assert account.num_copies == 4


def test_the_fingerprint_knows_masks_and_names(masks, tmp_path):
    config = MaskFolderConfig(path="set")
    before = config.fingerprint(tmp_path)
    assert before == config.fingerprint(tmp_path)
    names = (masks / "classes.txt").read_text()
    (masks / "classes.txt").write_text(names.replace("ring", "torus"))
    assert config.fingerprint(tmp_path) != before
    (masks / "classes.txt").write_text(names)
    mask = masks / "masks/003.png"
    Image.new("P", (24, 32)).save(mask)
    assert config.fingerprint(tmp_path) != before


def test_an_image_that_leads_out_of_the_fence_is_refused(masks, tmp_path):
    with fenced(Fence(roots=(masks,))):
        split = load(tmp_path).train
    (tmp_path / "elsewhere.png").write_bytes((masks / "masks/000.png").read_bytes())
    for file in (masks / "masks").iterdir():
        file.unlink()
        file.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(DataError, match="leads out of the folders"):
        split.__getitems__([0])


# ---- what is refused ----


def rgb(masks):
    Image.new("RGB", (24, 32)).save(masks / "masks/004.png")


def other_size(masks):
    Image.new("L", (32, 24)).save(masks / "masks/004.png")


def other_ids(masks):
    Image.new("L", (24, 32), 17).save(masks / "masks/004.png")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rgb, r"mask .*masks/004.png is of Pillow's mode RGB: expected one number for each pixel"),
        (
            other_size,
            r"masks/004.png is 32 x 24 pixels and its image .*images/004.png 24 x 32.*set `exif` to \"apply\"",
        ),
        (other_ids, r"masks/004.png has the value 17, and the 6 classes are 0 to 5: name all classes"),
    ],
)
def test_a_broken_mask_is_told_by_the_plan_and_by_the_trial(masks, tmp_path, change, message):
    change(masks)
    with pytest.raises(DataError, match=message):
        MaskFolderConfig(path="set").survey(tmp_path)
    with pytest.raises(DataError, match=message):
        read_all(tmp_path)


@pytest.mark.parametrize("tree", ["images", "masks"])
def test_an_unreadable_file_is_told(masks, tmp_path, tree):
    (masks / tree / "004.png").write_bytes(b"nothing")
    assert [
        path.endswith(f"{tree}/004.png") for path in MaskFolderConfig(path="set").survey(tmp_path).account.unreadable
    ] == [True]
    with pytest.raises(DataError, match=rf"{tree}/004.png can't be read as an image: no known image format"):
        read_all(tmp_path)


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        (lambda s: (s / "masks/004.png").unlink(), {}, r"the image .*images/004.png has no mask .*masks/004.png"),
        (lambda s: (s / "images/004.png").unlink(), {}, r"the mask .*masks/004.png has no image .*images/004\.\*"),
        (lambda s: (s / "masks/004.png").rename(s / "masks/004.jpg"), {}, r"004.jpg is of a kind that may change ids"),
        (lambda s: shutil.copy(s / "images/004.png", s / "images/004.jpg"), {}, "have one name, so no mask is theirs"),
        (lambda s: (s / "classes.txt").unlink(), {}, r"no classes are named for .*: list them in `class_names`, or in"),
        (lambda s: (s / "classes.txt").write_text("a\na\n"), {}, "the class 'a' is named twice"),
        (lambda s: (s / "classes.txt").write_text("a\n"), {}, "1 classes are named; 2 to 255 are possible"),
        (
            lambda s: shutil.rmtree(s / "masks"),
            {},
            r"no folder .*/set/masks; expected two trees that mirror each other",
        ),
        (lambda s: None, {"path": "sets"}, r"no folder .*/sets \(path 'sets', from the data root"),
        (lambda s: None, {"test_folder": "testing"}, r"no folder .*/images/testing; .*/images has no folders"),
        (lambda s: (s / "images").rename(s / "all"), {"images": "all/deeper"}, r"no folder .*/all/deeper"),
        (lambda s: None, {"val_fraction": 0.01}, "has no image left for val: 20 images can't be shared out so"),
    ],
)
def test_another_layout_is_refused(masks, tmp_path, change, fields, message):
    change(masks)
    with pytest.raises(DataError, match=message):
        load(tmp_path, MaskFolderConfig(**{"path": "set"} | fields))


def test_images_beside_the_splits_are_refused(tmp_path):
    write_pairs(tmp_path / "set/images/train", tmp_path / "set/masks/train", 9)
    write_pairs(tmp_path / "set/images/more", tmp_path / "set/masks/more", 2)
    with pytest.raises(DataError, match=r"set/images has 2 images in no folder of a split \(train\)"):
        load(tmp_path, MaskFolderConfig(path="set", class_names=CLASS_NAMES))


def test_masks_of_0_and_255_are_not_taken_for_one_class(masks, tmp_path):
    for file in (masks / "masks").iterdir():
        ids = np.array(Image.open(file))
        Image.fromarray(np.where(ids > 0, 255, 0).astype(np.uint8)).save(file)
    with pytest.raises(DataError, match=r"the masks hold 0 and 255 only .* write 1 for the second class"):
        MaskFolderConfig(path="set").survey(tmp_path)


def test_a_very_long_image_is_refused(masks, tmp_path):
    Image.new("RGB", (400, 5)).save(masks / "images/004.png")
    Image.new("L", (400, 5)).save(masks / "masks/004.png")
    with pytest.raises(DataError, match=r"004.png is 400 x 5 pixels: one side is more than 16 times the other"):
        read_all(tmp_path)


@pytest.mark.parametrize("name", ["..", "../other", "/etc", "a/../b", ""])
def test_trees_lie_in_the_folder(name):
    with pytest.raises(ValidationError):
        MaskFolderConfig(path="set", masks=name)
