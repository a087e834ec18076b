"""Every trial as a row, for programs: as CSV, and with types as Parquet."""

import json
from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.arm_labels import arm_labels
from orchestrator.report.content.report import Report
from orchestrator.report.sections.section import Chapter, Section, SectionFile
from orchestrator.report.words.csv_text import csv_text, label_column

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


class TrialsSection(Section):
    """Files only: no format for people shows hundreds of trials."""

    def chapters(self, report: Report) -> tuple[Chapter, ...]:
        """None."""
        del report
        return ()

    def files(self, report: Report) -> Iterator[SectionFile]:
        """The same table twice."""
        yield SectionFile("trials_csv", "trials.csv", lambda: trials_to_csv(report).encode())
        yield SectionFile("trials_parquet", "trials.parquet", lambda: trials_to_parquet(report))


def trials_to_csv(report: Report) -> str:
    """One row per trial, at full precision; every metric that any trial has is a column."""
    header, rows = _trials(report)
    return csv_text(header, rows)


def trials_to_parquet(report: Report) -> bytes:
    """The same table with types, as Parquet; the digest is in the file's metadata."""
    header, rows = _trials(report)
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    table = pa.table({name: _typed(column) for name, column in columns.items()})
    table = table.replace_schema_metadata({"experiment": report.experiment.id, "digest": report.provenance.digest})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def trial_column(name: str, metrics: Collection[str]) -> str:
    """How a column is called that every trial has: otherwise than any metric, which keeps its name.

    Args:
        name: its usual name, such as `error`.
        metrics: of the report; those trained elsewhere may be called anything.
    """
    while name in metrics:
        name = f"trial_{name}"
    return name


def _typed(column: Sequence[str | int | float | None]) -> pa.Array:
    """A column without any value would be of no type."""
    return pa.array(column, None if any(value is not None for value in column) else pa.string())


def _trials(report: Report) -> tuple[list[str], list[list[str | int | float | None]]]:
    metrics = sorted({key for trial in report.trials for key in trial.metrics})
    rows = []
    labels = arm_labels(report.arms)
    own = ["model", "dataset", *_TRIAL_FIELDS, "params"]
    header = [trial_column(name, metrics) for name in own]
    for trial in report.trials:
        values = trial.model_dump(mode="json")
        row = [trial.cell.model, trial.cell.dataset, *(values[field] for field in _TRIAL_FIELDS)]
        row.append(json.dumps(trial.params, sort_keys=True) if trial.params else "")
        rows.append([*row, *(trial.metrics.get(key) for key in metrics), *label_column(trial.arm, labels)])
    return [*header, *metrics, *([trial_column("arm_label", metrics)] if labels else [])], rows
