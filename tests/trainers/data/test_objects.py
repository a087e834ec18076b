"""Objects: boxes of masks, masks that move with their image, and the generated shapes."""

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from trainers.data.augmentation import NoAugmentation
from trainers.data.crop_flip import CropFlipAugmentation
from trainers.data.instance_masks import InstanceMasks
from trainers.data.multi_scale import MultiScaleAugmentation
from trainers.data.object_split import ObjectSplit
from trainers.data.objects import fitted_size, objects_of_masks
from trainers.data.photometric_distortion import PhotometricDistortion
from trainers.data.scale_crop import ScaleCropAugmentation
from trainers.data.scored_view import ScoredView
from trainers.data.shapes_objects import CLASS_NAMES, MAX_HIDDEN, ShapesObjectsConfig, draw

WIDTH, HEIGHT, SIDE = 120, 80, 32
BOXES = [(10, 12, 30, 40), (60, 30, 100, 70), (90, 5, 118, 25)]
LEVELS = [60, 120, 240]
MOVING = {
    "none": NoAugmentation(),
    "crop_flip": CropFlipAugmentation(min_scale_fraction=0.1),
    "rotation": CropFlipAugmentation(min_scale_fraction=0.5, rotation_degrees=180),
    "scale_crop": ScaleCropAugmentation(photometric_distortion=False),
    "multi_scale": MultiScaleAugmentation(
        short_sides_px=(24, 32, 40),
        max_long_side_px=52,
        crop_short_sides_px=(40, 50),
        min_crop_px=20,
        max_crop_px=45,
    ),
}


def planted():
    """An image where each object has a level of its own, on black, and its masks."""
    pixels, masks = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8), torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
    for (left, top, right, bottom), level, mask in zip(BOXES, LEVELS, masks, strict=True):
        pixels[top:bottom, left:right] = level
        mask[top:bottom, left:right] = 1
    return Image.fromarray(pixels), objects_of_masks(torch.tensor([0, 1, 2]), masks, torch.tensor([False, False, True]))


class Planted(ObjectSplit):
    def image(self, position):
        return planted()[0]

    def objects(self, position):
        return planted()[1]


def split_of(augmentation, *, seed=0, is_scored=False, view=None):
    augment = augmentation.build(input_size_px=SIDE, seed=seed)
    return Planted(torch.arange(40), augment, input_size_px=SIDE, is_scored=is_scored, view=view)


def placed():
    """An image whose red rises by 2 along a row, its green by 3 along a column; blue is full."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return Image.fromarray(np.stack([2 * x, 3 * y, np.full_like(x, 255)], axis=-1).astype(np.uint8))


class Placed(Planted):
    def image(self, position):
        return placed()


def test_boxes_lie_around_the_pixels_of_their_masks():
    _, objects = planted()
    assert objects.boxes.tolist() == [list(box) for box in BOXES]
    assert objects.areas_px.tolist() == [(r - x) * (b - y) for x, y, r, b in BOXES]


def test_what_has_no_pixel_is_gone_and_one_pixel_has_a_box():
    masks = torch.zeros(3, 4, 6, dtype=torch.uint8)
    masks[2, 1, 5] = 1
    objects = objects_of_masks(torch.tensor([7, 8, 9]), masks, torch.tensor([False, False, True]))
    assert (objects.classes.tolist(), objects.boxes.tolist()) == ([9], [[5, 1, 6, 2]])
    assert objects.is_crowd.tolist() == [True]
    nothing = objects_of_masks(torch.zeros(0, dtype=torch.int64), masks[:0], torch.zeros(0, dtype=torch.bool))
    assert (nothing.boxes.shape, nothing.masks.shape) == ((0, 4), (0, 4, 6))


@pytest.mark.parametrize("augmentation", MOVING.values(), ids=MOVING)
def test_objects_move_with_their_image(augmentation):
    assert augmentation.moves_masks
    split = split_of(augmentation)
    batch = split.__getitems__(range(40))
    if augmentation not in (MOVING["none"], MOVING["multi_scale"]):
        assert {image.shape for image in batch.images} == {(3, SIDE, SIDE)}
    num_kept = 0
    for image, objects in zip(batch.images, batch.targets, strict=True):
        for class_id, box, mask in zip(objects.classes.tolist(), objects.boxes, objects.masks, strict=True):
            left, top, right, bottom = box.int().tolist()
            assert mask[top:bottom, left:right].sum() == mask.sum()
            assert min(mask[top].any(), mask[bottom - 1].any(), mask[:, left].any(), mask[:, right - 1].any())
            if min(right - left, bottom - top) < 6:
                continue
            # At their edges, pixels are mixed with the ground.
            is_level = (image[0].int() - LEVELS[class_id]).abs() < 20
            assert is_level[mask.bool()].float().mean() > 0.5
            assert mask[is_level].float().mean() > 0.4
            num_kept += 1
    assert num_kept > 20


@pytest.mark.parametrize("augmentation", MOVING.values(), ids=MOVING)
def test_pixels_tell_that_masks_and_boxes_are_where_their_objects_were(augmentation):
    """Every pixel tells where it came from, so each is asked whether it was in the object."""
    augment = augmentation.build(input_size_px=SIDE, seed=0)
    split = Placed(torch.arange(40), augment, input_size_px=SIDE, is_scored=False)
    batch = split.__getitems__(range(40))
    num_asked = 0
    for image, objects in zip(batch.images, batch.targets, strict=True):
        x, y, blue = (channel.double() for channel in image)
        x, y, is_image = x / 2, y / 3, blue == 255
        # One pixel of the changed image is so many of the stored one, and levels are mixed over about as many.
        steps = [
            (place.diff(dim=axis)[is_image.narrow(axis, 1, place.shape[axis] - 1)]) for place, axis in ((x, 1), (y, 0))
        ]
        doubt = 2 + 1.5 * max(step.abs().median().item() if len(step) else 0 for step in steps)
        for class_id, box, mask in zip(objects.classes.tolist(), objects.boxes, objects.masks, strict=True):
            left, top, right, bottom = BOXES[class_id]
            depth = torch.stack([x - left, right - 1 - x, y - top, bottom - 1 - y]).amin(dim=0)
            assert mask[is_image & (depth > doubt)].all(), "what was in the object is in its mask"
            assert not mask[is_image & (depth < -doubt)].any(), "what was beside it is not"
            num_asked += int((is_image & (depth.abs() > doubt)).sum())
            columns, rows = mask.any(dim=0).nonzero().flatten(), mask.any(dim=1).nonzero().flatten()
            assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert num_asked > 10_000


def test_the_stream_is_that_of_seed_epoch_and_image():
    def boxes(seed, epoch):
        split = split_of(MOVING["crop_flip"], seed=seed)
        split.set_epoch(epoch)
        return torch.cat([objects.boxes for objects in split.__getitems__(range(6)).targets])

    assert torch.equal(boxes(0, 0), boxes(0, 0))
    assert not torch.equal(boxes(0, 0), boxes(0, 1)[: len(boxes(0, 0))])
    assert not torch.equal(boxes(0, 0), boxes(1, 0)[: len(boxes(0, 0))])


@pytest.mark.parametrize(
    ("view", "size"),
    [(None, (21, 32)), (ScoredView(40, "bilinear", 200), (40, 60)), (ScoredView(40, "bilinear", 51), (34, 51))],
)
def test_scored_images_are_as_large_as_their_view_allows_and_their_objects_stay_as_stored(view, size):
    batch = split_of(MOVING["none"], is_scored=True, view=view).__getitems__([3])
    assert batch.images[0].shape == (3, *size)
    assert batch.images[0].max() > 200
    assert batch.targets[0].boxes.tolist() == [list(box) for box in BOXES]
    assert batch.targets[0].masks.shape == (3, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("stored", "expected"),
    # By mmcv's rescale_size of (480, 640), (640, 480), ... to (1333, 800), with Python's rounding.
    [((480, 640), (800, 1067)), ((640, 480), (1067, 800)), ((300, 900), (444, 1333)), ((1, 5000), (1, 1333))],
)
def test_sizes_keep_their_ratio_within_two_bounds(stored, expected):
    assert fitted_size(*stored, 800, 1333) == expected


# Several sizes


def sizes_of(augmentation, size=(640, 480), number=400):
    transform = augmentation.build(input_size_px=SIDE, seed=0)
    image = Image.new("RGB", size)
    return [transform(image, index=index).size for index in range(number)]


def test_the_shorter_side_is_each_of_those_that_are_named_and_the_longer_one_is_bounded():
    usual = MultiScaleAugmentation(crop_probability=0)
    small = usual.model_copy(update={"short_sides_px": (24, 32, 40), "max_long_side_px": 52})
    sizes = sizes_of(small)
    shares = {size: sizes.count(size) / len(sizes) for size in set(sizes)}
    assert shares.keys() == {(32, 24), (43, 32), (52, 39)}
    assert all(0.25 < share < 0.42 for share in shares.values())
    assert set(sizes_of(usual, number=5)) <= {(round(side * 4 / 3), side) for side in usual.short_sides_px}


def test_a_share_of_the_images_is_cropped_and_the_sides_of_crops_are_drawn_apart():
    small = MOVING["multi_scale"]
    ratios = np.array([width / height for width, height in sizes_of(small)])
    is_cropped = (ratios < 4 / 3 - 0.05) | (ratios > 4 / 3 + 0.05)
    assert 0.4 < is_cropped.mean() < 0.52
    # 45 x 20 and 20 x 45 at most.
    assert ratios.min() < 0.7 < 1.8 < ratios.max() <= 2.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_crop_px": 700}, "min_crop_px 700 is above max_crop_px 600; exchange them"),
        ({"max_long_side_px": 700}, "max_long_side_px 700 is below the shorter side 800"),
        ({"short_sides_px": []}, "at least 1"),
    ],
)
def test_sides_that_can_not_be_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        MultiScaleAugmentation.model_validate(changes)


def test_the_stream_of_several_sizes_is_that_of_seed_epoch_and_image():
    def images(seed, epoch):
        split = split_of(MOVING["multi_scale"], seed=seed)
        split.set_epoch(epoch)
        return [image.numpy().tobytes() for image in split.__getitems__(range(6)).images]

    assert images(0, 0) == images(0, 0)
    assert images(0, 0) != images(0, 1) != images(1, 0) != images(0, 0)


def test_other_colours_leave_masks_alone():
    image, objects = planted()
    _, masks = PhotometricDistortion()(image, InstanceMasks(objects.masks))
    assert torch.equal(masks, objects.masks)


# Generated shapes


def test_shapes_are_what_they_are_called_and_seen():
    config = ShapesObjectsConfig()
    drawings = [draw(config, index) for index in range(200)]
    numbers = np.array([len(drawing.classes) for drawing in drawings])
    assert set(numbers) == set(range(config.max_objects + 1))
    assert set(np.concatenate([drawing.classes for drawing in drawings])) == set(range(len(CLASS_NAMES)))
    shares: dict[int, list[float]] = {class_id: [] for class_id in range(len(CLASS_NAMES))}
    for drawing in drawings:
        assert drawing.masks.sum(axis=0).max(initial=0) <= 1, "a pixel belongs to one object"
        for class_id, mask in zip(drawing.classes, drawing.masks, strict=True):
            rows, columns = np.nonzero(mask)
            is_whole = rows.min() > 0 and columns.min() > 0 and max(rows.max(), columns.max()) < 63
            if is_whole and len(drawing.classes) == 1:
                middle = np.hypot(rows - rows.mean(), columns - columns.mean())
                shares[class_id].append(mask.sum() / (np.pi * (middle.max() + 0.5) ** 2))
    # Of the circle around them: all, 2 / pi, and 3 sqrt(3) / 4 pi.
    for class_id, expected in enumerate((1.0, 0.64, 0.41)):
        assert np.mean(shares[class_id]) == pytest.approx(expected, abs=0.11)
    assert 0 < MAX_HIDDEN < 1


def test_an_image_follows_from_its_seed_and_number_alone():
    some, other = (ShapesObjectsConfig(num_train=number) for number in (5, 9))
    first, again = (
        config.load(None, input_size_px=64, augmentation=NoAugmentation(), seed=0) for config in (some, other)
    )
    assert torch.equal(first.train[4][0], again.train[4][0])
    assert not torch.equal(first.train[4][0], first.train[3][0])
    others = ShapesObjectsConfig(num_train=5, generation_seed=1)
    assert others.fingerprint(None) != some.fingerprint(None)
    assert (some.label, others.label) == ("shapes-objects-5", "shapes-objects-5-gen1")
