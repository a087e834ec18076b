"""Effects on every class: means and intervals by hand, and what is missing."""

import math

import pytest
from scipy import stats

from orchestrator.statistics.by_class import ClassRow, class_effects
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.inference import FixedNumber
from trainers.metrics import share

CELL = Cell(model="model", dataset="data")
IOU = share("iou", higher_is_better=True, words="IoU")
PAIRS = [
    ({"sky": 0.50, "dog": 0.20, "gone": math.nan}, {"sky": 0.53, "dog": 0.10, "gone": math.nan}),
    ({"sky": 0.40, "dog": math.nan, "gone": math.nan}, {"sky": 0.41, "dog": 0.30, "gone": math.nan}),
    ({"sky": 0.45, "dog": 0.40, "gone": 0.1}, {"sky": 0.50, "dog": 0.38, "gone": math.nan}),
]


def effects(pairs, metrics=(IOU,)):
    rows = {ClassRow(CELL, "gaussian", metric.name): pairs for metric in metrics}
    return class_effects(rows, metrics=metrics, confidence=0.95, inference=FixedNumber())


def test_each_class_by_its_own_pairs() -> None:
    sky, dog = effects(PAIRS)
    assert (sky.class_name, sky.num_pairs, dog.class_name, dog.num_pairs) == ("sky", 3, "dog", 2)
    assert (sky.control_mean, sky.treatment_mean) == (pytest.approx(45.0), pytest.approx(48.0))
    assert (sky.effect, dog.effect) == (pytest.approx(3.0), pytest.approx(-6.0))
    # 3, 1, 5: sd 2; the simultaneous interval is the t interval at a level shared by the two classes that are told of.
    for level, low in ((0.05, sky.ci_low), (0.05 / 2, sky.simultaneous_low)):
        assert low == pytest.approx(3.0 - stats.t.ppf(1 - level / 2, 2) * 2 / math.sqrt(3))
    assert sky.simultaneous_low < sky.ci_low < 3 < sky.ci_high < sky.simultaneous_high


def test_simultaneous_is_over_the_classes_of_all_metrics() -> None:
    found = effects(PAIRS, metrics=(IOU, share("ap", higher_is_better=True)))
    assert [(each.metric, each.class_name) for each in found] == [
        *(("iou", "sky"), ("iou", "dog")),
        *(("ap", "sky"), ("ap", "dog")),
    ]
    assert found[0].simultaneous_low == pytest.approx(3.0 - stats.t.ppf(1 - 0.05 / 4 / 2, 2) * 2 / math.sqrt(3))


def test_one_pair_has_an_effect_and_no_interval() -> None:
    sky, *_ = effects(PAIRS[:1])
    assert (sky.num_pairs, sky.ci_low, sky.simultaneous_high) == (1, None, None)


def test_nothing_to_tell() -> None:
    assert effects([]) == ()
