"""What a table of a report is: text, once, for every format that shows text."""

from collections.abc import Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """A titled grid of text."""

    title: str
    """What it shows."""
    columns: tuple[str, ...]
    """Headings."""
    num_text_columns: int
    """So many columns from the left hold words; the others hold numbers and align right."""
    rows: Sequence[tuple[str, ...]]
    """One tuple per row, as long as `columns`."""


def without_constant_columns(table: Table) -> Table:
    """Move model and data set into the title where they are the same in every row: the rest fits a screen."""
    constant = [
        column
        for column in range(table.num_text_columns)
        if table.columns[column] in ("model", "data set") and len({row[column] for row in table.rows}) == 1
    ]
    if not constant:
        return table
    kept = [column for column in range(len(table.columns)) if column not in constant]
    where = ", ".join(table.rows[0][column] for column in constant)
    return Table(
        title=f"{table.title} [{where}]",
        columns=tuple(table.columns[column] for column in kept),
        num_text_columns=table.num_text_columns - len(constant),
        rows=[tuple(row[column] for column in kept) for row in table.rows],
    )


def last_line(text: str) -> str:
    """An error's last line says what it was; a whole traceback does not fit a table."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
