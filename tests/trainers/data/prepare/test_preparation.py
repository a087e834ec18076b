"""The whole command: counts, faults, the manifest, what the user reads."""

import hashlib
import io
import json
import os
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.trainers.data.layouts import make_cars, make_dogs, make_imagenet_kaggle, make_pet, picture, small
from trainers.data.manifest import read_manifest
from trainers.data.prepare import preparation
from trainers.data.prepare.__main__ import main
from trainers.data.prepare.oxford_pet import OXFORD_PET
from trainers.data.prepare.preparation import prepare
from trainers.data.prepare.stanford_dogs import STANFORD_DOGS
from trainers.data.prepare.verification import Checked, Fault, check, verify
from trainers.data.stored_image import StoredImage
from trainers.errors import DataError
from trainers.progress import Progress


@pytest.fixture
def pet(tmp_path):
    return make_pet(tmp_path / "pet")


@pytest.fixture
def sigmalab_data(data_root, capsys):
    """Runs the command; gives exit code, stdout, stderr."""

    def run(*arguments):
        code = main([*map(str, arguments), "--data-root", str(data_root)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def write(published, root, data_root, protocol="paper", *, allow_incomplete=False):
    output = data_root / "it.manifest.parquet"
    return prepare(published, root, protocol, output, allow_incomplete=allow_incomplete, stream=io.StringIO())


def complaint(*arguments, **options):
    with pytest.raises(DataError) as caught:
        write(*arguments, **options)
    return str(caught.value)


def test_rows_hold_what_the_files_hold(pet, data_root):
    prepared = write(small(OXFORD_PET, pet), pet, data_root)
    rows = pq.read_table(prepared.file).to_pylist()
    assert len(rows) == 80
    assert [row["path"] for row in rows[:3]] == [f"images/Abyssinian_{n}.jpg" for n in (1, 10, 11)]
    order = np.random.RandomState(0).permutation(80)
    expected = (
        dict.fromkeys(order[:56], "train") | dict.fromkeys(order[56:68], "val") | dict.fromkeys(order[68:], "test")
    )
    for index, row in enumerate(rows):
        content = (pet / row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).digest()
        assert row["size"] == len(content)
        assert (row["shard"], row["offset"]) == ("", 0)
        assert row["split"] == expected[index]
        assert row["label"] == ["Abyssinian", "Bengal", "american_bulldog", "beagle"].index(
            re.fullmatch(r"images/(.*)_\d+\.jpg", row["path"])[1]
        )
    assert prepared.num_images == {"train": 56, "val": 12, "test": 12, "unused": 0}
    assert prepared.header.is_complete
    assert read_manifest(prepared.file).header == prepared.header


def test_the_real_pet_counts(tmp_path, data_root):
    """The whole set, as far as names and counts go: every file is a link to one of two pictures."""
    breeds = [f"{'Cat' if i < 12 else 'dog'}_{i:02}" for i in range(37)]
    names = [f"{breeds[i % 37]}_{i // 37 + 1}" for i in range(7349)]
    images = tmp_path / "images"
    images.mkdir()
    for i in range(2):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    for i, name in enumerate(names):
        os.link(tmp_path / f"{i % 2}.jpg", images / f"{name}.jpg")
    (tmp_path / "annotations").mkdir()
    for part, some in (("trainval", names[:3680]), ("test", names[3680:])):
        (tmp_path / "annotations" / f"{part}.txt").write_text("".join(f"{name} 1 1 1\n" for name in some))
    prepared = write(OXFORD_PET, tmp_path, data_root)
    assert prepared.num_images == {"train": 5144, "val": 1102, "test": 1102, "unused": 1}
    assert prepared.header.is_complete
    assert prepared.num_copies == 2204
    prepared = write(OXFORD_PET, tmp_path, data_root, "official")
    assert prepared.num_images == {"train": 3312, "val": 368, "test": 3669, "unused": 0}


def test_wrong_counts_are_an_error_before_any_image_is_read(pet, data_root, monkeypatch):
    monkeypatch.setattr(preparation, "verify", None)
    assert complaint(OXFORD_PET, pet, data_root) == (
        f"{pet} is not all of Oxford-IIIT Pet: 4 classes instead of 37; 48 trainval images instead of 3,680; "
        "32 test images instead of 3,669. Download or unpack it again; --allow-incomplete takes it as it is (no result "
        "on it compares with published ones)"
    )
    assert list(data_root.iterdir()) == []


def test_missing_and_broken_images_are_named(pet, data_root):
    published = small(OXFORD_PET, pet)
    images = pet / "images"
    (images / "Bengal_2.jpg").unlink()
    (images / "beagle_4.jpg").write_bytes((images / "beagle_4.jpg").read_bytes()[:-60])
    (images / "beagle_5.jpg").write_bytes(b"")
    (images / "beagle_6.jpg").write_bytes(b"<html>404</html>")
    message = complaint(published, pet, data_root)
    lines = message.splitlines()
    assert lines[0] == f"4 of 80 images are missing or broken below {pet}:"
    assert lines[1] == "  images/Bengal_2.jpg is missing"
    assert re.fullmatch(r"  images/beagle_4\.jpg can't be decoded: .*truncated.*", lines[2])
    assert lines[3] == "  images/beagle_5.jpg is empty"
    assert lines[4] == "  images/beagle_6.jpg can't be decoded: no known image format"
    assert lines[5] == "Restore them (unpack or download again); --allow-incomplete leaves them out."
    assert list(data_root.iterdir()) == []
    whole = data_root / "it.manifest.parquet"
    whole.write_bytes(b"of the whole set, from before")
    prepared = write(published, pet, data_root, allow_incomplete=True)
    assert not prepared.header.is_complete
    # Tables call the data set by the manifest's name: nobody may take it for the whole one.
    assert prepared.file == data_root / "it-incomplete.manifest.parquet"
    assert whole.read_bytes() == b"of the whole set, from before"
    assert len(prepared.left_out) == 4
    assert sum(prepared.num_images.values()) == 76


def test_an_image_listed_twice_is_refused(tmp_path, data_root):
    root = make_dogs(tmp_path / "dogs")
    published = small(STANFORD_DOGS, root)
    (root / "test_list.mat").write_bytes((root / "train_list.mat").read_bytes())
    assert f"the lists in {root} name 28 images twice: Images/n02085620-Chihuahua/" in (
        complaint(published, root, data_root, allow_incomplete=True)
    )


def test_a_list_that_can_not_be_read(pet, data_root):
    file = pet / "annotations" / "test.txt"
    file.unlink()
    file.mkdir()
    assert complaint(OXFORD_PET, pet, data_root) == f"{file} can't be read: Is a directory"


def test_empty_lists(pet, data_root):
    for part in ("trainval", "test"):
        (pet / "annotations" / f"{part}.txt").write_text("")
    message = complaint(OXFORD_PET, pet, data_root, allow_incomplete=True)
    assert message == f"the images in {pet} are too few: no image is left for train, val, test"


def test_too_few_images_for_a_split(tmp_path, data_root):
    root = make_pet(tmp_path / "pet", num_trainval=1, num_test=0)
    assert "are too few: no image is left for val, test" in complaint(small(OXFORD_PET, root), root, data_root)


def test_a_manifest_that_can_not_be_written(pet, data_root, monkeypatch):
    published = small(OXFORD_PET, pet)
    for output, reason in (
        (data_root / "no" / "x.manifest.parquet", f"there is no folder {data_root}/no for the manifest"),
        (data_root / "x.parquet", "a manifest's name ends in .manifest.parquet; x.parquet does not"),
    ):
        with pytest.raises(DataError, match=re.escape(reason)):
            prepare(published, pet, "paper", output, allow_incomplete=False, stream=io.StringIO())
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert f"the manifest it.manifest.parquet can't be written into {data_root} by this user" in complaint(
        published, pet, data_root
    )


def test_an_interrupted_command_leaves_the_old_manifest(pet, data_root, sigmalab_data, monkeypatch):
    command = ("prepare", "oxford_pet", "--root", pet, "--protocol", "paper", "--allow-incomplete")
    assert sigmalab_data(*command)[0] == 0
    before = (data_root / "oxford_pet-paper-incomplete.manifest.parquet").read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "verify", interrupt)
    code, out, err = sigmalab_data(*command)
    assert (code, out, err) == (130, "", f"listing Oxford-IIIT Pet in {pet}\n\ninterrupted; nothing was written\n")
    assert [(file.name, file.read_bytes()) for file in data_root.iterdir()] == [
        ("oxford_pet-paper-incomplete.manifest.parquet", before)
    ]


def test_the_summary_ends_with_the_line_for_a_spec(pet, data_root, sigmalab_data):
    code, out, err = sigmalab_data("prepare", "oxford_pet", "--root", pet, "--protocol", "paper", "--allow-incomplete")
    assert code == 0
    digest = read_manifest(data_root / "oxford_pet-paper-incomplete.manifest.parquet").header.digest[:20]
    assert out.splitlines()[:3] == [
        "Oxford-IIIT Pet, paper protocol",
        "  classes   4",
        "  images    train 56  val 12  test 12",
    ]
    assert f"  digest    {digest}\n" in out
    assert "NOT WHOLE 4 classes instead of 37; 48 trainval images instead of 3,680" in out
    assert out.endswith('"datasets": [{"kind": "manifest", "path": "oxford_pet-paper-incomplete.manifest.parquet"}]\n')
    assert err.splitlines()[-1].startswith("images checked 80 of 80  100 %")


def test_json_for_scripts(pet, tmp_path, sigmalab_data):
    elsewhere = tmp_path / "mine.manifest.parquet"
    code, out, _ = sigmalab_data(
        *("prepare", "oxford_pet", "--root", pet, "--protocol", "official", "--allow-incomplete"),
        *("--json", "--output", elsewhere),
    )
    assert code == 0
    answer = json.loads(out)
    assert answer["num_images"] == {"train": 44, "val": 4, "test": 32, "unused": 0}
    written = tmp_path / "mine-incomplete.manifest.parquet"
    assert answer["dataset"] == {"kind": "manifest", "path": str(written)}
    assert answer["is_complete"] is False
    assert answer["digest"] == read_manifest(written).header.digest[:20]


def test_wrong_usage(pet, sigmalab_data, tmp_path):
    code, out, err = sigmalab_data("prepare", "oxford-pets", "--root", pet, "--protocol", "paper")
    assert (code, out) == (2, "")
    assert err == (
        "error: no data set is called 'oxford-pets'; did you mean oxford_pet? There are: imagenet, oxford_pet, "
        "caltech101, stanford_cars, stanford_dogs, coco, ade20k\n"
    )
    code, _, err = sigmalab_data("prepare", "imagenet", "--root", tmp_path, "--protocol", "paper")
    assert code == 1
    assert err == (
        "error: the paper does not cut ImageNet-1K: it trains and tests on the publisher's parts; take "
        "--protocol official\n"
    )


def test_the_list_names_sets_and_manifests(pet, tmp_path, data_root, sigmalab_data):
    code, out, _ = sigmalab_data("list")
    assert code == 0
    assert re.search(r"^stanford_dogs +120 +20,580 +official, paper +Stanford Dogs$", out, re.MULTILINE)
    assert "nothing yet" in out
    cars = make_cars(tmp_path / "cars")
    sigmalab_data("prepare", "stanford_cars", "--root", cars, "--protocol", "paper", "--allow-incomplete")
    out = sigmalab_data("list")[1]
    assert re.search(
        r"^  stanford_cars-paper-incomplete\.manifest\.parquet  digest [0-9a-f]{20}  NOT WHOLE$", out, re.MULTILINE
    )
    answer = json.loads(sigmalab_data("list", "--json")[1])
    assert [one["name"] for one in answer["sets"]][:2] == ["imagenet", "oxford_pet"]
    assert answer["prepared"][0]["data_set"] == "stanford_cars"
    (data_root / "broken.manifest.parquet").write_bytes(b"")
    code, _, err = sigmalab_data("list")
    assert code == 1
    assert err.startswith(f"error: {data_root}/broken.manifest.parquet is not a manifest: ")


def test_folder_and_kaggle_layouts_are_the_same_data(tmp_path, sigmalab_data):
    kaggle = make_imagenet_kaggle(tmp_path / "kaggle")
    folder = kaggle / "ILSVRC" / "Data" / "CLS-LOC"
    command = ("prepare", "imagenet", "--protocol", "official", "--allow-incomplete", "--json", "--root")
    first = json.loads(sigmalab_data(*command, kaggle)[1])
    for line in (kaggle / "LOC_val_solution.csv").read_text().splitlines()[1:]:
        name, wnid = line.replace(",", " ").split()[:2]
        (folder / "val" / wnid).mkdir(exist_ok=True)
        (folder / "val" / f"{name}.JPEG").rename(folder / "val" / wnid / f"{name}.JPEG")
    second = json.loads(sigmalab_data(*command, folder)[1])
    assert first["digest"] == second["digest"]


@pytest.mark.parametrize("num_threads", [1, 3])
def test_verification_keeps_the_order(tmp_path, num_threads):
    stored = [StoredImage(f"{number}.jpg") for number in range(5)]
    contents = [picture(number) for number in range(5)]
    for image, content in zip(stored, contents, strict=True):
        (tmp_path / image.path).write_bytes(content)
    (tmp_path / "3.jpg").unlink()
    many = stored * 60
    stream = io.StringIO()
    with Progress("images checked", len(many), stream) as progress:
        found = list(verify(tmp_path, many, progress, num_threads=num_threads))
    one = [Checked(hashlib.sha256(content).digest(), len(content)) for content in contents]
    one[3] = Fault("is missing")
    assert found == one * 60
    assert stream.getvalue().splitlines()[-1].startswith("images checked 300 of 300  100 %")


def test_what_no_trial_can_show_is_a_fault(tmp_path):
    """Found by the one who prepares, not by the first trial that reads it."""
    Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8)).save(tmp_path / "depth.tif")
    found = check(tmp_path, StoredImage("depth.tif"))
    assert found == Fault(
        "can't be decoded: its pixels are 32-bit numbers (Pillow's mode I) and their white level is unknown"
    )


def test_progress_in_a_terminal_and_in_a_log(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        with Progress("images checked", 1000, stream) as progress:
            for _ in range(20):
                progress.advance(50)
    assert terminal.getvalue().count("\r") == 20
    assert terminal.getvalue().endswith("images checked 1,000 of 1,000  100 %  5/s\x1b[K\n")
    lines = log.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "images checked 100 of 1,000   10 %  5/s  3:00 left"
