"""Which receptive fields, and curves of them, a picture shows where there are more than fit.

Of maps, every cell's middle token comes first.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.report.content.arrays import MEAN_MAPS
from orchestrator.report.content.receptive_fields import MeanField, ReceptiveFields
from orchestrator.statistics.comparison import Cell

MAX_BESIDE = 5
"""Maps side by side, differences included: the figure fits a page."""

MAX_LINES = 16
"""Lines of maps in a report's figure: a picture of all tokens of all models would have no end."""

MAX_CURVE_CELLS = 8
"""Rows of the figure: models on data sets."""

Token = tuple[int, int]
"""Row and column of the token that is looked at."""


class Choice(NamedTuple):
    """What a picture shows."""

    places: list[tuple[Cell, Token]]
    """In the order of cells, the middle token first; tokens of the control (see `MeanField.beside`)."""
    left_out: str
    """What it does not show; empty if it shows all."""


class CurveChoice(NamedTuple):
    """What the figure shows."""

    cells: list[Cell]
    """In the order of the report."""
    left_out: str
    """What it does not show; empty if it shows all."""


def in_report(means: Sequence[MeanField]) -> Choice:
    """What the report's figure of all arms shows of all maps."""
    num_moments = len({mean.moment for mean in means})
    lines_per_place = max(1, num_moments) * num_lines(len({mean.arm for mean in means}))
    return choose(means, MAX_LINES // lines_per_place)


def curves_in_report(fields: ReceptiveFields | None) -> CurveChoice:
    """The first cells; one more is shown rather than hidden behind "1 more"."""
    cells = list(dict.fromkeys(curve.cell for curve in fields.curves)) if fields else []
    shown = cells if len(cells) <= MAX_CURVE_CELLS + 1 else cells[:MAX_CURVE_CELLS]
    return CurveChoice(shown, left_out_words(tokens=0, cells=len(cells) - len(shown), where="report.json"))


def choose(means: Sequence[MeanField], most: int, *, where: str = MEAN_MAPS) -> Choice:
    """Places for a picture: as many cells as fit, then as many tokens of each as fit.

    Args:
        means: all maps.
        most: cells x tokens at which the picture ends; one more is shown rather than hidden behind "1 more".
        where: the file that has what is left out.
    """
    grids: dict[Cell, dict[Token, Token]] = {}
    for mean in means:
        grids.setdefault(mean.cell, {}).setdefault(mean.beside, mean.grid)
    by_cell = {cell: _middle_first(tokens) for cell, tokens in grids.items()}
    rounds = max(map(len, by_cell.values()), default=0)
    places = [(cell, tokens[turn]) for turn in range(rounds) for cell, tokens in by_cell.items() if turn < len(tokens)]
    if len(places) > max(1, most) + 1:
        places = places[: max(1, most)]
    shown = [(cell, token) for cell, tokens in by_cell.items() for token in tokens if (cell, token) in places]
    cells = {cell for cell, _ in shown}
    return Choice(
        shown,
        left_out_words(
            tokens=sum(len(tokens) for cell, tokens in by_cell.items() if cell in cells) - len(shown),
            cells=len(by_cell) - len(cells),
            where=where,
        ),
    )


def left_out_words(*, tokens: int, cells: int, where: str) -> str:
    """`not shown: 3 more tokens; the arrays in ... have all`; empty if nothing was left out.

    Args:
        tokens: left out, of cells that are shown.
        cells: left out with all their tokens.
        where: the file that has them.
    """
    counts = []
    if tokens:
        counts.append(f"+ {tokens} more {'token' if tokens == 1 else 'tokens'}")
    if cells:
        counts.append(f"+ {cells} more {'model on a data set' if cells == 1 else 'models on data sets'}")
    return f"Not shown: {', '.join(counts)}; the arrays in {where} have all." if counts else ""


def num_lines(num_columns: int) -> int:
    """Lines that the maps of all columns and the differences from the first need."""
    num_differences = num_columns - 1
    if num_columns + num_differences <= MAX_BESIDE:
        return 1
    return math.ceil(num_columns / MAX_BESIDE) + math.ceil(num_differences / MAX_BESIDE)


def _middle_first(grids: dict[Token, Token]) -> list[Token]:
    """All tokens row by row, but the one that is nearest to the middle before all others."""
    return middle_first(list(grids), next(iter(grids.values())))


def middle_first(tokens: Sequence[Token], grid: Token) -> list[Token]:
    """All tokens row by row, but the one nearest to the middle of the grid before all others."""
    ordered = sorted(tokens)
    middle = min(ordered, key=lambda token: sum((2 * token[axis] + 1 - grid[axis]) ** 2 for axis in (0, 1)))
    return [middle, *(token for token in ordered if token != middle)]
