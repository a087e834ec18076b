"""A small table of numbers as shades: an SVG element for pages."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import escape

from orchestrator.report.drawing.svg import svg

_LEFT, _TOP, _CELL_HEIGHT, _WIDTH = 64, 4, 18, 420
_MAX_COLUMNS = 48


class HeatRow(NamedTuple):
    """One row."""

    name: str
    """Stands before it."""
    values: Sequence[float]
    """One for each column."""


def heat_glyph(
    rows: Sequence[HeatRow],
    columns: Sequence[str],
    *,
    title: str,
    unit: str = "",
    scale: tuple[float, float] | None = None,
) -> str:
    """Strong is much, in the colour of the text around it; hovering tells the number.

    Of more columns than fit, every so many are drawn, the first and the last among them.

    Args:
        rows: at least one, all of one length.
        columns: what hovering calls each column.
        title: for who does not see it.
        unit: of the numbers.
        scale: what is faintest and strongest, where several are compared (`None`: the least and the greatest number).
    """
    shown = _spread(len(columns))
    values = [row.values[place] for row in rows for place in shown]
    low, high = scale or (min(values), max(values))
    width = _WIDTH / len(shown)
    height = _TOP + _CELL_HEIGHT * len(rows) + 20
    shapes = []
    for nth, row in enumerate(rows):
        y = _TOP + nth * _CELL_HEIGHT
        shapes.append(f'<text x="{_LEFT - 6}" y="{y + 13}" text-anchor="end">{escape(row.name)}</text>')
        for column, place in enumerate(shown):
            share = 0.5 if high == low else (row.values[place] - low) / (high - low)
            told = f"{row.name}, {columns[place]}: {row.values[place]:.4g}{' ' + unit if unit else ''}"
            box = f'x="{_LEFT + column * width:.1f}" y="{y}" width="{width:.1f}" height="{_CELL_HEIGHT - 1}"'
            shade = f'fill="currentColor" fill-opacity="{0.06 + 0.94 * share:.2f}"'
            shapes.append(f"<rect {box} {shade}><title>{escape(told)}</title></rect>")
    for anchor, x, place in (("start", _LEFT, 0), ("end", _LEFT + _WIDTH, len(columns) - 1)):
        shapes.append(f'<text x="{x}" y="{height - 5}" text-anchor="{anchor}">{escape(columns[place])}</text>')
    middle = f"{low:.3g} (faint) to {high:.3g} (strong){' ' + unit if unit else ''}"
    shapes.append(f'<text x="{_LEFT + _WIDTH / 2}" y="{height - 5}" text-anchor="middle">{escape(middle)}</text>')
    return svg("heat", _LEFT + _WIDTH + 4, height, shapes, words=title)


def _spread(length: int) -> list[int]:
    if length <= _MAX_COLUMNS:
        return list(range(length))
    return sorted({round(nth * (length - 1) / (_MAX_COLUMNS - 1)) for nth in range(_MAX_COLUMNS)})
