"""Numbers that a script wrote, row by row, and which of them count."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from trainers.errors import CommandError

RowChoice = Literal["only", "last", "best"]


class Row(NamedTuple):
    """One row of a table, one line of JSON, or what was printed once."""

    place: str
    """Where it stands, for messages: `line 7 of summary.csv`."""
    epoch: int | None
    """The epoch that it is of, as the script counts (`None`: it does not say)."""
    values: dict[str, float]
    """Declared metrics that it holds, by name."""


class Chosen(NamedTuple):
    """What counts of all rows."""

    values: dict[str, float]
    """Every declared metric."""
    epoch: int | None
    """Place among the epochs of the row that was chosen, from 0 (`None`: there are no epochs, or none was chosen)."""


def number(text: object, metric: str, place: str) -> float | None:
    """A value as a script wrote it (`None`: its place is empty).

    Raises:
        CommandError: it is not a finite number.
    """
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    try:
        value = float(text) if isinstance(text, int | float | str) and not isinstance(text, bool) else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise CommandError(f"{metric} is {text!r} in {place}, which is not a finite number")
    return value


def merged(rows: Iterable[Row]) -> list[Row]:
    """The rows of one epoch as one: some loggers write training and validation in rows of their own.

    Raises:
        CommandError: an epoch has a metric twice, or epochs go back: two runs have written into one file.
    """
    found: list[Row] = []
    for row in rows:
        if not row.values:
            continue
        if row.epoch is None or not found or found[-1].epoch is None or row.epoch > found[-1].epoch:
            found.append(row)
            continue
        before = found[-1]
        if row.epoch < (before.epoch or 0):
            raise CommandError(
                f"{row.place} is of epoch {row.epoch}, behind {before.place} of epoch {before.epoch}: has the script "
                "written its results twice?"
            )
        twice = [name for name in row.values if name in before.values]
        if twice:
            raise CommandError(f"epoch {row.epoch} has {twice[0]} twice, in {before.place} and in {row.place}")
        found[-1] = before._replace(values={**before.values, **row.values})
    return found


def chosen(rows: Sequence[Row], names: Sequence[str], choice: RowChoice, best_by: tuple[str, bool] | None) -> Chosen:
    """Of every metric the value that counts.

    A metric that stands in a single row counts from there, whichever row is chosen: many scripts score their test split
    once, at their end.

    Args:
        rows: merged, at least one.
        names: of the declared metrics.
        choice: which row counts.
        best_by: the metric that chooses the best row, and whether more of it is better.

    Raises:
        CommandError: a metric is not there, or in several rows of which none is chosen.
    """
    place = None
    if choice == "best" and best_by is not None:
        name, is_more = best_by
        sign = 1 if is_more else -1
        # Of equal ones the earlier.
        scored = [(sign * row.values[name], -i) for i, row in enumerate(rows) if name in row.values]
        place = -max(scored)[1] if scored else None
    elif choice == "last":
        place = len(rows) - 1
    values = {name: _counting(rows, name, place, choice) for name in names}
    has_epochs = len(rows) > 1
    return Chosen(values, place if has_epochs and choice == "best" else None)


def _counting(rows: Sequence[Row], name: str, place: int | None, choice: RowChoice) -> float:
    holders = [row for row in rows if name in row.values]
    if not holders:
        raise CommandError(f"the script wrote no {name}")
    if len(holders) == 1:
        return holders[0].values[name]
    if place is None:
        raise CommandError(
            f"{name} is there {len(holders)} times, the first in {holders[0].place}, the last in {holders[-1].place}, "
            'and nothing says which counts: take `"row": "last"`, or `"row": "best"`, which a `val/` metric chooses'
        )
    if name not in rows[place].values:
        raise CommandError(f"{name} is not in {rows[place].place}, which is the {choice} row")
    return rows[place].values[name]


def curves(rows: Sequence[Row]) -> list[Mapping[str, float]]:
    """What each epoch says of training and validation, if there are several; the test split is scored once."""
    if len(rows) < 2:
        return []
    return [{name: value for name, value in row.values.items() if not name.startswith("test/")} for row in rows]
