"""Images whose pixels tell their place, with masks that tell the same place: both must agree wherever they moved."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torchvision import tv_tensors
from torchvision.transforms import v2

from trainers.data.augmentation import NoAugmentation
from trainers.data.class_mask import UNSCORED, ClassMask
from trainers.data.crop_flip import CropFlipAugmentation
from trainers.data.mask_split import MaskSplit
from trainers.data.paper_augmentation import PaperAugmentation
from trainers.data.photometric_distortion import PhotometricDistortion
from trainers.data.rand_augment import RandAugmentation
from trainers.data.scale_crop import ScaleCropAugmentation
from trainers.data.seeded_transform import SeededTransform
from trainers.data.varied_crop import MAX_LONG_SIDE, RandomScale
from trainers.seeding import Stream, derive_seed, seeded_libraries

SIDE = 32
WIDTH, HEIGHT = 120, 80
MOVING = {
    "crop_flip": CropFlipAugmentation(min_scale_fraction=0.1),
    "crop_flip_rotation": CropFlipAugmentation(min_scale_fraction=0.1, rotation_degrees=180),
    "scale_crop": ScaleCropAugmentation(photometric_distortion=False),
    "scale_crop_zoom": ScaleCropAugmentation(min_ratio=4, max_ratio=8, photometric_distortion=False),
}


def planted(axis, size=(WIDTH, HEIGHT)):
    """Red rises by 2 along a row, green by 3 along a column, blue is full; the mask is the column (axis 0) or row."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    pixels = np.stack([2 * x, 3 * y, np.full_like(x, 255)], axis=-1).astype(np.uint8)
    return Image.fromarray(pixels), ClassMask(torch.from_numpy((x, y)[axis].astype(np.uint8)))


def channels(image):
    return np.asarray(image, dtype=float).transpose(2, 0, 1)


def eroded(area):
    """Pixels whose neighbours two steps away lie in the area, too."""
    wide = np.pad(area, 2)
    for axis in (0, 1):
        wide = np.logical_and.reduce([np.roll(wide, step, axis) for step in range(-2, 3)])
    return wide[2:-2, 2:-2]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("augmentation", MOVING.values(), ids=MOVING)
def test_a_mask_moves_with_its_image(augmentation, axis):
    assert augmentation.moves_masks
    transform = augmentation.build(input_size_px=SIDE, seed=0)
    image, mask = planted(axis)
    drifts, num_padded = [], 0
    for index in range(40):
        moved, moved_mask = transform(image, index=index, mask=mask)
        levels, ids = channels(moved), moved_mask.numpy().astype(float)
        assert moved.size == (SIDE, SIDE)
        assert moved_mask.shape == (SIDE, SIDE)
        is_black, is_unscored = levels[2] < 5, ids == UNSCORED
        assert (is_unscored | ~is_black).all(), "what comes from outside has no class"
        assert not is_unscored[eroded(levels[2] > 250)].any(), "what was in the image keeps its class"
        inside = eroded(~is_unscored)
        drift = levels[axis] / (2, 3)[axis] - ids
        # Rotation and resizing each take a nearest neighbour.
        assert np.abs(drift[inside]).max(initial=0) < 2
        drifts.append(drift[inside].mean() if inside.any() else 0)
        num_padded += is_unscored.sum()
    # Nearest neighbours err to both sides; half a pixel beside it would show. Pillow's rotation rounds levels down.
    assert -0.3 < np.mean(drifts) < 0.1
    assert (num_padded > 0) == (augmentation in (MOVING["crop_flip_rotation"], MOVING["scale_crop"]))


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.5, 3.0])
def test_a_resized_mask_lies_where_its_image_does(factor):
    image, mask = planted(0)
    size = [round(HEIGHT * factor), round(WIDTH * factor)]
    columns = channels(v2.functional.resize(image, size, v2.InterpolationMode.BILINEAR))[0] / 2
    torchvisions = tv_tensors.Mask(mask.as_subclass(torch.Tensor))
    ours, theirs = ((columns - v2.functional.resize(each, size).numpy())[:, 4:-4] for each in (mask, torchvisions))
    # The middle of an even number of pixels lies between two of them.
    assert abs(ours.mean()) <= 0.5
    if factor == 0.25:
        assert theirs.mean() == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize("augmentation", MOVING.values(), ids=MOVING)
def test_a_mask_changes_no_pixel_of_its_image_that_the_crop_does_not_choose_by_it(augmentation):
    if isinstance(augmentation, ScaleCropAugmentation):
        augmentation = augmentation.model_copy(update={"max_class_fraction": 1})
    transform = augmentation.build(input_size_px=SIDE, seed=3)
    image, mask = planted(0)
    for index in range(5):
        assert transform(image, index=index, mask=mask)[0] == transform(image, index=index)


@pytest.mark.parametrize("augmentation", MOVING.values(), ids=MOVING)
def test_a_tensor_moves_like_an_image(augmentation):
    transform = augmentation.build(input_size_px=SIDE, seed=1)
    image, mask = planted(0)
    tensor = v2.functional.to_dtype(v2.functional.pil_to_tensor(image), torch.float32, scale=True)
    for index in range(5):
        moved, moved_mask = transform(image, index=index, mask=mask)
        moved_tensor, same_mask = transform(tensor, index=index, mask=mask)
        assert torch.equal(moved_mask, same_mask)
        assert moved_tensor.shape == (3, SIDE, SIDE)
        area = eroded((moved_mask != UNSCORED).numpy())
        # Pillow works in whole levels.
        assert np.abs(255 * moved_tensor.numpy()[:, area] - channels(moved)[:, area]).max(initial=0) < 3


def test_the_stream_is_a_function_of_seed_epoch_and_image():
    image, mask = planted(0)

    def moved(seed=0, epoch=0, index=0):
        transform = ScaleCropAugmentation().build(input_size_px=SIDE, seed=seed)
        transform.set_epoch(epoch)
        image_, mask_ = transform(image, index=index, mask=mask)
        return image_.tobytes() + mask_.numpy().tobytes()

    assert moved() == moved()
    assert len({moved(), moved(seed=1), moved(epoch=1), moved(index=1)}) == 4


def test_kinds_that_move_no_masks_say_so():
    assert [kind().moves_masks for kind in (NoAugmentation, CropFlipAugmentation, ScaleCropAugmentation)] == [True] * 3
    assert [kind().moves_masks for kind in (PaperAugmentation, RandAugmentation)] == [False] * 2


# ---- images without masks ----


def test_images_without_masks_are_changed_as_ever():
    # The digest was written down before masks could move.
    augmentation = CropFlipAugmentation(rotation_degrees=30, min_scale_fraction=0.2)
    image, _ = planted(0)
    digest = hashlib.sha256()
    for epoch in (0, 3):
        transform = augmentation.build(input_size_px=24, seed=5)
        transform.set_epoch(epoch)
        for index in range(20):
            digest.update(transform(image, index=index).tobytes())
    assert digest.hexdigest()[:16] == "984f207f1922842d"


def test_crop_flip_is_torchvisions_chain():
    chain = v2.Compose(
        [
            v2.RandomRotation(30, v2.InterpolationMode.BILINEAR),
            v2.RandomResizedCrop(16, scale=(0.8, 1), interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.ColorJitter(0.3, 0.3, 0.3),
        ]
    )
    ours = CropFlipAugmentation(rotation_degrees=30, color_jitter=0.3).build(input_size_px=16, seed=5)
    digit = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    for index in range(5):
        with seeded_libraries(derive_seed(5, Stream.AUGMENTATION, 0, index)):
            expected = chain(digit)
        assert torch.equal(ours(digit, index=index), expected)


# ---- scale_crop ----


def test_a_crop_is_drawn_again_while_one_class_fills_it():
    # A stripe of a second class at the right end of a long image: most crops see the first class only.
    ids = torch.zeros(SIDE, 4 * SIDE, dtype=torch.uint8)
    ids[:, -SIDE:] = 1
    image, mask = Image.new("RGB", (4 * SIDE, SIDE)), ClassMask(ids)
    shares = {}
    for limit in (1.0, 0.75):
        transform = ScaleCropAugmentation(min_ratio=1, max_ratio=1, max_class_fraction=limit).build(
            input_size_px=SIDE, seed=0
        )
        masks = [transform(image, index=index, mask=mask)[1] for index in range(100)]
        shares[limit] = np.mean([(moved == 0).double().mean() > 0.75 for moved in masks])
    # Of 97 places 24 show more than a quarter of it: eleven draws miss them all in 4 % of the cases.
    assert shares[1.0] > 0.6
    assert shares[0.75] < 0.15


def test_what_has_no_class_does_not_count_for_the_crop():
    ids = torch.full((SIDE, SIDE), UNSCORED, dtype=torch.uint8)
    ids[0, :3] = torch.tensor([0, 0, 1])
    transform = ScaleCropAugmentation().build(input_size_px=SIDE, seed=0)
    drawn = transform(Image.new("RGB", (SIDE, SIDE)), index=0, mask=ClassMask(ids))[1]
    empty = transform(Image.new("RGB", (SIDE, SIDE)), index=0, mask=ClassMask(torch.full_like(ids, UNSCORED)))[1]
    assert drawn.shape == empty.shape == (SIDE, SIDE)


@pytest.mark.parametrize(("size", "long_side"), [((200, 100), 2 * SIDE), ((3000, 10), MAX_LONG_SIDE * SIDE)])
def test_the_shorter_side_is_scaled_and_the_longer_one_bounded(size, long_side):
    scale = RandomScale(SIDE, 1.0, 1.0)
    resized = scale(Image.new("RGB", size))
    assert resized.width == long_side
    assert resized.height == max(1, round(long_side * size[1] / size[0]))


def test_ratios_are_drawn_between_their_bounds():
    scale = RandomScale(100, 0.5, 2.0)
    sides = [min(scale(Image.new("RGB", (150, 100))).size) for _ in range(200)]
    assert 50 <= min(sides) < 60
    assert 190 < max(sides) <= 200


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match=r"min_ratio 2 is above max_ratio 1; exchange them"):
        ScaleCropAugmentation(min_ratio=2, max_ratio=1)


def test_colours_change_and_places_stay():
    image, mask = planted(0)
    transform = SeededTransform(PhotometricDistortion(), seed=0)
    changed = [transform(image, index=index, mask=mask) for index in range(100)]
    assert all(torch.equal(ids, mask) for _, ids in changed)
    grey = Image.new("RGB", (4, 4), (100, 100, 100))
    levels = np.array([np.asarray(transform(grey, index=index))[0, 0] for index in range(400)])
    # Grey stays grey; brightness adds up to 32, contrast is a factor from 0.5 to 1.5, each in half of the images.
    assert (np.ptp(levels, axis=1) == 0).all()
    assert 34 <= levels.min() < levels.max() <= 198
    assert 0.15 < (levels[:, 0] == 100).mean() < 0.35
    colours = np.array(
        [np.asarray(transform(Image.new("RGB", (1, 1), (200, 100, 50)), index=i))[0, 0] for i in range(400)]
    )
    # The hue turns by a tenth of the circle at most: red stays the strongest, blue may overtake green.
    assert (colours[:, 0] >= colours[:, 1:].max(axis=1) - 2).mean() > 0.9
    assert (colours[:, 1] < colours[:, 2]).any()


# ---- batches ----


class Planted(MaskSplit):
    """Images of several sizes."""

    sizes = ((120, 80), (60, 70), (50, 50), (20, 40))

    def image(self, position):
        return planted(0, self.sizes[position])[0]

    def mask(self, position):
        return planted(0, self.sizes[position])[1]


def split(augmentation=None, *, is_scored=False):
    augment = None if augmentation is None else augmentation.build(input_size_px=SIDE, seed=0)
    return Planted(torch.arange(10, 14), augment, input_size_px=SIDE, is_scored=is_scored)


@pytest.mark.parametrize("augmentation", [None, ScaleCropAugmentation()], ids=["none", "scale_crop"])
def test_training_gives_squares(augmentation):
    batch = split(augmentation).__getitems__([0, 3, 1])
    assert batch.images.shape == (3, 3, SIDE, SIDE)
    assert batch.images.dtype == torch.uint8
    assert batch.targets.shape == (3, SIDE, SIDE)
    assert (batch.targets.dtype, type(batch.targets)) == (torch.int64, torch.Tensor)
    assert batch.indices.tolist() == [10, 13, 11]
    # Else it could not be page-locked for a GPU.
    assert all(part.is_contiguous() for part in (batch.images, batch.targets))


def test_without_augmentation_the_middle_square_is_seen():
    batch = split().__getitems__([0])
    assert (batch.targets != UNSCORED).all()
    drift = batch.images[0, 0].double() / 2 - batch.targets[0]
    assert abs(drift.mean()) < 0.5
    assert batch.targets[0, 0, 0] == pytest.approx((WIDTH - HEIGHT) / 2, abs=2)


def test_scored_images_are_whole_and_their_masks_are_as_stored():
    batch = split(is_scored=True).__getitems__([0, 1, 2, 3])
    assert [tuple(image.shape) for image in batch.images] == [(3, 32, 48), (3, 37, 32), (3, 32, 32), (3, 64, 32)]
    assert [tuple(mask.shape) for mask in batch.targets] == [(80, 120), (70, 60), (50, 50), (40, 20)]
    for image, mask, size in zip(batch.images, batch.targets, Planted.sizes, strict=True):
        assert image.dtype == torch.uint8
        assert (mask.dtype, type(mask)) == (torch.int64, torch.Tensor)
        assert torch.equal(mask, planted(0, size)[1].as_subclass(torch.Tensor).long())
    # Else they could not be page-locked for a GPU.
    assert all(each.is_contiguous() for each in (*batch.images, *batch.targets))
    image, mask, index = split(is_scored=True)[1]
    assert (tuple(image.shape), tuple(mask.shape), index) == ((3, 37, 32), (70, 60), 11)
