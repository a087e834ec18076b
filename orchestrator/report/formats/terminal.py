"""The report as plain text: for terminals and job logs."""

import textwrap
from collections.abc import Iterable

from orchestrator.report.content.report import Report
from orchestrator.report.sections.order import chapters_of
from orchestrator.report.sections.section import Detail, Note, ShownTable
from orchestrator.report.words.table import Table, without_constant_columns

WIDTH = 100
"""Sentences are wrapped here; tables are as wide as they need."""


def to_text(report: Report) -> str:
    """What a reader at a terminal wants to know, ending with the answer."""
    tables, notes = [], []
    for part in (part for chapter in chapters_of(report) for part in chapter.parts):
        if isinstance(part, ShownTable) and part.detail <= Detail.TERMINAL and part.table.rows:
            tables.append("\n".join([grid(part.table), *(line for note in part.footnotes for line in _wrapped(note))]))
        elif isinstance(part, Note) and part.detail <= Detail.TERMINAL:
            notes.append("\n".join(_wrapped(part.text)))
    parts = [_heading(report), *tables, *notes]
    if lines := report.experiment.data_lines:
        parts.append(_sentences("Data", lines))
    parts.append(_sentences("Caveats", report.caveats))
    parts.append(_sentences("Answer", [*report.answers, *report.remarks]))
    parts.append(f"digest {report.provenance.digest}")
    return "\n\n".join(parts) + "\n"


def _wrapped(note: str) -> list[str]:
    return textwrap.wrap(note, WIDTH)


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
    title = f"{report.experiment.name} ({report.experiment.id}): {report.standing}"
    lines = [title, "=" * len(title)]
    if report.question:
        lines += textwrap.wrap(report.question, WIDTH)
    return "\n".join(lines)


def _sentences(title: str, sentences: Iterable[str]) -> str:
    lines = [title]
    for sentence in sentences:
        lines += textwrap.wrap(sentence, WIDTH, initial_indent="  * ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines)
