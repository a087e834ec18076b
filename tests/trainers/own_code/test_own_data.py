"""Data sets of the user's own: how they are cut, what they draw, what names them, and what is said where one does not
fit."""

from pathlib import Path

import pytest
import torch

from trainers.config import TrialConfig
from trainers.data.augmentation import NoAugmentation
from trainers.data.crop_flip import CropFlipAugmentation
from trainers.data.loading import BatchStream, Pass
from trainers.data.python_dataset import PythonDataset
from trainers.data.splits import Splits
from trainers.errors import DataError, OwnCodeError
from trainers.own_code.images import look_at, require_same_again
from trainers.own_code.place import OwnCode, own_code, running
from trainers.start import starts_of


def dataset(name: str, **fields: object) -> PythonDataset:
    return PythonDataset.model_validate({"target": f"labd.data:{name}", **fields})


def load(config: PythonDataset, *, seed: int = 0, augmentation=None, px: int = 8) -> Splits:
    return config.load(None, input_size_px=px, augmentation=augmentation or NoAugmentation(), seed=seed)


def every(split) -> torch.Tensor:
    return split.__getitems__(range(len(split))).images


# ---- where splits come from ----


@pytest.mark.parametrize(
    ("name", "arguments", "sizes"),
    [
        ("Parts", {}, (20, 6, 8)),
        ("in_a_dict", {}, (20, 6, 8)),
        ("in_a_tuple", {}, (20, 6, 8)),
        # Validation is cut out of training, and test stays what it is.
        ("in_a_dict", {"val": False}, (17, 3, 8)),
        ("Squares", {}, (28, 6, 6)),
    ],
)
def test_parts_are_taken_as_they_are_and_what_is_missing_is_cut(lab: Path, name, arguments, sizes) -> None:
    config = dataset(name, arguments=arguments)
    survey, splits = config.survey(None), load(config)
    assert tuple(survey.sizes) == sizes == (len(splits.train), len(splits.val), len(splits.test))
    indices = [index for split in (splits.train, splits.val, splits.test) for index in split.indices.tolist()]
    assert len(set(indices)) == len(indices)
    # Class by class.
    labels = splits.val.__getitems__(range(len(splits.val))).targets
    assert abs(labels.double().mean() - 0.5) <= 0.17


def test_classes_are_named_by_the_spec_or_the_object_or_by_number(lab: Path) -> None:
    assert load(dataset("Squares")).class_names == ("0", "1")
    assert load(dataset("Named")).class_names == ("even", "odd")
    assert load(dataset("Named", class_names=["a", "b", "c"])).class_names == ("a", "b", "c")
    assert dataset("Named", class_names=["a", "b", "c"]).survey(None).account.num_unscored_classes == 1


def test_images_of_all_sorts_are_the_same_pixels(lab: Path) -> None:
    floats, bytes_, pil = (
        every(load(dataset("Squares", arguments={"sort": sort})).test) for sort in ("float", "uint8", "pil")
    )
    assert (floats.dtype, bytes_.dtype, pil.dtype) == (torch.float32, torch.uint8, torch.uint8)
    assert torch.equal(bytes_, pil)
    assert torch.allclose(255 * floats, pil.float())


@pytest.mark.parametrize("sort", ["float", "pil"])
def test_images_of_another_size_are_cut_to_the_models(lab: Path, sort: str) -> None:
    splits = load(dataset("Squares", arguments={"sort": sort, "px": 20}), px=16)
    assert every(splits.train).shape[1:] == (3, 16, 16)
    assert (
        every(
            load(dataset("Squares", arguments={"sort": sort}), px=8, augmentation=CropFlipAugmentation()).train
        ).shape[2]
        == 8
    )


# ---- what is drawn ----


def test_what_it_draws_follows_seed_epoch_and_image_in_training_and_the_image_alone_in_scoring(lab: Path) -> None:
    def images(split: str, seed: int, epoch: int) -> torch.Tensor:
        chosen = getattr(load(dataset("Noisy"), seed=seed), split)
        chosen.set_epoch(epoch)
        return every(chosen)

    state = torch.random.get_rng_state()
    first = images("train", 0, 0)
    assert torch.equal(first, images("train", 0, 0))
    assert not torch.equal(first, images("train", 1, 0))
    assert not torch.equal(first, images("train", 0, 1))
    assert torch.equal(images("val", 0, 0), images("val", 1, 3))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_both_arms_of_a_pair_start_from_the_same_batches(lab: Path) -> None:
    control = {
        "model": {"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 2, "image_size_px": 8, "patch_size_px": 4},
        "dataset": dataset("Noisy").model_dump(),
        "optimization": {"global_batch_size": 10},
    }
    arms = [control, control | {"attention_bias": {"kind": "gaussian"}}, control | {"seed": 1}]
    first, second, other = starts_of([TrialConfig.model_validate(arm) for arm in arms], None)
    assert first == second
    assert other["start_batches"] != first["start_batches"]


# ---- what names it ----


def test_its_content_names_it(lab: Path) -> None:
    first = dataset("Squares").fingerprint(None)
    assert dataset("Squares").fingerprint(None) == first
    assert dataset("Squares", split_seed=1).fingerprint(None) != first
    edited = (lab / "labd/data.py").read_text().replace("5 * place", "6 * place")
    (lab / "labd/data2.py").write_text(edited)
    assert PythonDataset(target="labd.data2:Squares").fingerprint(None) != first


def test_a_stated_version_stands_for_pixels_that_are_not_read(lab: Path) -> None:
    first = dataset("Unread", version="1", arguments={"num": 50}).fingerprint(None)
    from labd.data import Unread  # type: ignore[import-not-found]

    assert len(set(Unread.read)) == 8
    assert dataset("Unread", version="1", arguments={"num": 50}).fingerprint(None) == first
    assert dataset("Unread", version="2", arguments={"num": 50}).fingerprint(None) != first
    assert dataset("Unread", version="1", arguments={"num": 49}).fingerprint(None) != first


def test_copies_of_training_images_are_counted(lab: Path) -> None:
    # Part by part, image 0 is the same, and so on: six of validation and eight of test.
    assert dataset("Parts").survey(None).account.num_copies == 14
    assert dataset("Squares").survey(None).account.num_copies == 0


# ---- what does not fit ----


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("alone", r"Wrong gives a tensor \[3, 8, 8\] of torch.float32 for image 0, where \(image, label\) is needed"),
        ("array", "image 0 of labd.data:Wrong is an object of the type ndarray; a PIL image or a tensor"),
        ("channels_last", r"is a tensor \[8, 8, 3\], where \[3, H, W\] .* is needed \(channels come first\)"),
        ("normalised", "has pixels from -2 to -2; floats from 0 to 1 are needed, or uint8: leave `Normalize` out"),
        ("integers", "is a tensor of torch.int64; pixels are uint8, or floats from 0 to 1"),
        (
            "one_hot",
            r"the label of image 0 of labd.data:Wrong is a tensor \[2\] of torch.int64; the number of its class",
        ),
        ("float_label", "the label of image 0 of labd.data:Wrong is 1.0; the number of its class"),
        ("negative", "is -1; classes are numbered from 0"),
        (
            "high",
            "the labels of labd.data:Wrong are 2 to 2, and no image has the label 0: number classes from 0, or say",
        ),
        ("raises", r"can't give image 0: KeyError: 'no such image' \[labd/data.py line \d+, in __getitem__"),
    ],
)
def test_what_is_no_image_or_label_is_said(lab: Path, how: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset("Wrong", arguments={"how": how}).survey(None)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        (
            "Wrong",
            {"arguments": {"how": "high"}, "class_names": ["a", "b"]},
            r"image 0 of .* has the label 2, and there are 2",
        ),
        ("Empty", {}, "labd.data:Empty is empty"),
        ("Stream", {}, "labd.data:Stream is an object of the type Stream; a data set has a length"),
        ("Grows", {}, "has 42 images by now, and had 40 when it was built"),
        ("Squares", {"arguments": {"num": 3}}, "has no image left for val: 3 images can't be shared out so"),
    ],
)
def test_what_is_no_data_set_is_said(lab: Path, name: str, fields, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset(name, **fields).survey(None)


def test_a_constructor_that_fails_is_told_in_the_users_lines(lab: Path) -> None:
    with pytest.raises(OwnCodeError, match=r"Broken\(\) can't be built: OSError: no such folder \[labd/data.py line"):
        dataset("Broken").survey(None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("grows_when_built", "it has 40 images, and 41 when it is built again"),
        ("Wild", "gives another image 0 then: what is drawn must come from"),
    ],
)
def test_what_is_another_set_when_it_is_built_again_is_refused(lab: Path, name: str, message: str) -> None:
    config = dataset(name)
    look_at(config, None)
    with pytest.raises(DataError, match=f"must be the same data set whenever it is built.*{message}"):
        require_same_again(config, None)


def test_what_draws_from_global_generators_is_the_same_again(lab: Path) -> None:
    config = dataset("Noisy")
    look_at(config, None)
    require_same_again(config, None)


def test_a_set_that_changes_its_length_in_training_is_refused(lab: Path) -> None:
    splits = load(dataset("Squares"))
    splits.train._share.items._items.num = 41
    with pytest.raises(DataError, match="has 41 images by now, and had 40 when it was built"):
        splits.train.__getitems__([0])


def test_a_process_that_runs_no_own_code_says_so() -> None:
    with running(None):
        pass
    with (
        own_code(OwnCode(Path("elsewhere"))),
        pytest.raises(DataError, match=r"Squares is a data set of the user's own code \(labd.data:Squares\), of which"),
    ):
        load(dataset("Squares"))


def test_readers_in_other_processes_give_the_same_images(lab: Path) -> None:
    splits = load(dataset("Noisy"), augmentation=CropFlipAugmentation())
    positions = [[0, 3], [5, 1]]
    stream = BatchStream({"train": splits.train}, [Pass("train", 2, positions)], loader_workers=1, pin=False)
    read = list(stream.next_pass("train", 2))
    stream.close()
    splits.train.set_epoch(2)
    for batch, chosen in zip(read, positions, strict=True):
        assert torch.equal(batch.images, splits.train.__getitems__(chosen).images)


def test_every_reader_opens_a_file_of_its_own(lab: Path) -> None:
    num, px = 200, 16
    pixels = torch.randint(256, (num, 3, px, px), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (lab / "images.bin").write_bytes(pixels.numpy().tobytes())
    arguments = {"path": str(lab / "images.bin"), "num": num, "px": px}
    # This process has read images of it before the readers start: its file is open.
    train_split = load(dataset("Lazy", arguments=arguments, val_fraction=0.1, test_fraction=0.1), px=px).train
    assert train_split._share.items._items.file is not None
    positions = [list(range(start, start + 16)) for start in range(0, 160, 16)] * 20
    stream = BatchStream({"train": train_split}, [Pass("train", 0, positions)], loader_workers=4, pin=False)
    read = list(stream.next_pass("train", 0))
    stream.close()
    wrong = sum(int((batch.images != pixels[batch.indices]).flatten(1).any(1).sum()) for batch in read)
    assert wrong == 0
