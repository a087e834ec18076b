"""Comparisons as CSV: one row each, at full precision."""

from collections.abc import Sequence

from orchestrator.arm_labels import arm_labels
from orchestrator.report.content.report import Report
from orchestrator.report.words.csv_text import csv_text, label_column
from orchestrator.statistics.comparison import Comparison

_COMPARISON_FIELDS = (
    "treatment",
    "control",
    "metric",
    "unit",
    "num_pairs",
    "num_planned_pairs",
    "control_mean",
    "control_sd",
    "treatment_mean",
    "treatment_sd",
    "effect",
    "effect_sd",
    "ci_low",
    "ci_high",
    "simultaneous_low",
    "simultaneous_high",
    "confidence",
    "basis",
    "p_value",
    "p_holm",
    "p_holm_floor",
    "probability_of_superiority",
    "equivalence_margin",
    "verdict",
)
_PAIRING_FIELDS = ("correlation", "unpaired_ratio", "unpaired_runs")


def comparisons_to_csv(report: Report, comparisons: Sequence[Comparison]) -> str:
    """The rows; only headings without any.

    Args:
        report: what they belong to.
        comparisons: of it.
    """
    rows = []
    labels = arm_labels(report.arms)
    for comparison in comparisons:
        values = comparison.model_dump(mode="json")
        row = [comparison.cell.model, comparison.cell.dataset, *(values[field] for field in _COMPARISON_FIELDS)]
        row += [(values["pairing"] or {}).get(field) for field in _PAIRING_FIELDS]
        rows.append([*row, report.provenance.digest, *label_column(comparison.treatment, labels)])
    header = ["model", "dataset", *_COMPARISON_FIELDS, *(f"pairing_{field}" for field in _PAIRING_FIELDS), "digest"]
    return csv_text([*header, *(["treatment_label"] if labels else [])], rows)
