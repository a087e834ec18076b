"""The table of classes: in documents and CSV, the largest effects only, nothing where no class is scored."""

import csv
import io
import re

import pytest

from orchestrator.report.content.report import Report
from orchestrator.report.formats.folder import section_files
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.report.sections.by_class import ByClassSection
from orchestrator.statistics.by_class import ClassEffect
from tests.orchestrator.synthetic import make_records, make_spec, report_on
from trainers.tasks.detection.task import DetectionConfig
from trainers.tasks.segmentation.task import SegmentationConfig


def effect(report: Report, number: int, size: float) -> ClassEffect:
    return ClassEffect(
        cell=report.cells[0],
        treatment="gaussian",
        metric="iou",
        class_name=f"class {number}",
        num_pairs=3,
        control_mean=40.0,
        treatment_mean=40.0 + size,
        effect=size,
        ci_low=size - 1,
        ci_high=size + 1,
        simultaneous_low=size - 2,
        simultaneous_high=None,
    )


@pytest.fixture
def report() -> Report:
    spec = make_spec()
    report = report_on(spec, make_records(spec))
    effects = tuple(effect(report, number, (-1) ** number * number) for number in range(30))
    spec = spec.model_copy(update={"task": SegmentationConfig()})
    return report.model_copy(update={"spec": spec, "class_effects": effects})


def test_the_largest_effects_are_shown_and_all_are_kept(report: Report) -> None:
    shown = to_markdown(report)
    assert "IoU of every class: treatment - control" in shown
    rows = re.findall(r"\| gaussian\s*\| (class \d+)", shown)
    assert rows == [*(f"class {n}" for n in range(28, 9, -2)), *(f"class {n}" for n in range(11, 30, 2))]
    assert "The 20 largest effects of 30; all are in classes.csv. Picked by their size, they look too large" in shown
    assert "Their intervals are t intervals, rough" in shown
    (file,) = ByClassSection().files(report)
    # Who asks for the comparisons by their format gets no classes.
    assert len({each.format for each in section_files(report)}) == len(list(section_files(report)))
    found = list(csv.DictReader(io.StringIO(file.content().decode())))
    assert [row["class_name"] for row in found] == [f"class {n}" for n in range(30)]
    assert (found[2]["effect"], found[2]["simultaneous_high"]) == ("2.0", "")


def test_each_score_of_the_classes_has_a_table_of_its_own(report: Report) -> None:
    spec = report.spec.model_copy(update={"task": DetectionConfig()})
    effects = tuple(
        effect(report, number, 1.0).model_copy(update={"metric": metric})
        for metric in ("ap_box", "ap_mask")
        for number in range(2)
    )
    shown = to_markdown(report.model_copy(update={"spec": spec, "class_effects": effects}))
    assert shown.index("AP of boxes of every class: ") < shown.index("AP of masks of every class: ")
    assert shown.count("right for all 4 class effects at once (Bonferroni), those of the other table too") == 2


def test_a_terminal_and_other_tasks_are_left_alone(report: Report) -> None:
    assert "class 28" not in to_text(report)
    plain = report.model_copy(update={"class_effects": ()})
    assert "of every class" not in to_markdown(plain)
    assert list(ByClassSection().files(plain)) == []
