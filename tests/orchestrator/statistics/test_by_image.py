"""Effects image by image: by hand, and how often the tests are wrong where there is no effect."""

import numpy as np
import pytest

from orchestrator.statistics.by_image import ImageEffect, ImageRow, image_effects
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.inference import AnyTime, FixedNumber, Inference
from orchestrator.statistics.permutation import any_image_p, sign_flip_p
from trainers.metrics import share
from trainers.tasks.evidence import ImageScores

IOU = share("image_miou", higher_is_better=True, per_image="image_iou")
ROW = ImageRow(Cell(model="model", dataset="data"), "gaussian", "image_miou")


def scored(indices: list[int], scores: list[float]) -> ImageScores:
    return ImageScores(np.array(indices), np.array(scores))


def effect(pairs: list[tuple[ImageScores, ImageScores]], inference: Inference | None = None) -> ImageEffect:
    (found,) = image_effects({ROW: pairs}, metrics=[IOU], confidence=0.95, inference=inference or FixedNumber())
    return found


PAIRS = [
    (scored([3, 5, 7, 9], [0.5, 0.2, 0.4, 0.1]), scored([3, 5, 7, 9], [0.6, 0.2, 0.3, np.nan])),
    # Another order of splits is not there, but one image more.
    (scored([1, 3, 5, 7, 9], [0.0, 0.5, 0.1, 0.4, 0.1]), scored([3, 5, 7, 9], [0.8, 0.1, 0.3, 0.2])),
]


def test_images_that_all_have_a_score_of_count() -> None:
    found = effect(PAIRS)
    assert (found.num_pairs, found.num_images, found.num_left_out) == (2, 3, 2)
    assert (found.num_better, found.num_worse) == (1, 1)
    # Differences in points: 10, 0, -10 and 30, 0, -10.
    assert found.effect == pytest.approx(20 / 6)
    assert found.p_mean == sign_flip_p([0.0, 20 / 3])
    # 40^2 + 0 + 20^2 = 2000 as it is; with one pair turned, 20^2 + 0 + 0 = 400: reached by half of the patterns.
    assert found.p_any == 0.5


def test_a_test_that_needs_a_fixed_number_is_not_made_where_somebody_may_have_looked() -> None:
    assert effect(PAIRS, AnyTime()).p_any is None


def test_no_pair_and_no_common_image() -> None:
    apart = [(scored([1], [0.5]), scored([2], [0.5]))]
    for pairs in ([], apart):
        assert image_effects({ROW: pairs}, metrics=[IOU], confidence=0.95, inference=FixedNumber()) == ()
    assert any_image_p(np.zeros((0, 4))) is None
    assert any_image_p(np.zeros((3, 4))) == 1


def test_many_pairs_are_drawn_and_agree_with_the_listed_ones() -> None:
    rng = np.random.default_rng(0)
    differences = rng.standard_normal((16, 5)) + 0.3
    listed = any_image_p(differences)
    drawn = any_image_p(np.concatenate([differences, np.zeros((1, 5))]))
    assert drawn == pytest.approx(listed, abs=0.01)


def test_images_that_gain_and_lose_alike_are_seen_by_the_second_test_alone() -> None:
    rng = np.random.default_rng(1)
    moved = np.where(np.arange(40) % 2, 1.0, -1.0)
    differences = moved + rng.standard_normal((8, 40))
    assert any_image_p(differences) == 2 / 2**8
    assert sign_flip_p(differences.mean(axis=1).tolist()) > 0.05


def test_without_an_effect_p_is_below_5_percent_no_more_often_than_that_and_turning_images_would_be() -> None:
    """Each trial's weights have their own likes among images, as those of two seeds of one arm do."""
    rng = np.random.default_rng(2)
    num_false = {"pairs": 0, "images": 0}
    num_simulated = 400
    for _ in range(num_simulated):
        # Of a whole trial, and of each of its images.
        differences = 0.5 * rng.standard_normal((7, 1)) + rng.standard_normal((7, 24))
        num_false["pairs"] += any_image_p(differences) < 0.05
        num_false["images"] += sign_flip_p(differences.mean(axis=0).tolist()) < 0.05
    assert num_false["pairs"] <= 0.05 * num_simulated + 3 * (0.05 * 0.95 * num_simulated) ** 0.5
    assert num_false["images"] > 0.25 * num_simulated
