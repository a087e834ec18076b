"""Images kept for pictures: which ones, what of them, and that they come back as they were."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trainers.data.augmentation import NoAugmentation
from trainers.data.class_mask import UNSCORED
from trainers.data.normalization import Normalization
from trainers.data.objects import objects_of_masks
from trainers.data.shapes_objects import ShapesObjectsConfig
from trainers.device import Device
from trainers.tasks.detection.modules import Found
from trainers.tasks.detection.task import DetectionConfig
from trainers.tasks.segmentation.task import SegmentationConfig
from trainers.tasks.shown_images import (
    MAX_IMAGES,
    MAX_SIDE_PX,
    NO_REGION,
    ShownImage,
    read_shown_images,
    spread_over,
    write_shown_images,
)
from trainers.tasks.shrinking import shrunk_mask
from trainers.training.showing import shown_images


def test_images_are_spread_over_the_whole_split() -> None:
    assert spread_over(3) == [0, 1, 2]
    assert spread_over(0) == []
    chosen = spread_over(1000)
    assert (len(chosen), chosen[0]) == (MAX_IMAGES, 0)
    assert {b - a for a, b in pairwise(chosen)} == {15, 16}
    assert 1000 - chosen[-1] <= 16


def test_a_smaller_mask_has_the_pixels_at_the_middles() -> None:
    mask = torch.arange(6 * 9).reshape(6, 9)
    assert shrunk_mask(mask, (6, 9)).tolist() == mask.tolist()
    # Of three rows or columns the middle one.
    assert shrunk_mask(mask, (2, 3)).tolist() == mask[1::3, 1::3].tolist()


def segmented() -> list[ShownImage]:
    """Two images whose mask says where its pixels are; the logits say the class that follows."""
    found = []
    for place, (height, width) in ((4, (20, 30)), (9, (400, 300))):
        mask = (torch.arange(width) * 5 // width).expand(height, width).clone()
        mask[:2] = UNSCORED
        said = torch.nn.functional.one_hot((torch.arange(width) * 5 // width + 1) % 5, 5).T.float()
        logits = said[:, None].expand(5, height, width)
        image = torch.zeros(3, height, width, dtype=torch.uint8)
        image[:, :, width // 2 :] = 200
        found += SegmentationConfig().shown([image], [logits], [mask], torch.tensor([place]))
    return found


def test_a_segmented_image_keeps_both_masks_at_its_own_ratio() -> None:
    small, large = segmented()
    assert small.pixels.shape == (20, 30, 3)
    assert large.pixels.shape == (MAX_SIDE_PX, 144, 3)
    for image in (small, large):
        assert set(image.true.regions[0]) == {NO_REGION}
        below = image.true.regions[2:]
        assert (image.said.regions[2:] == (below + 1) % 5).all()
        # Five stripes of equal width, the image's edge in the middle of the third.
        assert np.bincount(below.ravel()) == pytest.approx([below.size / 5] * 5, rel=0.05)
        middle = image.pixels.shape[1] // 2
        assert (image.pixels[:, : middle - 1] == 0).all()
        assert (image.pixels[:, middle + 1 :] == 200).all()
        assert image.true.classes.tolist() == list(range(5))


def found_of(boxes: list[tuple[int, int, int, int]], classes: list[int], scores: list[float]) -> Found:
    number = len(boxes)
    return Found(
        torch.tensor(boxes, dtype=torch.float32).reshape(number, 4),
        torch.tensor(classes),
        torch.tensor(scores),
        torch.ones(number, 1, 28, 28),
        32,
        64,
        torch.tensor(True),
    )


def detected() -> list[ShownImage]:
    """A wide image of 64 x 32 pixels, half its size: a large true object under a small one, beside a crowd."""
    masks = torch.zeros(3, 64, 128, dtype=torch.uint8)
    masks[0, 0:8, 0:8] = masks[1, 0:40, 0:40] = masks[2, 0:64, 100:128] = 1
    true = objects_of_masks(torch.tensor([2, 1, 0]), masks, torch.tensor([False, False, True]))
    image = torch.full((3, 32, 64), 90, dtype=torch.uint8)
    finds = found_of([(0, 0, 20, 20), (10, 0, 30, 20), (40, 0, 60, 20)], [1, 2, 0], [0.6, 0.9, 0.49])
    nothing = objects_of_masks(torch.zeros(0, dtype=torch.int64), masks[:0], torch.zeros(0, dtype=torch.bool))
    return DetectionConfig().shown([image, image], [finds, found_of([], [], [])], [true, nothing], torch.tensor([5, 6]))


def test_a_detected_image_keeps_objects_in_the_order_in_which_they_cover_each_other() -> None:
    image, empty = detected()
    assert image.pixels.shape == (64, 128, 3)
    assert (image.pixels == 90).all()
    # The crowd is left out; the smaller object is above.
    assert image.true.classes.tolist() == [1, 2]
    assert (image.true.regions[2, 2], image.true.regions[20, 20], image.true.regions[2, 110]) == (1, 0, NO_REGION)
    # What is less sure than a half is left out; the surer one is above. Twice as large as in the square.
    assert image.said.classes.tolist() == [1, 2]
    assert image.said.scores == pytest.approx([0.6, 0.9])
    assert image.said.boxes.tolist() == [[0, 0, 40, 40], [20, 0, 60, 40]]
    assert (image.said.regions[10, 10], image.said.regions[10, 30], image.said.regions[10, 50]) == (0, 1, 1)
    assert (empty.true.regions == NO_REGION).all()
    assert len(empty.said.classes) == 0


def test_of_too_many_objects_the_largest_are_kept() -> None:
    # 260 bars of 1 to 260 pixels, each of them another class.
    masks = (torch.arange(260) <= torch.arange(260)[:, None]).to(torch.uint8)[:, None].expand(260, 2, 260).clone()
    masks[:, 1] = 0
    true = objects_of_masks(torch.arange(260), masks, torch.zeros(260, dtype=torch.bool))
    image = torch.zeros(3, 2, 260, dtype=torch.uint8)
    (shown,) = DetectionConfig().shown([image], [found_of([], [], [])], [true], torch.tensor([0]))
    assert shown.true.classes.tolist() == list(range(259, 9, -1))


class Remembering(nn.Module):
    """Finds nothing, and remembers how many images it saw at once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, images: torch.Tensor, targets: None) -> list[Found]:
        assert targets is None
        self.seen.append(len(images))
        return [found_of([], [], []) for _ in images]


@pytest.mark.parametrize(("batch_size", "seen"), [(2, [2, 2, 2, 1]), (32, [7])])
def test_pictures_need_no_more_memory_than_scoring(batch_size: int, seen: list[int]) -> None:
    splits = ShapesObjectsConfig(image_size_px=32, num_train=8, num_val=4, num_test=7).load(
        None, input_size_px=32, augmentation=NoAugmentation(), seed=0
    )
    network = Remembering()
    images = shown_images(
        network,
        DetectionConfig(),
        splits.test,
        normalize=Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        device=Device.choose("cpu", "fp32"),
        batch_size=batch_size,
    )
    assert len(images) == 7
    assert network.seen == seen


@pytest.mark.parametrize("make", [segmented, detected])
def test_what_is_written_comes_back(make, tmp_path: Path) -> None:
    images = make()
    names = [f"class {number}" for number in range(5)]
    write_shown_images(tmp_path / "shown.npz", images, names)
    back = read_shown_images(tmp_path / "shown.npz")
    assert back.class_names == tuple(names)
    for before, after in zip(images, back.images, strict=True):
        assert after.place == before.place
        # JPEG.
        assert np.abs(after.pixels.astype(int) - before.pixels).mean() < 3
        for part in ("true", "said"):
            for one, other in zip(getattr(before, part), getattr(after, part), strict=True):
                np.testing.assert_array_equal(one, other)
