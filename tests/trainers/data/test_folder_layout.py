import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from trainers.data.fingerprint import fingerprint
from trainers.data.folder_layout import read_folder
from trainers.data.split_names import split_named
from trainers.data.tree import IMAGE_SUFFIXES
from trainers.errors import DataError

Tree = dict[str, int]
"""Folder -> images in it."""


def make(root: Path, tree: Tree) -> Path:
    for folder, num_images in tree.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(num_images):
            # The content is nobody's business here.
            (root / folder / f"{number}.jpg").write_text(f"{folder} {number}")
    return root


def splits(*names: str, num_images: int = 3) -> Tree:
    return {f"{split}/{name}": num_images for split in names for name in ("cat", "dog")}


def complaint(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_folder(root)
    return str(caught.value)


TRAINS = ["train", "Train", "TRAIN", "training", "Training_Set", "train2017", "train-images"]
VALS = ["val", "Val", "VALID", "valid", "Validation", "dev", "eval", "val_set", "val2017"]
TESTS = ["test", "Test", "testing", "TESTING", "test-set", "test2017"]


@pytest.mark.parametrize("train", TRAINS)
@pytest.mark.parametrize("val", VALS)
def test_every_usual_spelling_of_a_split_is_read_as_that_split(tmp_path: Path, train: str, val: str) -> None:
    contents = read_folder(make(tmp_path, splits(train, num_images=5) | splits(val)))
    assert contents.class_names == ("cat", "dog")
    assert {split: len(tree.files) for split, tree in contents.trees.items()} == {"train": 10, "val": 6}


@pytest.mark.parametrize("test", TESTS)
def test_so_is_every_spelling_of_test(tmp_path: Path, test: str) -> None:
    contents = read_folder(make(tmp_path, splits("Train", num_images=5) | splits("Val") | splits(test)))
    assert list(contents.trees) == ["train", "val", "test"]
    assert len(contents.trees["test"].files) == 6


@pytest.mark.parametrize(
    "name", ["cat", "trainer", "pre_train", "contest", "value", "validator", "testudo", "set", "devil", "2017", ""]
)
def test_words_that_only_begin_like_a_split_are_classes(name: str) -> None:
    assert split_named(name) is None


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        # Splits must not be classes.
        ({"Train": 3, "Val": 3, "Test": 3}, "Train holds 3 images in no class folder"),
        (splits("train") | {"Val": 3}, "Val holds 3 images in no class folder"),
        (splits("train") | {"val": 0}, "val holds no class folders"),
        (splits("Val", "Test"), "has Test and Val, but no train beside it"),
        ({"cat": 3, "dog": 3, "test": 3}, "has test, but no train beside it"),
        ({"cat": 3, "dog": 3, "training": 3}, "training holds 3 images in no class folder"),
        # Two for one.
        (splits("train", "val", "valid"), "has 2 folders for the val split, val and valid: leave one there"),
        (splits("train", "Train"), "has 2 folders for the train split, Train and train"),
        # Nothing beside train is left out.
        (splits("train", "unlabelled"), "unlabelled holds 6 images, but is neither train, val nor test"),
        (splits("train") | {"extra": 1}, "extra holds 1 image, but is neither train, val nor test"),
        (splits("train") | {"extra/deep/deeper": 1}, "extra holds 1 image"),
        # Splits inside of classes.
        ({f"{name}/{split}": 3 for name in ("cat", "dog") for split in ("train", "val")}, "cat holds train and val"),
        # A surplus level.
        ({"pets/cat": 3, "pets/dog": 3}, "has 1 class, pets; did you mean {root}/pets, with cat and dog in it?"),
        ({f"pets/{split}/{name}": 3 for split in ("train", "val") for name in "ab"}, "did you mean {root}/pets, with"),
        ({"train/pets/cat": 3, "train/pets/dog": 3}, "train has 1 class, pets; did you mean {root}/train/pets"),
        # Flat, or nothing at all.
        ({".": 3}, "holds 3 images in no class folder"),
        ({".": 0}, "holds no class folders"),
        # Empty classes, and classes that one tree alone has.
        ({"cat": 3, "dog": 0}, "has no image of dog: remove this folder or add images (files that end in .jpg, "),
        (splits("train", "val") | {"val/bird": 1}, "differ in their classes: bird is in one of them only"),
        (
            splits("train", "val") | {"val/dog": 0, "val/cat": 0},
            "val has no image of cat and dog: remove these folders",
        ),
    ],
)
def test_what_is_laid_out_otherwise_is_refused(tmp_path: Path, tree: Tree, told: str) -> None:
    assert told.format(root=tmp_path) in complaint(make(tmp_path, tree))


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (
            splits("pets_train") | {"pets_val": 3, "pets_test": 3},
            (
                "has pets_test, pets_train and pets_val: these names speak of splits, so they are not read as classes: "
                "move pets_test to {root}/test, pets_train to {root}/train and pets_val to {root}/val; if they are"
            ),
        ),
        ({"asl_alphabet_train/A": 3, "asl_alphabet_test": 3}, "asl_alphabet_train to {root}/train; if"),
        # Kaggle's Intel set, with a third folder that speaks of nothing.
        ({f"seg_{name}/seg_{name}/sea": 2 for name in ("train", "test", "pred")}, "has seg_test and seg_train: these"),
        (
            dict.fromkeys(("trainA", "trainB", "testA", "testB"), 3),
            "testA to {root}/test/A, testB to {root}/test/B, trainA to {root}/train/A and trainB to {root}/train/B;",
        ),
        (splits("PetsTrain", "PetsValidation"), "PetsTrain to {root}/train and PetsValidation to {root}/val;"),
        (splits("voc2007_trainval", "voc2007_test"), "voc2007_trainval to {root}/train;"),
        (splits("train-clean-100", "dev-clean") | {"notes": 1}, "dev-clean to {root}/val and train-clean-100 to"),
        # Every folder speaks of a split.
        ({"train": 3, "final_test": 3}, "so they are not read as classes: move final_test to {root}/test; if"),
        # Below splits, or inside of classes.
        ({"train/my_train": 3, "train/my_val": 3}, "train has my_train and my_val: splits must be the outer folders"),
        ({f"cat/cat_{split}": 3 for split in ("train", "val")} | {"dog": 3}, "cat holds cat_train and cat_val: splits"),
    ],
)
def test_splits_with_another_word_in_their_names_are_no_classes(tmp_path: Path, tree: Tree, told: str) -> None:
    assert told.format(root=tmp_path) in complaint(make(tmp_path, tree))


@pytest.mark.parametrize(
    "names",
    [
        ("test_tube", "flask"),
        ("training_shoe", "sandal"),
        ("test_tube", "test_pilot"),
        ("bullet_train", "test_tube", "flask"),
        ("train", "test_tube", "flask"),
        ("trainer", "contest", "value"),
    ],
)
def test_classes_may_have_a_splits_word_in_their_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert read_folder(make(tmp_path, dict.fromkeys(names, 3))).class_names == tuple(sorted(names))


@pytest.mark.parametrize("name", ["train", "Train"])
def test_a_flat_class_may_be_called_train(tmp_path: Path, name: str) -> None:
    """As in CIFAR-100; a network disk leaves its own folder in every other."""
    make(tmp_path, {f"{name}/@eaDir": 1})
    assert set(read_folder(make(tmp_path, {"bus": 3, name: 3})).class_names) == {"bus", name}


def test_what_systems_leave_behind_is_no_class(tmp_path: Path) -> None:
    tree = {"cat": 3, "dog": 3, "dog/.ipynb_checkpoints": 1, "lost+found": 0}
    tree |= dict.fromkeys([".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git/objects", "$RECYCLE.BIN"], 1)
    contents = read_folder(make(tmp_path, tree))
    (tmp_path / "cat" / "._0.jpg").touch()
    (tmp_path / "cat" / ".DS_Store").touch()
    contents = read_folder(tmp_path)
    assert contents.class_names == ("cat", "dog")
    assert len(contents.files) == 6
    assert contents.passed_over.num_hidden == 9


def test_a_folder_beside_the_splits_may_hold_other_files(tmp_path: Path) -> None:
    make(tmp_path, splits("train", "val") | {"annotations": 0})
    for name in ("annotations/1.json", "README", "train.zip", "train/cat/Thumbs.db"):
        (tmp_path / name).touch()
    contents = read_folder(tmp_path)
    assert contents.passed_over.other_files == {".json": 1, "": 1, ".zip": 1, ".db": 1}


def test_images_in_no_class_are_counted(tmp_path: Path) -> None:
    assert read_folder(make(tmp_path / "one", {".": 2, "cat": 3, "dog": 3})).passed_over.num_outside == 2
    make(tmp_path / "many", splits("train", "val") | {".": 2, "train": 1, "val": 4})
    assert read_folder(tmp_path / "many").passed_over.num_outside == 7


def test_deeper_folders_belong_to_their_class(tmp_path: Path) -> None:
    contents = read_folder(make(tmp_path, {"cat": 3, "cat/black/fat": 2, "dog": 3}))
    tree = contents.trees["train"]
    assert (tree.labels, tree.num_nested) == ([0] * 5 + [1] * 3, 2)


# ---- links ----


def test_linked_classes_splits_and_files_are_read(tmp_path: Path) -> None:
    make(tmp_path / "store", {"felis": 3, "canis": 3, "blobs": 2} | splits("validation", num_images=2))
    root = tmp_path / "pets"
    (root / "train" / "cat").mkdir(parents=True)
    (root / "train" / "cat" / "more").symlink_to(tmp_path / "store" / "felis")
    (root / "train" / "dog").symlink_to(tmp_path / "store" / "canis")
    (root / "train" / "cat" / "a.jpg").symlink_to(tmp_path / "store" / "blobs" / "0.jpg")
    (root / "Valid").symlink_to("../store/validation")
    linked = tmp_path / "link"
    linked.symlink_to(root)
    for folder in (root, linked):
        contents = read_folder(folder)
        assert {split: tree.labels for split, tree in contents.trees.items()} == {
            "train": [0] * 4 + [1] * 3,
            "val": [0, 0, 1, 1],
        }
        assert all(file.path.startswith(str(folder)) and file.size > 0 for file in contents.files)


def test_the_folder_that_links_are_taken_from_may_lie_beside_the_splits(tmp_path: Path) -> None:
    """Many cut a set by links: what they point to is read, and nothing of it is left out."""
    root = make(tmp_path, {"all": 4})
    for split, numbers in (("train", (0, 1)), ("val", (2, 3))):
        for name, number in zip(("cat", "dog"), numbers, strict=True):
            (root / split / name).mkdir(parents=True)
            (root / split / name / "x.jpg").symlink_to(root / "all" / f"{number}.jpg")
    assert len(read_folder(root).files) == 4
    make(root, {"all": 5})
    assert "all holds 1 image, but is neither train, val nor test" in complaint(root)


@pytest.mark.parametrize("target", [".", "..", "../..", "/"])
def test_a_link_in_a_circle_adds_nothing(tmp_path: Path, target: str) -> None:
    root = make(tmp_path / "pets", {"cat": 3, "dog": 3})
    (root / "cat" / "loop").symlink_to(target)
    contents = read_folder(root)
    assert (len(contents.files), contents.passed_over.num_repeated) == (6, 1)


@pytest.mark.parametrize(
    ("link", "target", "told"),
    [
        ("cat/more", "../dog", "would be in cat and in dog"),
        ("cat/more.jpg", "../dog/1.jpg", "would be in dog and in cat"),
        ("bird", "cat", "would be in bird and in cat"),
    ],
)
def test_one_image_under_two_classes_is_refused(tmp_path: Path, link: str, target: str, told: str) -> None:
    root = make(tmp_path, {"cat": 3, "dog": 3})
    (root / link).symlink_to(target)
    message = complaint(root)
    assert told in message
    assert str(root / link) in message


@pytest.mark.parametrize(
    ("link", "target"), [("test", "val"), ("test/cat", "../val/cat"), ("val/cat/9.jpg", "../../train/cat/1.jpg")]
)
def test_one_image_in_two_splits_is_refused(tmp_path: Path, link: str, target: str) -> None:
    root = make(tmp_path, splits("train", "val"))
    if link.startswith("test/"):
        make(root, {"test/dog": 3})
    (root / link).symlink_to(target)
    assert "an image has one class and one split; remove one of the two" in complaint(root)


def test_two_links_to_one_image_of_a_class_are_one_image(tmp_path: Path) -> None:
    root = make(tmp_path / "pets", {"cat": 3, "dog": 3})
    make(tmp_path / "store", {"blobs": 1, "black": 2})
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (root / "cat" / name).symlink_to(tmp_path / "store" / "blobs" / "0.jpg")
    (root / "cat" / "d.jpg").symlink_to("1.jpg")
    for name in ("one", "two"):
        (root / "cat" / name).symlink_to(tmp_path / "store" / "black")
    contents = read_folder(root)
    assert (contents.trees["train"].labels.count(0), contents.passed_over.num_repeated) == (3 + 1 + 2, 4)


@pytest.mark.parametrize("link", ["val", "Test", "train/bird", "train/cat/7.jpg", "train/cat/black"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, link: str) -> None:
    root = make(tmp_path, splits("train"))
    (root / link).symlink_to("/nowhere")
    assert complaint(root) == f"{root / link} is a link that leads nowhere (/nowhere); restore or remove it"
    (root / link).unlink()
    (root / link).symlink_to(root / link)
    assert f"{root / link} is a link that leads nowhere" in complaint(root)


def test_many_links_that_lead_nowhere_are_counted(tmp_path: Path) -> None:
    root = make(tmp_path, {"cat": 1, "dog": 1})
    for number in range(5, 9):
        (root / "cat" / f"{number}.jpg").symlink_to("/gone")
    (root / "dog" / "notes.txt").symlink_to("/gone")
    assert f"{root / 'cat' / '5.jpg'} is a link that leads nowhere (/gone), and so are 3 more in" in complaint(root)
    for number in range(5, 9):
        (root / "cat" / f"{number}.jpg").unlink()
    assert read_folder(root).passed_over.other_files == {".txt": 1}


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    root = make(tmp_path, {"cat": 2, "dog": 2})
    os.mkfifo(root / "cat" / "pipe.jpg")
    contents = read_folder(root)
    assert (len(contents.files), contents.passed_over.other_files) == (4, {".jpg": 1})


@pytest.mark.parametrize(
    "links", [{"aa": "zz"}, {"m/a": "../zz", "b": "m", "c": "zz"}, {"a": "{store}", "b": "{store}"}]
)
def test_what_a_disk_lists_first_does_not_matter(
    tmp_path: Path, links: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "pets", {"cat/zz": 3, "cat/m": 2, "cat": 1, "dog": 3})
    make(tmp_path / "store", {"x": 1, "y": 1})
    (tmp_path / "store" / "z").symlink_to("x")
    for link, target in links.items():
        (root / "cat" / link).symlink_to(target.format(store=tmp_path / "store"))
    scandir, seen = os.scandir, []

    @contextmanager
    def listed(folder: str, *, is_reversed: bool) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(folder) as entries:
            yield sorted(entries, key=lambda entry: entry.name, reverse=is_reversed)

    for is_reversed in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", partial(listed, is_reversed=is_reversed))
            contents = read_folder(root)
        seen.append((contents.files, contents.passed_over, fingerprint(contents.folder, contents.files).text))
    assert seen[0] == seen[1]
    paths = {os.path.relpath(file.path, root / "cat") for file in contents.files}
    assert {"0.jpg", "zz/0.jpg", "m/0.jpg"} < paths, "real folders come before links to them"


# ---- kinds of files ----


def test_every_ending_is_one_that_pillow_opens(tmp_path: Path) -> None:
    """What is listed is read; what Pillow can't open would only be found while training."""
    endings = Image.registered_extensions()
    assert set(IMAGE_SUFFIXES) <= set(endings)
    for suffix in IMAGE_SUFFIXES:
        file = tmp_path / f"image{suffix}"
        Image.new("1" if suffix == ".pbm" else "RGB", (9, 9)).save(file, format=endings[suffix])
        with Image.open(file) as image:
            image.load()


def test_endings_are_read_in_any_case_and_others_counted(tmp_path: Path) -> None:
    root = make(tmp_path, {"cat": 1, "dog": 1})
    for name in ("a.GIF", "b.jfif", "c.JPG", "d.heic", "e.HEIC", "f.txt", "g", "h.pdf", "i.mp4"):
        (root / "cat" / name).touch()
    contents = read_folder(root)
    assert len(contents.trees["train"].files) == 5
    assert contents.passed_over.other_files == {".heic": 2, ".txt": 1, "": 1, ".pdf": 1, ".mp4": 1}


def test_the_order_is_torchvisions(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    root = make(tmp_path, {"b": 3, "b/z": 2, "b/a": 2, "b/a/c": 2, "b-a": 11, "B": 2, "a b": 2, "a": 1})
    expected = ImageFolder(str(root)).samples
    tree = read_folder(root).trees["train"]
    assert [(file.path, label) for file, label in zip(tree.files, tree.labels, strict=True)] == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    root = make(tmp_path, {"cat": 1, "dog": 1})
    (root / "dog").chmod(0)
    try:
        assert f"{root / 'dog'} can't be read: Permission denied" in complaint(root)
    finally:
        (root / "dog").chmod(0o700)
        shutil.rmtree(root)
