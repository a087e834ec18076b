"""What stands beside the compared metric: all others of its split, and the scores of single images."""

import csv
import io
import re

import numpy as np
import pytest

from orchestrator.report import Report
from orchestrator.report.formats.folder import section_file
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.report.sections.other_metrics.building import other_metrics_of
from orchestrator.statistics.by_image import ImageEffect
from orchestrator.statistics.comparison import Basis
from orchestrator.statistics.inference import FixedNumber
from tests.orchestrator.synthetic import CELL, make_records, make_spec
from trainers.tasks.segmentation.task import SegmentationConfig


def test_every_other_metric_of_the_split_in_the_order_of_the_task(report: Report) -> None:
    shown = [(each.metric, each.treatment) for each in report.other_metrics]
    assert shown == [(f"test/{name}", arm) for name in ("top5", "loss") for arm in ("gaussian", "placebo")]
    assert {each.p_holm for each in report.other_metrics} == {None}
    text = to_markdown(report)
    assert "Other metrics: treatment - control" in text
    assert re.search(r"\| test top-5 \(%\) \| gaussian \| 7 \| 95.0 ± 0.0 \| 95.0 ± 0.0 \| 0.0 \|", text)
    assert "Other metrics" not in to_text(report)
    rows = list(csv.DictReader(io.StringIO(section_file(report, "other_metrics_csv").decode())))
    assert [(row["metric"], row["unit"]) for row in rows[::2]] == [("test/top5", "pp"), ("test/loss", "nats")]


def test_a_difference_is_that_of_the_pairs() -> None:
    spec = make_spec(primary_metric="best_val/top1")
    trials = make_records(spec, num_epochs=3)
    for place, trial in enumerate(trials):
        metrics = {
            "best_val/top5": 0.5 + 0.01 * trial.seed + (0.02 if trial.arm == "gaussian" else 0.0),
            "test/loss": 1.0,
        }
        trials[place] = trial.model_copy(update={"result": trial.result.model_copy(update={"metrics": metrics})})
    found = other_metrics_of(spec, [CELL], trials, inference=FixedNumber())
    # Of the same split; nothing of what was not measured on it.
    assert [(each.metric, each.treatment) for each in found] == [
        ("best_val/top5", "gaussian"),
        ("best_val/top5", "placebo"),
    ]
    assert [each.effect for each in found] == pytest.approx([2.0, 0.0])
    assert found[0].control_mean == pytest.approx(100 * np.mean([0.5 + 0.01 * seed for seed in spec.seeds]))


def by_image() -> ImageEffect:
    return ImageEffect(
        cell=CELL,
        treatment="gaussian",
        metric="image_miou",
        num_pairs=7,
        num_images=98,
        num_left_out=2,
        num_better=60,
        num_worse=30,
        effect=1.25,
        ci_low=0.5,
        ci_high=2.0,
        p_mean=0.0156,
        p_any=None,
    )


def test_images_by_images(report: Report) -> None:
    effect = by_image()
    spec = report.spec.model_copy(update={"task": SegmentationConfig()})
    text = to_markdown(report.model_copy(update={"image_effects": (effect,), "spec": spec}))
    row = next(line for line in text.splitlines() if "mean IoU per image" in line)
    assert re.search(r"\| gaussian \| 7 \| 98 \| 60 : 30 \| \+1\.\d+ \| \\\[0\.5.*\| 0\.016 \| - \|", row)
    assert "Left out, as some trial has no score of them: 2 images at most in a row." in text
    assert "Image by image" not in to_markdown(report)
    assert "Both turn the sign of whole pairs" in text
    assert "any-time p" not in text


@pytest.mark.parametrize("basis", [basis for basis in Basis if basis is not Basis.FIXED])
def test_where_the_number_of_pairs_was_not_fixed_image_by_image_is_any_time(report: Report, basis: Basis) -> None:
    spec = report.spec.model_copy(update={"task": SegmentationConfig()})
    comparisons = tuple(each.model_copy(update={"basis": basis}) for each in report.comparisons)
    changed = {"image_effects": (by_image(),), "spec": spec, "comparisons": comparisons}
    text = to_markdown(report.model_copy(update=changed))
    assert "an any-time p (1/e)" in text
    assert "p (any image) has no value" in text
    assert "Both turn" not in text
