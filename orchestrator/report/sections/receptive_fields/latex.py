r"""Receptive fields as LaTeX: how wide and how Gaussian by arm, and how that differs from the control."""

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.report.content.receptive_fields import PREFIXES, FieldLevel, ReceptiveFields
from orchestrator.report.content.report import Report
from orchestrator.report.sections.receptive_fields.captions import NORM_WORDS, SCORED
from orchestrator.report.sections.receptive_fields.tables import WORDS
from orchestrator.report.words.latex_text import (
    SIZES,
    TEXT_WIDTH_PT,
    breakable,
    escape,
    footer,
    interval,
    label,
    mean_sd,
    table,
    width_pt,
)
from orchestrator.report.words.numbers import decimals_for, fixed, level_unit, percent, signed
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.metric import metric_named

METRICS = ("rms_radius_tokens", "r_squared", "area_50_fraction")
"""What stands side by side; the other compared metrics are in the report's table and CSV."""

_SEP_PT = 2.0
_GAP_PT = 6.0
"""Between the columns of two metrics, in addition."""
_GAP = rf"@{{\hspace{{{_GAP_PT + 2 * _SEP_PT:g}pt}}}}"
"""The same as TeX has it."""
_HEADING = 18
"""Letters of a heading in a line."""
_NARROWEST_PT = 30.0
"""Of the arms' column, where names have to be broken."""
_RAGGED = 1.3
"""Room that a broken name takes, in that of its letters."""
_MAX_LINES = 36
"""Lines of one table: with its caption it fits a page of `article` in every size."""


class _Column(NamedTuple):
    """One metric, before and after training."""

    name: str
    heading: str
    """Before escaping."""
    level_decimals: int
    decimals: int
    """Of differences and their intervals."""
    levels: dict[tuple[Cell, str], FieldLevel]
    """By cell and arm."""
    comparisons: dict[tuple[Cell, str], Comparison]
    """Of the final moment, by cell and treatment."""

    @property
    def heading_lines(self) -> list[str]:
        """In two lines where one is wider than most numbers."""
        return textwrap.wrap(self.heading, _HEADING if len(self.heading) > 1.3 * _HEADING else len(self.heading))

    def difference_text(self, comparison: Comparison) -> str:
        """As it is seen, to measure it."""
        ends = [signed(end, self.decimals) for end in (comparison.ci_low, comparison.ci_high)]
        return f"{signed(comparison.effect, self.decimals)} [{', '.join(ends)}]"


class _Frame(NamedTuple):
    """What all tables of a report have alike."""

    span: int
    """Columns of a metric."""
    size: str
    """LaTeX's name of it."""
    room: int
    """Width of the arms' column in pt where names have to be broken; else 0."""

    @property
    def names(self) -> str:
        """The arms' column."""
        return f"p{{{self.room}pt}}" if self.room else "l"

    def num_lines(self, name: str) -> int:
        """About how many lines a name takes, for most are not full."""
        return math.ceil(_RAGGED * SIZES[self.size] * width_pt(name) / self.room) if self.room else 1


def field_tables(report: Report) -> list[str]:
    """One table, or more if a page has too few lines; nothing if nobody asked."""
    fields = report.receptive_fields
    if fields is None or not fields.levels:
        return []
    columns = [_column(report, fields, name) for name in METRICS]
    columns = [column for column in columns if column.levels]
    if not columns:
        return []
    frame = _fitting(report, columns, 2 if fields.is_trained else 1)
    lines_per_cell = 1 + sum(frame.num_lines(arm.name) + (arm.role == "treatment") for arm in report.arms)
    most = max(1, _MAX_LINES // lines_per_cell)
    seen = {cell for column in columns for cell, _ in column.levels}
    cells = [cell for cell in report.cells if cell in seen]
    parts = [cells[start : start + most] for start in range(0, len(cells), most)]
    return [
        _table(report, fields, columns, those, frame, *([str(part)] if len(parts) > 1 else []))
        for part, those in enumerate(parts, 1)
    ]


def _column(report: Report, fields: ReceptiveFields, name: str) -> _Column:
    final = f"{PREFIXES['final']}/{name}"
    mine = [each for each in fields.comparisons if each.metric.rpartition("/")[2] == name]
    unit = level_unit(metric_named(final).unit)
    return _Column(
        name=name,
        heading=f"{WORDS[name]} ({unit})" if unit else WORDS[name],
        # As in the report's other tables of levels and of comparisons.
        level_decimals=1 if unit == "%" else 2,
        decimals=max(1 if unit == "%" else 2, min(3, decimals_for(mine))),
        levels={(level.cell, level.arm): level for level in fields.levels if level.metric == name},
        comparisons={(each.cell, each.treatment): each for each in mine if each.metric == final},
    )


def _table(
    report: Report,
    fields: ReceptiveFields,
    columns: Sequence[_Column],
    cells: Sequence[Cell],
    frame: _Frame,
    *part: str,
) -> str:
    span = frame.span
    rows: list[str] = []
    for cell in cells:
        if len(report.cells) > 1:
            rows += [r"\addlinespace"] if rows else []
            heading = escape(f"{cell.dataset}, {cell.model}")
            rows.append(rf"\multicolumn{{{2 + span * len(columns)}}}{{@{{}}l}}{{\emph{{{heading}}}}} \\")
        for arm in report.arms:
            rows += _rows(report, columns, cell, arm.name, frame)
    return table(
        columns=f"{frame.names}r" + (_GAP + "r" * span) * len(columns),
        header=_header(columns, span),
        rows=rows,
        caption=_caption(report, fields, cells),
        label=label(report, "receptive-fields", *part),
        below=footer(report),
        size=frame.size,
        sep=_SEP_PT,
    )


def _header(columns: Sequence[_Column], span: int) -> str:
    headings = [_stacked(column.heading_lines) for column in columns]
    if span == 1:
        return " & ".join(["Arm", "$n$", *headings]) + r" \\"
    groups = " & ".join(rf"\multicolumn{{{span}}}{{c}}{{{heading}}}" for heading in headings)
    ends = [(3 + span * index, 2 + span * (index + 1)) for index in range(len(columns))]
    rules = "".join(rf"\cmidrule(lr){{{first}-{last}}}" for first, last in ends)
    return "\n".join([rf" & & {groups} \\", rules, "Arm & $n$" + " & before & after" * len(columns) + r" \\"])


def _stacked(lines: Sequence[str]) -> str:
    text = r"\\".join(map(escape, lines))
    return rf"\shortstack{{{text}}}" if len(lines) > 1 else text


def _rows(report: Report, columns: Sequence[_Column], cell: Cell, arm: str, frame: _Frame) -> list[str]:
    """The levels; below them, for a treatment, how they differ from the control."""
    levels = [column.levels.get((cell, arm)) for column in columns]
    if not any(levels):
        return []
    numbers = [
        text
        for column, level in zip(columns, levels, strict=True)
        for text in _level_cells(level, column.level_decimals, frame.span)
    ]
    count = _counts([level.num_seeds for level in levels if level])
    name = rf"\raggedright {breakable(arm)}" if frame.room else escape(arm)
    of_arm = " & ".join([name, count, *numbers])
    if arm == report.control:
        return [rf"{of_arm} \\"]
    found = [column.comparisons.get((cell, arm)) for column in columns]
    # With the space to the next metric, so that they end where the numbers above them end.
    gaps = [*[_GAP] * (len(columns) - 1), "@{}"]
    differences = [
        rf"\multicolumn{{{frame.span}}}{{r{gap}}}{{{_difference(report, column, comparison)}}}"
        for column, comparison, gap in zip(columns, found, gaps, strict=True)
    ]
    pairs = _counts([comparison.num_pairs for comparison in found if comparison])
    return [rf"{of_arm} \\*", " & ".join([r"\quad $\Delta$", pairs, *differences]) + r" \\[1pt]"]


def _counts(counts: Sequence[int]) -> str:
    """One number, or from which to which where not every trial has every metric."""
    return "--".join(str(count) for count in dict.fromkeys([min(counts), max(counts)])) if counts else "--"


def _level_cells(level: FieldLevel | None, decimals: int, span: int) -> list[str]:
    if level is None:
        return ["--"] * span
    before = [mean_sd(level.initial_mean, level.initial_sd, decimals)] if span > 1 else []
    return [*before, mean_sd(level.final_mean, level.final_sd, decimals)]


def _difference(report: Report, column: _Column, comparison: Comparison | None) -> str:
    if comparison is None:
        # The primary metric is compared once, where its p stands.
        is_primary = report.metric == f"{PREFIXES['final']}/{column.name}"
        return rf"Table~\ref{{{label(report)}}}" if is_primary else "--"
    if comparison.effect is None:
        return "--"
    effect = f"${signed(comparison.effect, column.decimals)}$"
    if comparison.ci_low is None:
        return effect
    return f"{effect} {interval(comparison.ci_low, comparison.ci_high, column.decimals)}"


def _fitting(report: Report, columns: Sequence[_Column], span: int) -> _Frame:
    """The largest size in which a line fits; names are broken where not even the smallest helps."""
    names = max(width_pt(arm.name) for arm in report.arms)
    gaps = 2 * _SEP_PT * (1 + span * len(columns)) + _GAP_PT * len(columns)
    widths = [_width_pt(column, span) for column in columns]
    for size, scale in SIZES.items():
        numbers = scale * (width_pt("00") + sum(widths)) + gaps
        if scale * names + numbers <= TEXT_WIDTH_PT:
            return _Frame(span, size, 0)
    return _Frame(span, size, round(max(TEXT_WIDTH_PT - numbers, _NARROWEST_PT)))


def _width_pt(column: _Column, span: int) -> float:
    """About how wide the columns of a metric are at 10 pt."""
    lines = [*column.heading_lines, *map(column.difference_text, column.comparisons.values())]
    return max(_levels_width_pt(column, span), *map(width_pt, lines))


def _levels_width_pt(column: _Column, span: int) -> float:
    digits = column.level_decimals
    levels = [
        max(
            width_pt(f"{fixed(level.initial_mean, digits)} ± {fixed(level.initial_sd, digits)}"),
            width_pt(f"{fixed(level.final_mean, digits)} ± {fixed(level.final_sd, digits)}"),
        )
        for level in column.levels.values()
    ]
    return span * max(levels) + (span - 1) * 2 * _SEP_PT


def _caption(report: Report, fields: ReceptiveFields, cells: Sequence[Cell]) -> str:
    where = "" if len(report.cells) > 1 else f", {escape(cells[0].dataset)}, {escape(cells[0].model)}"
    when = f"before training and after it, {escape(SCORED)}" if fields.is_trained else "with the weights as given"
    at = "after training" if fields.is_trained else "in them"
    interval_words = rf"its {escape(percent(report.confidence))} paired $t$ interval (areas in pp)"
    side = escape(NORM_WORDS[fields.norm])
    sentences = [
        rf"Receptive fields{where}: mean $\pm$ sd over $n$ seeds, {when}, {side}.",
        r"The fit is a Gaussian, $R^2 = 1 - \mathrm{SSE}/\mathrm{SST}$.",
    ]
    if any(arm.role == "treatment" for arm in report.arms):
        sentences += [
            rf"$\Delta$: treatment $-$ control {at}, mean over $n$ pairs of the same seed with {interval_words}.",
            "Descriptive, outside Holm's family: $p$ is not shown.",
        ]
    if not all(_is_compared(report, fields, cell) for cell in cells):
        sentences.append("A dash: the arms' tokens differ, so that a length in tokens is another length in each.")
    return " ".join(sentences)


def _is_compared(report: Report, fields: ReceptiveFields, cell: Cell) -> bool:
    """Whether all arms of a cell have one grid of tokens, as far as their maps can be read."""
    return len({fields.grid(cell, arm.name) for arm in report.arms} - {None}) < 2
