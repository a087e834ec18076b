"""Sigma as shades on a page: layers down, epochs across."""

from collections.abc import Sequence
from itertools import groupby

from orchestrator.report.content.curves import BiasSeries
from orchestrator.report.content.report import Report
from orchestrator.report.drawing.heat_glyph import HeatRow, heat_glyph
from orchestrator.report.drawing.panels import MAX_PANELS, at_least, cell_title
from orchestrator.report.sections.learned_sigma.curves_figure import MIN_SIGMA_RANGE
from orchestrator.report.sections.learned_sigma.tables import layer_name
from orchestrator.report.sections.section import Glyph


def layers_over_epochs(series: Sequence[BiasSeries]) -> tuple[list[HeatRow], list[str]]:
    """A row for each layer (and head), and what each column is: before training, then epoch after epoch.

    Args:
        series: of one quantity, arm and cell.
    """
    columns = ["before training", *(f"epoch {epoch}" for epoch in range(len(series[0].mean_by_epoch)))]
    return [HeatRow(layer_name(each), (each.initial, *each.mean_by_epoch)) for each in series], columns


def sigma_glyphs(report: Report) -> list[Glyph]:
    """One for each arm in each cell, as many as the figure shows, all on one scale."""

    def place(each: BiasSeries) -> tuple[str, str]:
        return each.cell.key, each.arm

    learned = [series for series in report.bias if series.is_learned and series.quantity == "sigma"]
    ordered = sorted(learned, key=lambda each: (*place(each), each.layer, each.head or 0))
    shown = [list(group) for _, group in groupby(ordered, key=place)][:MAX_PANELS]
    values = [value for group in shown for each in group for value in (each.initial, *each.mean_by_epoch)]
    scale = at_least(MIN_SIGMA_RANGE, min(values), max(values))
    glyphs = []
    for group in shown:
        rows, columns = layers_over_epochs(group)
        title = f"Sigma of {group[0].arm}, {cell_title(group[0].cell)}, by layer over epochs"
        glyphs.append(Glyph(title, heat_glyph(rows, columns, title=title, unit="tokens", scale=scale)))
    return glyphs
