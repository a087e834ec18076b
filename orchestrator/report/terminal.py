"""The report as plain text: for terminals and job logs."""

import textwrap
from collections.abc import Iterable

from orchestrator.report.content import Report
from orchestrator.report.field_tables import field_level_table, field_notes
from orchestrator.report.search_tables import search_overview, search_table
from orchestrator.report.tables import (
    Table,
    bias_table,
    comparison_table,
    data_lines,
    exclusion_table,
    footnotes,
    pairing_table,
    pooled_table,
    position_table,
    sigma_by_dataset_table,
    without_constant_columns,
)

WIDTH = 100
"""Sentences are wrapped here; tables are as wide as they need."""


def to_text(report: Report) -> str:
    """What a reader at a terminal wants to know, ending with the answer."""
    parts = [_heading(report)]
    tables = [comparison_table(report), pooled_table(report), pairing_table(report), bias_table(report.bias)]
    tables += [sigma_by_dataset_table(report.bias), position_table(report.position)]
    tables.append(field_level_table(report.receptive_fields))
    tables += [search_overview(report), search_table(report), exclusion_table(report)]
    shown = [grid(table) for table in tables if table.rows]
    if notes := footnotes(report):
        shown[0] = "\n".join([shown[0], *(line for note in notes for line in textwrap.wrap(note, WIDTH))])
    parts += shown
    parts += ["\n".join(textwrap.wrap(note, WIDTH)) for note in field_notes(report.receptive_fields)]
    if lines := data_lines(report):
        parts.append(_sentences("Data", lines))
    parts.append(_sentences("Caveats", report.caveats))
    parts.append(_sentences("Answer", [*report.answers, *report.remarks]))
    parts.append(f"digest {report.provenance.digest}")
    return "\n\n".join(parts) + "\n"


def grid(table: Table) -> str:
    """One table with a title, headings, a rule, and columns that line up."""
    table = without_constant_columns(table)
    widths = [max(len(row[column]) for row in [table.columns, *table.rows]) for column in range(len(table.columns))]
    lines = [table.title, _line(table.columns, widths, table), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths, table) for row in table.rows]
    return "\n".join(lines)


def _line(cells: tuple[str, ...], widths: list[int], table: Table) -> str:
    padded = [
        cell.ljust(width) if column < table.num_text_columns else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _heading(report: Report) -> str:
    title = f"{report.experiment.name} ({report.experiment.id}): {report.experiment.status.value}"
    lines = [title, "=" * len(title)]
    if report.question:
        lines += textwrap.wrap(report.question, WIDTH)
    return "\n".join(lines)


def _sentences(title: str, sentences: Iterable[str]) -> str:
    lines = [title]
    for sentence in sentences:
        lines += textwrap.wrap(sentence, WIDTH, initial_indent="  * ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines)
