"""The report as CSV and Parquet: one file with a row per comparison, one with a row per trial."""

import csv
import io
import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.arm_labels import arm_labels
from orchestrator.report.content import Report
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
_TRIAL_FIELDS = (
    "arm",
    "seed",
    "phase",
    "status",
    "identity",
    "attempt",
    "reused_from",
    "best_epoch",
    "training_seconds",
    "mlflow_run_id",
    "error",
)


def to_csv(report: Report) -> str:
    """One row per comparison, at full precision."""
    return _comparisons(report, report.comparisons)


def fields_to_csv(report: Report) -> str:
    """The same for receptive fields: one row per cell, treatment, metric and moment; only headings without any."""
    return _comparisons(report, report.receptive_fields.comparisons if report.receptive_fields else ())


def _comparisons(report: Report, comparisons: Sequence[Comparison]) -> str:
    rows = []
    labels = arm_labels(report.arms)
    for comparison in comparisons:
        values = comparison.model_dump(mode="json")
        row = [comparison.cell.model, comparison.cell.dataset, *(values[field] for field in _COMPARISON_FIELDS)]
        row += [(values["pairing"] or {}).get(field) for field in _PAIRING_FIELDS]
        rows.append([*row, report.provenance.digest, *_label(comparison.treatment, labels)])
    header = ["model", "dataset", *_COMPARISON_FIELDS, *(f"pairing_{field}" for field in _PAIRING_FIELDS), "digest"]
    return _csv([*header, *(["treatment_label"] if labels else [])], rows)


def _label(arm: str, labels: Mapping[str, str]) -> list[str]:
    """What people call an arm, as the last column of a table whose experiment has labels."""
    return [labels.get(arm, arm)] if labels else []


def trials_to_csv(report: Report) -> str:
    """One row per trial, at full precision; every metric that any trial has is a column."""
    header, rows = _trials(report)
    return _csv(header, rows)


def trials_to_parquet(report: Report) -> bytes:
    """The same table with types, as Parquet; the digest is in the file's metadata."""
    header, rows = _trials(report)
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    table = pa.table({name: _typed(column) for name, column in columns.items()})
    table = table.replace_schema_metadata({"experiment": report.experiment.id, "digest": report.provenance.digest})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def _typed(column: Sequence[str | int | float | None]) -> pa.Array:
    """A column without any value would be of no type."""
    return pa.array(column, None if any(value is not None for value in column) else pa.string())


def _trials(report: Report) -> tuple[list[str], list[list[str | int | float | None]]]:
    metrics = sorted({key for trial in report.trials for key in trial.metrics})
    rows = []
    labels = arm_labels(report.arms)
    for trial in report.trials:
        values = trial.model_dump(mode="json")
        row = [trial.cell.model, trial.cell.dataset, *(values[field] for field in _TRIAL_FIELDS)]
        row.append(json.dumps(trial.params, sort_keys=True) if trial.params else "")
        rows.append([*row, *(trial.metrics.get(key) for key in metrics), *_label(trial.arm, labels)])
    return ["model", "dataset", *_TRIAL_FIELDS, "params", *metrics, *(["arm_label"] if labels else [])], rows


def _csv(header: Sequence[str], rows: Sequence[Sequence[str | int | float | None]]) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()
