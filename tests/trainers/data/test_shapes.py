import numpy as np
import pytest
import torch
from pydantic import ValidationError

from trainers.data.augmentation import NoAugmentation
from trainers.data.shapes import CLASS_NAMES, MAX_SPLIT, STARTS, ShapesConfig, draw

FEW = {"num_train": 6, "num_val": 3, "num_test": 4}


def load(side=64, **changes):
    config = ShapesConfig(**FEW | changes)
    return config.load(None, input_size_px=side, augmentation=NoAugmentation(), seed=0)


def test_there_is_ground_and_every_shape():
    ids = draw(ShapesConfig(), 0, 60).ids
    shares = np.bincount(ids.ravel(), minlength=len(CLASS_NAMES)) / ids.size
    assert len(shares) == len(CLASS_NAMES)
    assert 0.4 < shares[0] < 0.9
    assert shares[1:].min() > 0.02


def outline(name, **changes):
    """A large image of one whole shape of this class: its mask."""
    for start in range(1000):
        ids = draw(ShapesConfig(image_size_px=128, min_shapes=1, max_shapes=1, **changes), start, 1).ids[0]
        inside = ids == CLASS_NAMES.index(name)
        edges = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
        if inside.any() and not edges.any():
            return inside
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("circle", 1.0),
        ("square", 2 / np.pi),
        ("triangle", 3 * np.sqrt(3) / 4 / np.pi),
        ("cross", (2 * 0.4 * 3 - 0.4) / np.pi),
        ("ring", 3 / 4),
    ],
)
def test_a_shape_is_what_it_is_called(name, share):
    # Its share of the circle that goes through its farthest points, and whether its middle belongs to it.
    inside = outline(name)
    rows, columns = np.nonzero(inside)
    middle = rows.mean(), columns.mean()
    radius = np.hypot(rows - middle[0], columns - middle[1]).max()
    assert inside.sum() / (np.pi * radius**2) == pytest.approx(share, rel=0.1)
    assert inside[round(middle[0]), round(middle[1])] == (name != "ring")


def test_a_mask_is_exact():
    # Without noise and textures' share of the contrast, a shape's edge is where its mask's is.
    pictures = draw(ShapesConfig(noise_std=0, min_shapes=1, max_shapes=1), 0, 40)
    for pixels, ids in zip(pictures.pixels.astype(int), pictures.ids, strict=True):
        step = np.abs(np.diff(pixels, axis=1)).max(axis=2)
        is_edge = np.diff(ids.astype(int), axis=1) != 0
        if is_edge.sum() > 10:
            assert step[is_edge].mean() > 1.5 * step[~is_edge].mean()


def test_an_image_depends_on_seed_and_index_only():
    few, many = load(), load(num_train=9, num_val=5, num_test=6)
    for name in ("train", "val", "test"):
        small, large = getattr(few, name), getattr(many, name)
        assert small.indices.tolist() == large.indices.tolist()[: len(small)]
        assert all(torch.equal(one, other) for one, other in zip(small[2][:2], large[2][:2], strict=True))
    other = load(generation_seed=1)
    assert not torch.equal(other.train[2][0], few.train[2][0])


def test_no_image_is_in_two_splits():
    splits = load()
    images = [split[position][0] for split in (splits.train, splits.val, splits.test) for position in range(len(split))]
    assert len({image.numpy().tobytes() for image in images}) == 13
    assert sorted(STARTS) == [0, MAX_SPLIT, 2 * MAX_SPLIT]


def test_a_model_of_another_input_gets_images_resized_and_masks_as_they_are():
    splits = load(side=48)
    batch = splits.train.__getitems__([0, 1])
    assert (batch.images.shape, batch.targets.shape) == ((2, 3, 48, 48), (2, 48, 48))
    image, mask, _ = splits.test[0]
    assert (image.shape, mask.shape) == ((3, 48, 48), (64, 64))
    assert len(splits.class_names) == splits.num_classes == 6


def test_numbers_of_shapes_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match="min_shapes 6 is above max_shapes 5; exchange them"):
        ShapesConfig(min_shapes=6)


def test_without_shapes_there_is_ground_only():
    assert not draw(ShapesConfig(min_shapes=0, max_shapes=1), 0, 20).ids.any(axis=(1, 2)).all()


def test_fingerprint_and_label_tell_data_sets_apart():
    changes = [
        {},
        {"num_train": 500},
        {"image_size_px": 96},
        {"min_shapes": 1},
        {"max_shapes": 7},
        {"noise_std": 0.2},
        {"generation_seed": 1},
    ]
    configs = [ShapesConfig(**change) for change in changes]
    assert len({config.fingerprint(None) for config in configs}) == len(configs)
    assert [config.label for config in configs] == [
        "shapes-400",
        "shapes-500",
        "shapes-400-px96",
        "shapes-400-min1",
        "shapes-400-max7",
        "shapes-400-noise0.2",
        "shapes-400-gen1",
    ]
