"""The appendix of a paper: hyper-parameters, seeds, hardware, versions, data fingerprints, the command.

The same tables as LaTeX and as Markdown.
"""

from collections.abc import Sequence

from orchestrator.report.content.report import Report
from orchestrator.report.formats import markdown
from orchestrator.report.sections import order
from orchestrator.report.words.latex_text import breakable, escape, footer, label
from orchestrator.report.words.latex_text import table as latex_table
from orchestrator.report.words.table import Table

_ROWS_PER_PAGE = 46
_COLUMNS = {2: (0.26, 0.68), 3: (0.42, 0.2, 0.3)}
"""Number of columns -> their shares of the line."""


def to_markdown_appendix(report: Report) -> str:
    """The appendix as Markdown."""
    parts = [f"# Appendix: {markdown.escape(report.experiment.name)}"]
    for table in appendix_tables(report):
        parts += [f"## {markdown.escape(table.title)}", markdown.grid(table)]
    return "\n\n".join([*parts, markdown.footer(report)]) + "\n"


def to_latex_appendix(report: Report) -> str:
    """The appendix as LaTeX tables."""
    parts = [
        f"% Appendix of {report.experiment.name}, digest {report.provenance.digest}",
        r"% \usepackage{booktabs} in the preamble; \usepackage[T1]{fontenc} for names with quotation marks.",
    ]
    for table in appendix_tables(report):
        starts = range(0, len(table.rows), _ROWS_PER_PAGE)
        parts += [_latex(report, table, table.rows[start : start + _ROWS_PER_PAGE], start) for start in starts]
    parts.append(f"% digest {report.provenance.digest}")
    return "\n".join(parts) + "\n"


def appendix_tables(report: Report) -> tuple[Table, ...]:
    """What was run, on what, and with which settings."""
    return tuple(table for section in order.SECTIONS for table in section.appendix(report))


def _latex(report: Report, table: Table, rows: Sequence[tuple[str, ...]], start: int) -> str:
    more = " (continued)" if start else ""
    return latex_table(
        columns="".join(rf"p{{{share}\linewidth}}" for share in _COLUMNS[len(table.columns)]),
        header=" & ".join(escape(column[:1].upper() + column[1:]) for column in table.columns) + r" \\",
        rows=[" & ".join(map(breakable, row)) + r" \\" for row in rows],
        caption=f"{escape(table.title)}{more}, {escape(report.experiment.name)}.",
        label=label(report, table.title, *([str(start)] if start else [])),
        below=footer(report),
        size="scriptsize",
    )
