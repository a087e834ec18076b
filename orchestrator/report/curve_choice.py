"""Which curves of receptive fields the figure shows where there are more than fit."""

from typing import NamedTuple

from orchestrator.report.field_choice import left_out_words
from orchestrator.report.field_content import ReceptiveFields
from orchestrator.statistics.comparison import Cell

MAX_CURVE_CELLS = 8
"""Rows of the figure: models on data sets."""


class CurveChoice(NamedTuple):
    """What the figure shows."""

    cells: list[Cell]
    """In the order of the report."""
    left_out: str
    """What it does not show; empty if it shows all."""


def curves_in_report(fields: ReceptiveFields | None) -> CurveChoice:
    """The first cells; one more is shown rather than hidden behind "1 more"."""
    cells = list(dict.fromkeys(curve.cell for curve in fields.curves)) if fields else []
    shown = cells if len(cells) <= MAX_CURVE_CELLS + 1 else cells[:MAX_CURVE_CELLS]
    return CurveChoice(shown, left_out_words(tokens=0, cells=len(cells) - len(shown), where="report.json"))
