"""Models x data sets: what each cell of an experiment's table says, on one shared axis."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from orchestrator.report.content.report import Report
from orchestrator.report.drawing.interval_glyph import common_scale, interval_glyph
from orchestrator.report.words.numbers import interval, signed, with_unit
from orchestrator.statistics.comparison import Comparison


class MatrixLine(NamedTuple):
    """One treatment in one cell."""

    treatment: str
    verdict: str
    words: str
    """The verdict as tables show it."""
    glyph: Markup
    effect: str
    interval: str
    """Empty: so few pairs give none."""
    num_pairs: int
    num_planned_pairs: int
    has_pairs: bool
    link: str
    """Below the experiment's address: its pairs."""


class Matrix(NamedTuple):
    """The table."""

    datasets: tuple[str, ...]
    """Columns."""
    rows: tuple[tuple[str, tuple[tuple[MatrixLine, ...], ...]], ...]
    """Model -> the lines of each of its cells (none: the spec has no such cell)."""


def matrix_of(report: Report, labels: Mapping[str, str] = MappingProxyType({})) -> Matrix:
    """The table.

    Args:
        report: for people.
        labels: name of an arm -> what people read in its place, of arms that have a label; for links.
    """
    names = {label: name for name, label in labels.items()}
    scale = common_scale(report.comparisons)
    lines: dict[tuple[str, str], list[MatrixLine]] = {}
    for comparison in report.comparisons:
        place = comparison.cell.model, comparison.cell.dataset
        lines.setdefault(place, []).append(_line(comparison, report, scale, names))
    models = tuple(dict.fromkeys(cell.model for cell in report.cells))
    datasets = tuple(dict.fromkeys(cell.dataset for cell in report.cells))
    rows = tuple((model, tuple(tuple(lines.get((model, dataset), ())) for dataset in datasets)) for model in models)
    return Matrix(datasets, rows)


def _pairs_link(comparison: Comparison, names: Mapping[str, str]) -> str:
    treatment = names.get(comparison.treatment, comparison.treatment)
    parts = comparison.cell.model, comparison.cell.dataset, treatment
    return "/".join(("pairs", *(quote(part, safe="") for part in parts)))


def _line(comparison: Comparison, report: Report, scale: tuple[float, float], names: Mapping[str, str]) -> MatrixLine:
    # Its own numbers and the report's words alone: no text of a user's.
    glyph = Markup(  # noqa: S704
        interval_glyph(comparison, scale, report.decimals, is_interim=not report.is_over)
    )
    return MatrixLine(
        treatment=comparison.treatment,
        verdict=comparison.verdict.value,
        words=comparison.verdict_text(is_over=report.is_over, is_repeated=report.is_repeated(comparison)),
        glyph=glyph,
        effect=with_unit(signed(comparison.effect, report.decimals), comparison.unit),
        interval="" if comparison.ci_low is None else interval(comparison.ci_low, comparison.ci_high, report.decimals),
        num_pairs=comparison.num_pairs,
        num_planned_pairs=comparison.num_planned_pairs,
        has_pairs=comparison.num_pairs > 0,
        link=_pairs_link(comparison, names),
    )
