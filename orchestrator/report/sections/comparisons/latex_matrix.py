r"""Models x data sets in one LaTeX table: a row per model, a group of columns per data set."""

from collections.abc import Sequence

from orchestrator.report.content.report import Report
from orchestrator.report.sections.comparisons.latex import caption, delta
from orchestrator.report.words.latex_text import (
    SIZES,
    TEXT_WIDTH_PT,
    escape,
    footer,
    interval,
    label,
    math,
    table,
    width_pt,
)
from orchestrator.report.words.numbers import fixed, level_unit, signed
from orchestrator.statistics.comparison import Comparison

_SEP_PT = 1.5
_GROUP = 3


def matrix_tables(report: Report) -> list[str]:
    """One table; several if the data sets do not fit side by side; none for a single cell, which is one row."""
    if len(report.cells) < 2:
        return []
    datasets = list(dict.fromkeys(cell.dataset for cell in report.cells))
    size, per_table = _fitting(report, datasets)
    parts = [datasets[start : start + per_table] for start in range(0, len(datasets), per_table)]
    return [_matrix(report, part, size, index if len(parts) > 1 else None) for index, part in enumerate(parts)]


def _fitting(report: Report, datasets: Sequence[str]) -> tuple[str, int]:
    """The largest size in which all data sets fit on a line, or the smallest and how many then do."""
    for size, scale in SIZES.items():
        room = TEXT_WIDTH_PT - _name_width_pt(report, scale)
        widths = [_group_width_pt(report, dataset, scale) for dataset in datasets]
        if sum(widths) <= room:
            return size, len(datasets)
    return size, max(1, int(room // max(widths)))


def _group_width_pt(report: Report, dataset: str, scale: float) -> float:
    mine = [comparison for comparison in report.comparisons if comparison.cell.dataset == dataset]
    columns = [
        [fixed(comparison.control_mean, report.decimals) for comparison in mine],
        [fixed(comparison.treatment_mean, report.decimals) for comparison in mine],
        [signed(comparison.effect, report.decimals) + "m" for comparison in mine],
    ]
    gaps = 2 * _SEP_PT * _GROUP
    widest = sum(max(map(width_pt, column), default=0.0) for column in columns)
    below = max((width_pt(_interval_text(comparison, report.decimals)) for comparison in mine), default=0.0)
    return scale * max(widest, below, width_pt(dataset)) + gaps


def _two_lines(name: str) -> tuple[str, str]:
    """A model's name, broken after the punctuation that leaves the shorter lines."""
    ends = [place for place, letter in enumerate(name, 1) if letter in "_./-"] or [len(name)]
    best = min(ends, key=lambda end: max(width_pt(name[:end]), width_pt(name[end:])))
    return name[:best], name[best:]


def _name_width_pt(report: Report, scale: float) -> float:
    """Room for the longest line of a model's name."""
    lines = [line for cell in report.cells for line in _two_lines(cell.model)]
    return scale * (max(map(width_pt, lines), default=0.0) + 6)


def _interval_text(comparison: Comparison, decimals: int) -> str:
    return f"[{fixed(comparison.ci_low, decimals)}, {fixed(comparison.ci_high, decimals)}]"


def _matrix(report: Report, datasets: Sequence[str], size: str, part: int | None) -> str:
    by_place = {(each.cell.model, each.cell.dataset, each.treatment): each for each in report.comparisons}
    models = list(dict.fromkeys(cell.model for cell in report.cells))
    treatments = list(dict.fromkeys(each.treatment for each in report.comparisons))
    rows: list[str] = []
    for treatment in treatments:
        if len(treatments) > 1:
            rows += [r"\addlinespace"] if rows else []
            columns = 1 + _GROUP * len(datasets)
            rows.append(rf"\multicolumn{{{columns}}}{{@{{}}l}}{{\emph{{{escape(treatment)}}}}} \\")
        for model in models:
            found = [by_place.get((model, dataset, treatment)) for dataset in datasets]
            numbers = " & ".join(_numbers(each, report.decimals) for each in found)
            intervals = " & ".join(_below(each, report.decimals) for each in found)
            # The name takes both lines: a box without height does not push the second one down.
            lines = r"\\".join(escape(line) for line in _two_lines(model) if line)
            # TeX measures the name: `width_pt` only guesses how many data sets fit beside it.
            name = rf"\begin{{tabular}}[t]{{@{{}}l@{{}}}}{lines}\end{{tabular}}"
            rows.append(rf"\raisebox{{0pt}}[0pt][0pt]{{{name}}} & {numbers} \\*")
            rows.append(rf" & {intervals} \\[1pt]")
    groups = " & ".join(rf"\multicolumn{{{_GROUP}}}{{c}}{{{escape(dataset)}}}" for dataset in datasets)
    ends = [(2 + _GROUP * index, 1 + _GROUP * (index + 1)) for index in range(len(datasets))]
    rules = "".join(rf"\cmidrule(lr){{{first}-{last}}}" for first, last in ends)
    header = [rf" & {groups} \\", rules, "Model" + r" & C & T & $\Delta$" * len(datasets) + r" \\"]
    level, unit = escape(level_unit(report.unit)), escape(report.unit)
    units = rf" C (control) and T (treatment) in {level}, $\Delta$ in {unit}." if unit else " C: control, T: treatment."
    return table(
        columns="l" + "rrr" * len(datasets),
        header="\n".join(header),
        rows=rows,
        caption=f"{caption(report, is_matrix=True)}{units}",
        label=label(report, "models", *([str(part + 1)] if part is not None else [])),
        below=footer(report),
        size=size,
        sep=_SEP_PT,
    )


def _numbers(comparison: Comparison | None, decimals: int) -> str:
    if comparison is None:
        return " & & "
    levels = [math(fixed(level, decimals)) for level in (comparison.control_mean, comparison.treatment_mean)]
    return " & ".join([*levels, delta(comparison, decimals)])


def _below(comparison: Comparison | None, decimals: int) -> str:
    text = "" if comparison is None else interval(comparison.ci_low, comparison.ci_high, decimals)
    return rf"\multicolumn{{{_GROUP}}}{{r}}{{{text}}}"
