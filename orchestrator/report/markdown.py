"""The report as Markdown: for pull requests, notebooks and MLflow's run descriptions."""

import re
from collections.abc import Iterable

from orchestrator.report.bias_view_figure import bias_view_figures
from orchestrator.report.content import Report
from orchestrator.report.field_arrays import MEAN_MAPS, MEAN_VIEWS
from orchestrator.report.field_captions import INTRODUCTION, field_captions
from orchestrator.report.field_tables import (
    field_comparison_table,
    field_level_table,
    field_notes,
    left_out_notes,
    mean_field_table,
    remark_notes,
    unreadable_notes,
)
from orchestrator.report.search_tables import search_overview, search_table
from orchestrator.report.tables import (
    Table,
    bias_table,
    comparison_table,
    exclusion_table,
    footnotes,
    pair_table,
    pairing_table,
    pooled_table,
    position_table,
    provenance_table,
    sigma_by_dataset_table,
)

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def to_markdown(report: Report) -> str:
    """The whole report."""
    parts = [
        f"# {escape(report.experiment.name)}",
        *_question(report),
        "## Answer",
        _bullets([*report.answers, *report.remarks]),
        "## Comparisons",
        grid(comparison_table(report)),
        *map(escape, footnotes(report)),
    ]
    if report.curves:
        parts.append("Training by arm, epoch by epoch: [training.png](training.png).")
    if report.pooled:
        parts += [_heading(pooled_table(report)), grid(pooled_table(report))]
    learned = (bias_table(report.bias), sigma_by_dataset_table(report.bias), position_table(report.position))
    for table in (
        pairing_table(report),
        *learned,
        search_overview(report),
        search_table(report),
        exclusion_table(report),
    ):
        if table.rows:
            parts += [_heading(table), grid(table)]
    parts += _bias_views(report)
    parts += _receptive_fields(report)
    parts += [_heading(pair_table(report)), grid(pair_table(report))]
    parts += ["## Caveats", _bullets(report.caveats), "## Provenance", grid(provenance_table(report))]
    parts.append(footer(report))
    return "\n\n".join(parts) + "\n"


def to_short_markdown(report: Report) -> str:
    """Answers, comparisons, sigma by layer and caveats: what fits a description field."""
    parts = [*_question(report), _bullets([*report.answers, *report.remarks]), grid(comparison_table(report))]
    parts += map(escape, footnotes(report))
    learned = (bias_table(report.bias), position_table(report.position), field_level_table(report.receptive_fields))
    for table in (*learned, exclusion_table(report)):
        if table.rows:
            parts += [f"**{escape(table.title)}**", grid(table)]
    parts += ["**Caveats**", _bullets(report.caveats), f"Digest `{report.provenance.digest}`"]
    return "\n\n".join(parts) + "\n"


def _bias_views(report: Report) -> list[str]:
    """Where the pictures are; nothing without a position bias."""
    if report.bias_views is None:
        return []
    files = [f"[{name}.png]({name}.png)" for name in bias_view_figures(report)]
    told = f"What the middle token sees of it, layer by layer: {' and '.join(files)}; arrays: `{MEAN_VIEWS}`."
    return [
        *([told] if files else []),
        *map(escape, unreadable_notes(report.bias_views.unreadable, what="Position biases")),
    ]


def _receptive_fields(report: Report) -> list[str]:
    """Where the pictures are and what they show, then tables; nothing where nobody asked."""
    fields = report.receptive_fields
    if fields is None:
        return []
    captions = [f"[{name}.png]({name}.png): {escape(caption)}" for name, caption in field_captions(report).items()]
    arrays = [f"Arrays of all mean maps: `{MEAN_MAPS}`."] if fields.means else []
    tables = [field_level_table(fields), field_comparison_table(report), mean_field_table(fields)]
    return [
        "## Receptive fields",
        escape(INTRODUCTION),
        *captions,
        *arrays,
        *(part for table in tables if table.rows for part in (f"**{escape(table.title)}**", grid(table))),
        *map(escape, (*left_out_notes(fields), *remark_notes(fields), *field_notes(fields))),
    ]


def footer(report: Report) -> str:
    """Where all numbers come from, in one line."""
    return f"---\n\nsigmalab, experiment `{report.experiment.id}`, digest `{report.provenance.digest}`"


def grid(table: Table) -> str:
    """One table in the pipe syntax."""
    num_numbers = len(table.columns) - table.num_text_columns
    rule = ["---"] * table.num_text_columns + ["---:"] * num_numbers
    lines = [_row(map(escape, table.columns)), _row(rule)]
    lines += [_row(map(escape, row)) for row in table.rows]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Show a text as it is: nothing in it is markup, and it stays on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _heading(table: Table) -> str:
    return f"## {escape(table.title)}"


def _question(report: Report) -> list[str]:
    return [f"> {escape(report.question)}"] if report.question else []


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {escape(sentence)}" for sentence in sentences)
