"""Sets in COCO's format: what is read is what pycocotools reads, and what is wrong is told."""

import contextlib
import copy
import io
import json
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pydantic import ValidationError

from tests.trainers.data.coco_layouts import CLASS_NAMES, as_rle, write, write_coco
from trainers.data import coco_index
from trainers.data.augmentation import NoAugmentation
from trainers.data.coco_format import CocoFormatConfig, CocoPart
from trainers.data.coco_index import read_coco
from trainers.data.crop_flip import CropFlipAugmentation
from trainers.errors import DataError
from trainers.fence import Fence, fenced
from trainers.tasks.detection.coco import NAMES
from trainers.tasks.detection.detections import Detections, Outlines, ScoredImage

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
"""Of pycocotools' decoder."""

PARTS = {
    split: CocoPart(annotations_file=f"annotations/{split}.json", images_folder=split)
    for split in ("train", "val", "test")
}


@pytest.fixture
def document(tmp_path):
    return write_coco(tmp_path / "set")


def load(root, config=None, augmentation=None):
    config = config or CocoFormatConfig(path="set")
    return config.load(root, input_size_px=32, augmentation=augmentation or NoAugmentation(), seed=0)


def in_parts(root):
    """Three files; returns what is in that of the test split."""
    written = [
        write_coco(root / "set", 12 - seed, seed=seed, annotations=part.annotations_file, images=part.images_folder)
        for seed, part in enumerate(PARTS.values())
    ]
    return CocoFormatConfig(path="set", **PARTS), written[-1]


def by_pycocotools(file):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(file))


# What is read


def test_boxes_classes_areas_and_masks_are_those_of_pycocotools(tmp_path):
    config, _ = in_parts(tmp_path)
    test = load(tmp_path, config).test
    theirs = by_pycocotools(tmp_path / "set/annotations/test.json")
    image_ids = [image["id"] for image in theirs.dataset["images"]]
    assert len(test) == len(image_ids) == 10
    kinds = set()
    for (_, objects, _), image_id in zip((test[place] for place in range(10)), image_ids, strict=True):
        annotations = theirs.imgToAnns[image_id]
        kinds |= {type(each["segmentation"]) for each in annotations} | {len(annotations) == 0}
        assert len(objects.classes) == len(annotations)
        for place, each in enumerate(annotations):
            assert np.array_equal(objects.masks[place].numpy(), theirs.annToMask(each))
            left, top, width, height = each["bbox"]
            assert objects.boxes[place].tolist() == pytest.approx([left, top, left + width, top + height], rel=1e-6)
            assert CLASS_NAMES[objects.classes[place]] == theirs.cats[each["category_id"]]["name"]
            assert (objects.areas_px[place], objects.is_crowd[place]) == (each["area"], each["iscrowd"])
    assert kinds == {list, dict, True, False}


def scored(test, document, results):
    """Results in COCO's form beside what the split says is true, as the task keeps them."""
    classes = {number: place for place, number in enumerate(sorted(each["id"] for each in document["categories"]))}
    images = []
    for place, image in enumerate(document["images"]):
        objects, found = test[place][1], [each for each in results if each["image_id"] == image["id"]]
        boxes = np.array([each["bbox"] for each in found], dtype=np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        encoded = (np.asfortranarray(mask.numpy()) for mask in objects.masks)
        images.append(
            ScoredImage(
                place=place,
                height_px=image["height"],
                width_px=image["width"],
                found=Outlines(
                    boxes.astype(np.float32),
                    np.array([classes[each["category_id"]] for each in found], dtype=np.int64),
                    tuple(each["segmentation"]["counts"] for each in found),
                ),
                scores=np.array([each["score"] for each in found], dtype=np.float32),
                true=Outlines(
                    objects.boxes.numpy(),
                    objects.classes.numpy(),
                    tuple(rle.encode(each)["counts"] for each in encoded),
                ),
                areas_px=objects.areas_px.numpy(),
                is_crowd=objects.is_crowd.numpy(),
                is_finite=True,
            )
        )
    return Detections(tuple(images)).metrics()


def told_by_pycocotools(truth, results):
    numbers = {}
    for kind, name in (("bbox", "box"), ("segm", "mask")):
        # What has a box and an outline is taken for a box; areas would be those of boxes.
        told = [{key: value for key, value in each.items() if kind == "bbox" or key != "bbox"} for each in results]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(told)), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        numbers |= {f"{each}_{name}": value for each, value in zip(NAMES, evaluation.stats, strict=True)}
    return {name: value for name, value in numbers.items() if value != -1}


def found_again(document):
    """The truth as if it had been found, crowds not."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
    return [
        {
            "image_id": each["image_id"],
            "category_id": each["category_id"],
            "bbox": each["bbox"],
            "segmentation": as_rle(each["segmentation"], *sizes[each["image_id"]]),
            "score": 0.5,
        }
        for each in document["annotations"]
        if not each["iscrowd"]
    ]


def test_who_finds_the_truth_has_one_everywhere(tmp_path):
    config, document = in_parts(tmp_path)
    metrics = scored(load(tmp_path, config).test, document, found_again(document))
    assert {
        name: value for name, value in metrics.items() if value != 1 and "ar1_" not in name and "ar10_" not in name
    } == {}
    assert len(metrics) >= 16


def test_all_numbers_of_a_perturbed_truth_are_those_of_pycocotools_on_the_file(tmp_path):
    config, document = in_parts(tmp_path)
    random = np.random.RandomState(3)
    results = found_again(document)
    sizes = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
    for each in results:
        shift = random.randint(-3, 4, size=2)
        mask = np.roll(rle.decode(each["segmentation"]), shift, axis=(0, 1))
        each["segmentation"] = rle.encode(np.asfortranarray(mask))
        each["bbox"] = np.add(each["bbox"], [*shift[::-1], 0, 0]).tolist()
        each["score"] = float(np.float32(random.randint(1, 9) / 10))
        if random.uniform() < 0.2:
            each["category_id"] = 17
    # One in five is not found, some are found twice; inside of a crowd, something is found.
    results = [each for each in results if random.uniform() > 0.2]
    results += [dict(each, score=0.05) for each in results[::4]]
    results += [
        {
            "image_id": each["image_id"],
            "category_id": each["category_id"],
            "bbox": each["bbox"],
            "segmentation": as_rle(each["segmentation"], *sizes[each["image_id"]]),
            "score": 0.95,
        }
        for each in document["annotations"]
        if each["iscrowd"]
    ]
    ours = scored(load(tmp_path, config).test, document, results)
    theirs = told_by_pycocotools(by_pycocotools(tmp_path / "set/annotations/test.json"), results)
    # Beside COCO's numbers there are means over images.
    assert {name for name in ours if not name.startswith("image_")} == theirs.keys()
    np.testing.assert_allclose([ours[name] for name in theirs], list(theirs.values()), rtol=0, atol=1e-12)
    assert 0.1 < theirs["ap_mask"] < 0.9


def test_one_file_is_shared_out_by_seed(document, tmp_path):
    def indices(**fields):
        splits = load(tmp_path, CocoFormatConfig(path="set", **fields))
        return [sorted(part.indices.tolist()) for part in (splits.train, splits.val, splits.test)]

    first = indices()
    assert [len(each) for each in first] == [14, 3, 3]
    assert sorted(index for part in first for index in part) == [*range(20)]
    assert indices() == first
    assert indices(split_seed=1) != first


def test_a_part_that_is_missing_is_cut_out_of_training(tmp_path):
    config, _ = in_parts(tmp_path)
    splits = load(tmp_path, config.model_copy(update={"val": None, "val_fraction": 0.25}))
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [9, 3, 10]
    assert sorted(splits.test.indices.tolist()) == [*range(12, 22)]


def test_crowds_and_images_without_objects_are_trained_on_as_such(document, tmp_path):
    train = load(tmp_path, augmentation=CropFlipAugmentation(min_scale_fraction=0.9)).train
    batch = train.__getitems__(range(len(train)))
    assert [image.shape for image in batch.images] == [(3, 32, 32)] * 14
    assert any(objects.is_crowd.any() for objects in batch.targets)
    empty = [objects for objects in batch.targets if not len(objects.classes)]
    assert empty
    assert (empty[0].boxes.shape, empty[0].masks.shape) == ((0, 4), (0, 32, 32))


def test_decoded_images_are_kept(document, tmp_path):
    splits = load(tmp_path)
    before = splits.train[0][0]
    splits.keep_decoded(limit_gib=0.001, key=tmp_path.name)
    for _ in range(2):
        assert torch.equal(splits.train[0][0], before)


def test_names_beyond_ascii_and_a_byte_order_mark_are_read(tmp_path):
    document = write_coco(tmp_path / "set")
    document["categories"][0] = {"id": 3, "name": "Käfer"}
    document["images"][0]["file_name"] = "grün.png"
    (tmp_path / "set/images/000100.png").rename(tmp_path / "set/images/grün.png")
    for escaped in (True, False):
        text = json.dumps(document, ensure_ascii=escaped)
        (tmp_path / "set/annotations.json").write_text(text, encoding="utf-8-sig")
        splits = load(tmp_path)
        assert splits.class_names == ("Käfer", "zebra crossing", "dog")
        # Outlines are read by their place in the file.
        for split in (splits.train, splits.val, splits.test):
            split.__getitems__(range(len(split)))


def test_the_line_of_the_plan_counts_all(tmp_path):
    document = write_coco(tmp_path / "set")
    document["annotations"][0]["bbox"][2] = 0
    write(tmp_path / "set/annotations.json", document)
    Image.new("RGB", (9, 9)).save(tmp_path / "set/images/more.png")
    (tmp_path / "set/images/notes.txt").write_text("")
    config = CocoFormatConfig(path="set", without_area="leave_out")
    crowds = sum(each["iscrowd"] for each in document["annotations"])
    objects = len(document["annotations"]) - crowds - 1
    num_empty = 4 + (sum(each["image_id"] == 100 for each in document["annotations"]) == 1)
    assert str(config.survey(tmp_path).account) == (
        f"3 classes, 14/3/3 images, {objects} objects, {crowds} crowds (not learned), "
        f"{num_empty} images without objects, 1 object without area (left out), "
        "1 image that no file names (not read), 1 file of another kind (.txt 1)"
    )
    # Neither learned nor scored.
    splits = load(tmp_path, config)
    everything = [split.__getitems__(range(len(split))).targets for split in (splits.train, splits.val, splits.test)]
    assert sum(len(each.classes) for part in everything for each in part) == objects + crowds


def test_the_fingerprint_knows_the_file_and_the_images_that_it_names(document, tmp_path):
    config = CocoFormatConfig(path="set")
    first = config.fingerprint(tmp_path)
    Image.new("RGB", (9, 9)).save(tmp_path / "set/images/more.png")
    assert config.fingerprint(tmp_path) == first
    document["annotations"][0]["area"] += 1
    write(tmp_path / "set/annotations.json", document)
    assert config.fingerprint(tmp_path) != first


# What is refused


def annotation(**fields):
    def change(document):
        document["annotations"][0] |= fields

    return change


def image(**fields):
    def change(document):
        document["images"][0] |= fields

    return change


def without(part, name):
    def change(document):
        del document[part][0][name]

    return change


def twice(part):
    def change(document):
        document[part].append(copy.deepcopy(document[part][0]))

    return change


HERE = r"annotation 1 \(line \d+ of .*/set/annotations.json\)"
BROKEN = {
    "image id": (
        annotation(image_id=5),
        f"{HERE} speaks of the image 5, which is not among the `images` of the file: are",
    ),
    "category id": (
        annotation(category_id=4),
        f"{HERE} speaks of the category 4, which is not among the `categories` of the file",
    ),
    "id of text": (
        annotation(image_id="100"),
        f"{HERE} has the image_id '100'; ids are whole numbers of at most 64 bits",
    ),
    "annotation twice": (twice("annotations"), r"several annotations have the id 1; each needs one of its own"),
    "image twice": (twice("images"), r"several images have the id 100; each needs"),
    "category twice": (twice("categories"), r"category 3 \(line \d+ of .*\) has an id that another category has, too"),
    "one file for two": (image(file_name="000101.png"), "several images have the file_name '000101.png'"),
    "missing image": (
        image(file_name="gone.png"),
        r"1 image of 20 that .*annotations.json names is not there: .*/set/images/gone.png; download or unpack",
    ),
    "name that leads out": (image(file_name="../000100.png"), "has the file_name '../000100.png'; expected one below"),
    "size": (
        image(height=50, width=50),
        r"annotation \d+ .* has (a box|a polygon|run lengths)|the image .*000100.png is \d+ x \d+ pixels, and",
    ),
    "size of nothing": (image(height=0), r"image 100 \(line \d+ of .*\) is \d+ x 0 pixels, which no image is"),
    "polygon outside": (
        annotation(segmentation=[[1, 1, 400, 1, 400, 9]]),
        f"{HERE} has a polygon from \\(1, 1\\) to \\(400, 9\\), outside of its image 000100.png of",
    ),
    "polygon of two points": (
        annotation(segmentation=[[1, 1, 9, 9]]),
        f"{HERE} has a polygon of 2 points, and 3 have an",
    ),
    "polygon of odd numbers": (
        annotation(segmentation=[[1, 1, 9, 9, 5, 6, 7]]),
        f"{HERE}: a polygon has 7 numbers: each",
    ),
    "polygon of text": (
        annotation(segmentation=[[1, 1, 9, 9, 5, "6"]]),
        f"{HERE}: a polygon holds what is not a number",
    ),
    "polygon that is flat": (
        annotation(segmentation=[1, 1, 9, 9, 5, 6]),
        f"{HERE}: its `segmentation` is not a list of",
    ),
    "no outline": (
        annotation(segmentation=[]),
        f"{HERE} has no outline \\(`segmentation`\\): nothing can be found of it",
    ),
    "outline away": (without("annotations", "segmentation"), f"{HERE} has no outline"),
    "run lengths of another size": (
        annotation(segmentation={"size": [20, 30], "counts": [0, 600]}),
        f"{HERE} has run lengths of 30 x 20 pixels, and its image 000100.png is",
    ),
    "run lengths too long": (
        annotation(segmentation={"size": [20, 30], "counts": [0, 601]}),
        f"{HERE}: its counts are 601 pixels together, and 30 x 20 are 600",
    ),
    "run lengths of nothing": (
        annotation(segmentation={"size": [20, 30], "counts": [600]}),
        "has run lengths of 30 x 20",
    ),
    "run lengths broken": (annotation(segmentation={"size": [20, 30], "counts": "zz"}), f"{HERE}: its counts are not"),
    "run lengths without size": (annotation(segmentation={"counts": "zz"}), f"{HERE}: its run lengths need `size`"),
    "box without area": (
        annotation(bbox=[1, 1, 0, 5]),
        f"{HERE} has a box of 0 x 5 pixels: nothing can be found of it",
    ),
    "box outside": (
        annotation(bbox=[1, 1, 500, 5]),
        f"{HERE} has a box from \\(1, 1\\) to \\(501, 6\\), outside of its image .* boxes are \\[left, top",
    ),
    "box of three": (
        annotation(bbox=[1, 1, 5]),
        f"{HERE} has the bbox \\[1, 1, 5\\]; expected \\[left, top, width, height",
    ),
    "no box": (without("annotations", "bbox"), f"{HERE} has no `bbox` \\(it has id, image_id"),
    "crowd": (annotation(iscrowd=7), f"{HERE} has iscrowd 7; expected 0 or 1"),
    "captions": (
        lambda document: document.update(annotations=[{"id": 1, "image_id": 100, "caption": "a cat"}]),
        r"annotation 1 .* has no `category_id` \(it has id, image_id, caption\); expected COCO's file of instances",
    ),
    "numbers for images": (
        lambda document: document.update(images=[1]),
        r"line \d+ has '1' among its `images`; expected",
    ),
    "no annotations": (
        lambda document: document.pop("annotations"),
        r"has no `annotations` \(it has info, licenses, images, categories\); expected COCO's file of instances",
    ),
    "no images": (lambda document: document.update(images=[], annotations=[]), "names no images; expected COCO's file"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_can_not_be_right_is_told_by_the_plan(document, tmp_path, change, message):
    change(document)
    write(tmp_path / "set/annotations.json", document)
    with pytest.raises(DataError, match=message):
        CocoFormatConfig(path="set").survey(tmp_path)


TEXTS = {
    "nothing": ("", r"annotations.json can't be read as JSON: it is empty"),
    "half": ('{\n"info": [{"id": 1},\n{"id"', r"is not valid JSON: .* at line 3, column 6"),
    "end": ('{"images": []} {}', r"is not valid JSON: something follows the end at line 1, column 16"),
    "comma": ('{"images": []\n"annotations": []}', r"is not valid JSON: expected `,` at line 2, column 1"),
    "name": ("{images: []}", r"is not valid JSON: expected a name in double quotes at line 1, column 2"),
    "number": ('{"images": [{"id": NaN}]}', r"is not valid JSON: `NaN` is not a JSON number at line 1"),
    "deep": ('{"images": ' + "[" * 100_000, r"is not valid JSON: it nests too deep at line 1, column"),
    "list": ("[1, 2]", r"is JSON, but not an object: it begins with '\[1, 2\]'"),
    "another": ('{"kind": "folder"}', r"has no `images` and no `annotations` and no `categories` \(it has kind\)"),
    "table": ("id,class\n1,2\n", r"is not valid JSON: Expecting value at line 1, column 1"),
}


@pytest.mark.parametrize(("text", "message"), TEXTS.values(), ids=TEXTS.keys())
def test_what_is_no_json_is_told_with_its_line(document, tmp_path, text, message):
    (tmp_path / "set/annotations.json").write_text(text)
    with pytest.raises(DataError, match=message):
        CocoFormatConfig(path="set").fingerprint(tmp_path)


def test_bytes_that_are_not_utf_8_are_told(document, tmp_path):
    text = json.dumps(document).replace('"cat"', '"c\xe9t"')
    (tmp_path / "set/annotations.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"is not valid JSON: it is not UTF-8 at line 1, column \d+"):
        load(tmp_path)


def test_an_image_of_another_size_fails_the_trial_that_meets_it(document, tmp_path):
    splits = load(tmp_path)
    for file in (tmp_path / "set/images").iterdir():
        with Image.open(file) as opened:
            turned = opened.transpose(Image.Transpose.ROTATE_90)
        turned.save(file)
    with pytest.raises(DataError, match=r"pixels, and .*annotations.json says .* set `exif` to \"apply\""):
        splits.train.__getitems__(range(14))


def test_a_file_that_has_changed_since_is_told(document, tmp_path):
    splits = load(tmp_path)
    (tmp_path / "set/annotations.json").write_text("{}" * 9)
    with pytest.raises(DataError, match=r"annotations.json has changed since it was read"):
        splits.train.__getitems__(range(14))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "annotations/val.json").unlink(), r"no file .*/annotations/val.json; expected a file in"),
        (lambda root: (root / "val").rename(root / "other"), r"no folder .*/set/val; expected a file in COCO's format"),
    ],
)
def test_what_is_missing_is_named(tmp_path, change, message):
    config, _ = in_parts(tmp_path)
    change(tmp_path / "set")
    with pytest.raises(DataError, match=message):
        load(tmp_path, config)


def test_parts_have_the_same_classes_and_no_image_in_common(tmp_path):
    config, document = in_parts(tmp_path)
    shared = config.model_copy(update={"val": config.train})
    with pytest.raises(DataError, match=r"train/000100.png is in the parts train and val: take it out of one"):
        load(tmp_path, shared)
    document["categories"] = [*document["categories"], {"id": 91, "name": "owl"}]
    write(tmp_path / "set/annotations/test.json", document)
    with pytest.raises(DataError, match=r"test.json has the category 91 \(owl\), and .*train.json has not: all parts"):
        load(tmp_path, config)


@pytest.mark.parametrize("name", ["..", "../other", "/etc", "a/../b", "", "a//b", "a\0b"])
def test_parts_lie_in_the_folder(name):
    for field in ("annotations_file", "images_folder"):
        with pytest.raises(ValidationError):
            CocoPart(**{field: name})


def test_images_may_lie_beside_the_file(tmp_path):
    write_coco(tmp_path / "set", images=".")
    config = CocoFormatConfig(path="set", train=CocoPart(images_folder="."))
    assert "file of another kind (.json 1)" in str(config.survey(tmp_path).account)


def test_links_that_lead_out_of_the_fence_are_refused(document, tmp_path):
    (tmp_path / "elsewhere.json").write_bytes((tmp_path / "set/annotations.json").read_bytes())
    with fenced(Fence(roots=(tmp_path / "set",))):
        split = load(tmp_path).train
    (tmp_path / "set/annotations.json").unlink()
    (tmp_path / "set/annotations.json").symlink_to(tmp_path / "elsewhere.json")
    with fenced(Fence(roots=(tmp_path / "set",))), pytest.raises(DataError, match="leads out of the folders"):
        load(tmp_path)
    with pytest.raises(DataError, match="leads out of the folders"):
        split.__getitems__([0])


# What it costs


def test_the_index_of_a_large_file_is_kept_on_disk(document, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGMALAB_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "set/annotations.json"
    read = read_coco(file)
    monkeypatch.setattr(coco_index, "KEPT_BYTES", 1)
    indexes = []
    for _ in range(2):
        coco_index._read.cache_clear()
        indexes.append(read_coco(file))
        # The second time nothing is parsed.
        monkeypatch.setattr(coco_index, "_parsed", None)
    for index in indexes:
        for name, value in read._asdict().items():
            assert np.array_equal(getattr(index, name), value, equal_nan=name == "areas_px"), name
            assert type(getattr(index, name)) is type(value), name
    coco_index._read.cache_clear()


def test_an_object_takes_few_bytes(tmp_path):
    """As an index of COCO's own 860,001 objects must fit into every process that trains."""
    document = write_coco(tmp_path / "set", 40)
    copies = [
        each | {"id": 10_000 * number + each["id"]} for number in range(1, 101) for each in document["annotations"]
    ]
    write(tmp_path / "set/annotations.json", document | {"annotations": copies})
    tracemalloc.start()
    try:
        index = read_coco(tmp_path / "set/annotations.json")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index.classes) == len(copies) > 5_000
    assert kept / len(copies) < 120
