"""COCO and ADE20K as they are unpacked: what is checked, how they are split, and what reads them."""

import json

import pytest
from pydantic import TypeAdapter

from tests.trainers.data.coco_layouts import CLASS_NAMES, write, write_coco
from tests.trainers.data.mask_layouts import write_ade
from trainers.data.augmentation import NoAugmentation
from trainers.data.manifest import read_manifest
from trainers.data.manifest_set import ManifestConfig
from trainers.data.prepare.__main__ import main
from trainers.data.prepare.coco import PARTS
from trainers.errors import DataError
from trainers.kinds import DatasetConfig


def make_coco(root):
    for seed, (name, part) in enumerate(PARTS.items()):
        number, place = {"train": 120, "val": 6}[name], {"annotations": part.annotations_file}
        write_coco(root, number, seed=seed, images=part.images_folder, **place)
    return root


def make_ade(root):
    return write_ade(root, 30, 5)


MAKERS = {"coco": (make_coco, (115, 5, 6)), "ade20k": (make_ade, (27, 3, 5))}


@pytest.fixture
def typed(tmp_path, capsys):
    """Runs the command in a data root; gives exit code, stdout, stderr."""

    def run(*arguments):
        code = main([*map(str, arguments), "--data-root", str(tmp_path)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_printed_reads_the_set_and_splits_it_as_the_manifest_tells(name, tmp_path, typed):
    make, sizes = MAKERS[name]
    folder = make(tmp_path / name)
    arguments = ("prepare", name, "--root", folder, "--protocol", "official", "--allow-incomplete", "--json")
    code, out, err = typed(*arguments)
    assert code == 0, err
    answer = json.loads(out)
    dataset = TypeAdapter(DatasetConfig).validate_python(answer["dataset"])
    assert dataset.path == name
    assert answer["fingerprint"] == dataset.fingerprint(tmp_path)
    assert answer["found"] == str(dataset.survey(tmp_path).account)
    manifest = read_manifest(tmp_path / f"{name}-official-incomplete.manifest.parquet")
    splits = dataset.load(tmp_path, input_size_px=32, augmentation=NoAugmentation(), seed=0)
    for split, number, part in zip(
        ("train", "val", "test"), sizes, (splits.train, splits.val, splits.test), strict=True
    ):
        assert sorted(part.indices.tolist()) == manifest.indices(split).tolist()
        assert len(part) == answer["num_images"][split] == number
    # It lists no classes, and who reads it as if it did is told.
    with pytest.raises(DataError, match=rf"whose images have no class: .* `sigmalab data prepare {name}` has printed"):
        ManifestConfig(path=f"{name}-official-incomplete.manifest.parquet").survey(tmp_path)


def test_people_are_told_what_was_found(tmp_path, typed):
    make_coco(tmp_path / "coco")
    code, out, _ = typed("prepare", "coco", "--root", tmp_path, "--protocol", "official", "--allow-incomplete")
    assert code == 0
    assert "\n  images    train 115  val 5  test 6\n" in out
    assert "\n  found     3 classes, 115/5/6 images, " in out
    assert "images without objects" in out
    assert (
        "NOT WHOLE 3 classes instead of 80; 120 train images instead of 118,287; 6 val images instead of 5,000" in out
    )
    assert '"datasets": [{"kind": "coco_format", "path": "coco", "train": {"annotations_file"' in out


@pytest.mark.parametrize(
    ("name", "counts"), [("coco", "3 classes instead of 80"), ("ade20k", "30 training images inst")]
)
def test_a_set_that_is_not_whole_is_refused(name, counts, tmp_path, typed):
    MAKERS[name][0](tmp_path / name)
    code, _, err = typed("prepare", name, "--root", tmp_path / name, "--protocol", "official")
    assert code == 1
    assert counts in err
    assert list(tmp_path.glob("*.parquet")) == []


def test_broken_images_can_not_be_left_out(tmp_path, typed):
    folder = make_coco(tmp_path / "coco")
    (folder / "val2017/000100.png").write_bytes((folder / "val2017/000100.png").read_bytes()[:-900])
    code, _, err = typed("prepare", "coco", "--root", folder, "--protocol", "official", "--allow-incomplete")
    assert code == 1
    assert "1 of 126 image is missing or broken" in err
    assert err.endswith("Restore them (unpack or download again).\n")


def test_what_can_not_be_right_is_told(tmp_path, typed):
    folder = make_coco(tmp_path / "coco")
    file = folder / PARTS["val"].annotations_file
    document = json.loads(file.read_text())
    document["annotations"][0]["image_id"] = 5
    write(file, document)
    code, _, err = typed("prepare", "coco", "--root", folder, "--protocol", "official")
    assert code == 1
    assert "speaks of the image 5" in err
    assert len(CLASS_NAMES) == 3
