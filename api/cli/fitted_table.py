"""A table that fits its terminal: names may be broken, other columns are whole or left out."""

from collections.abc import Sequence
from itertools import groupby
from textwrap import fill
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_GAP = 2
_SHORTEST_NAME = 8


class Column(NamedTuple):
    """One column, with a cell for each row of the table."""

    heading: str
    """May have several lines."""
    cells: Sequence[str | Text]
    is_number: bool = True
    """Whether it stands on the right."""
    is_name: bool = False
    """Whether its cells may be broken into several lines."""
    left_out: int | None = None
    """Where there is no room, the column with the lowest number goes first (`None`: it always stays)."""

    @property
    def width(self) -> int:
        """Of its longest line."""
        return max(len(line) for cell in (self.heading, *self.cells) for line in str(cell).split("\n"))


class FittedTable(NamedTuple):
    """What is shown, and what is not."""

    table: RenderableType
    left_out: tuple[str, ...]
    """Headings of the columns that have no room."""
    note: str = ""
    """What a reader must know of it."""


def fit_table(title: str, columns: Sequence[Column], width: int, sections: Column | None = None) -> FittedTable:
    """Lay the columns out in `width` letters.

    Args:
        title: above the table, in as many lines as it takes.
        columns: from left to right.
        width: of the terminal.
        sections: names that rows one after another have in common (`None`: there are none): a first column where it
            fits, else lines between the rows.
    """
    shown, beside = _choose(columns, width, sections)
    left_out = tuple(column.heading.replace("-\n", "").replace("\n", " ") for column in columns if column not in shown)
    parts: list[RenderableType] = [Text(fill(title, width), style="bold")] if title else []
    if sections is not None and beside:
        shown = [sections._replace(cells=_once(sections.cells)), *shown]
    widths = _widths(shown, width)
    if sections is None or beside:
        parts.append(_table(shown, widths, range(len(shown[0].cells))))
    else:
        parts.append(_table(shown, widths, ()))
        for name, rows in groupby(range(len(sections.cells)), key=lambda row: str(sections.cells[row])):
            parts += [Text(name, style="italic"), _table(shown, widths, list(rows), has_header=False)]
    return FittedTable(Group(*parts), left_out)


def _choose(columns: Sequence[Column], width: int, sections: Column | None) -> tuple[list[Column], bool]:
    """The columns that have room, and whether the sections' names stand beside them."""
    shown = list(columns)
    while True:
        if sections is not None and _total([sections.width, *(column.width for column in shown)]) <= width:
            return shown, True
        least = min((column.left_out for column in shown if column.left_out is not None), default=None)
        if least is None or _total([column.width for column in shown]) <= width:
            return shown, False
        shown = [column for column in shown if column.left_out != least]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """What each column takes; names share what is missing, the longest first."""
    widths = [column.width for column in columns]
    while _total(widths) > width:
        longest, place = max(((widths[i], i) for i, column in enumerate(columns) if column.is_name), default=(0, 0))
        if longest <= _SHORTEST_NAME:
            break
        widths[place] -= 1
    return widths


def _once(names: Sequence[str | Text]) -> list[str | Text]:
    return ["" if row and str(names[row - 1]) == str(name) else name for row, name in enumerate(names)]


def _table(columns: Sequence[Column], widths: Sequence[int], rows: Sequence[int], *, has_header: bool = True) -> Table:
    # Its own width: where even this is too wide, the terminal breaks lines, and no digit is lost.
    table = Table(
        box=None,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
        header_style="dim",
        show_header=has_header,
        width=_total(widths),
    )
    num_lines = max(column.heading.count("\n") for column in columns)
    for column, width in zip(columns, widths, strict=True):
        # A short heading stands on the last line, above its cells.
        missing = num_lines - column.heading.count("\n")
        table.add_column(
            Text("\n" * missing + column.heading),
            width=width,
            justify="right" if column.is_number else "left",
            no_wrap=not column.is_name,
            overflow="fold",
        )
    for row in rows:
        # Brackets in plain words would be taken for markup.
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in (c.cells[row] for c in columns)))
    return table
