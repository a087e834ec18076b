"""From a table to results: which column is what, which rows count, and all that is wrong with them, at once."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.foreign.results import ForeignResult, ForeignResults, ForeignResultsError, Row, Table
from orchestrator.spec.complaints import suggestion
from orchestrator.statistics.comparison import Cell
from trainers.counted import counted

ROLES = ("arm", "seed", "model", "dataset", "status")
"""What a column may be, beside the metric; the last three may be missing."""
_ALSO_CALLED = {"dataset": ("data set", "data_set"), "status": ("state",)}
_UNNAMED = {"model": "an unnamed model", "dataset": "an unnamed data set"}
_FINISHED = frozenset({"succeeded", "success", "finished", "completed", "complete", "done", "ok"})
"""What statuses of trainings that ended well are called (sigmalab, MLflow, W&B, Ray)."""
_MOST_NAMED = 10
_MAX_NAME = 200


def results_of(
    table: Table, metric: str, *, columns: Mapping[str, str] | None = None, where: Sequence[tuple[str, str]] = ()
) -> ForeignResults:
    """The trainings of a table.

    Args:
        table: as it was read.
        metric: the column of the compared metric.
        columns: `arm`, `seed`, `model`, `dataset` or `status` -> its column, where that is called otherwise.
        where: (column, value): only rows with this value there are read.

    Raises:
        ForeignResultsError: a column is missing, a seed is no whole number, a value is text, or two rows tell of the
            same training.
    """
    places = _places(table, metric, columns or {}, [column for column, _ in where])
    asked = [row for row in table.rows if all(_is(row.values.get(column), value) for column, value in where)]
    if not asked:
        conditions = ", ".join(f"{column}={value}" for column, value in where)
        raise ForeignResultsError([f"none of the {len(table.rows)} rows of {table.source} has {conditions}"])
    problems: list[str] = []
    found: dict[tuple[Cell, str, int], tuple[Row, ForeignResult]] = {}
    for row in asked:
        try:
            result = _result(row, places)
        except ValueError as error:
            problems.append(f"{table.source}, {row.place}: {error}")
            continue
        key = (result.cell, result.arm, result.seed)
        if key in found:
            problems.append(f"{table.source}, {row.place}: {_again(result, row, found[key][0], places)}")
        found.setdefault(key, (row, result))
    _refuse(problems)
    results = tuple(result for _, result in found.values())
    return ForeignResults(table, places, table.num_passed_over + len(table.rows) - len(asked), results)


def _is(value: str | float | None, wanted: str) -> bool:
    """Whether a value is the one that was asked for; 99.0, as tables write a whole number, is 99."""
    text = _text(value)
    if text == wanted:
        return True
    try:
        return float(text) == float(wanted)
    except ValueError:
        return False


def _again(result: ForeignResult, row: Row, first: Row, places: Mapping[str, str]) -> str:
    """Why a second row of a training is refused, and what would choose one."""
    cell = "" if result.cell.model == _UNNAMED["model"] else f" of {result.cell.key}"
    missing = [role for role in ("model", "dataset") if role not in places]
    advice = f"; if they are of several models or data sets, name the columns ({', '.join(missing)})" if missing else ""
    finished = _finished_one(row, first, places)
    if finished is not None:
        return (
            f"arm `{result.arm}`, seed {result.seed}{cell} stands in {first.place} already, and one of the two did not "
            f"finish; one training is one row: choose those that did with --where {shlex.quote(finished)}"
        )
    return (
        f"arm `{result.arm}`, seed {result.seed}{cell} stands in {first.place} already; one training is one row "
        f"(of several epochs or phases, choose one with --where COLUMN=VALUE){advice}"
    )


def _finished_one(row: Row, first: Row, places: Mapping[str, str]) -> str | None:
    """`status=finished`, where that chooses between two rows of a training."""
    if "status" not in places:
        return None
    statuses = [_text(each.values.get(places["status"])) for each in (row, first)]
    done = [status for status in statuses if status.casefold() in _FINISHED]
    return f"{places['status']}={done[0]}" if len(done) == 1 and all(statuses) else None


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        more = len(problems) - _MOST_NAMED
        named = list(problems[:_MOST_NAMED])
        raise ForeignResultsError([*named, f"and {counted(more, 'more such row')}"] if more > 0 else named)


def _places(table: Table, metric: str, columns: Mapping[str, str], conditions: Sequence[str]) -> dict[str, str]:
    """What each column is."""
    problems = [
        f"{table.source} has no column `{column}`{suggestion(column, table.columns)}"
        for column in dict.fromkeys([metric, *columns.values(), *conditions])
        if column not in table.columns
    ]
    places = {role: columns.get(role) or _column_called(role, table.columns) for role in ROLES}
    problems += [
        f"{table.source} has no column `{role}`: say which one it is with --column {role}=NAME"
        f"{suggestion(role, table.columns)}"
        for role in ("arm", "seed")
        if places[role] is None
    ]
    _refuse(problems)
    known = {role: column for role, column in places.items() if column is not None}
    return {**known, "metric": metric}


def _column_called(role: str, columns: Sequence[str]) -> str | None:
    names = (role, *_ALSO_CALLED.get(role, ()))
    return next((column for name in names for column in columns if column.casefold() == name), None)


def _result(row: Row, places: Mapping[str, str]) -> ForeignResult:
    named = {role: _text(row.values.get(places[role])) for role in places}
    cell = Cell(**{role: _name(role, named, places) for role in _UNNAMED})
    arm, seed = _name("arm", named, places), _seed(named["seed"], places["seed"])
    status = named.get("status", "")
    if status and status.casefold() not in _FINISHED:
        return ForeignResult(cell, arm, seed, None, f"its {places['status']} is {status} ({row.place})")
    value, why = _value(named["metric"], places["metric"])
    return ForeignResult(cell, arm, seed, value, f"{why} ({row.place})" if why else "")


def _text(value: str | float | None) -> str:
    return "" if value is None else str(value).strip()


def _name(role: str, named: Mapping[str, str], places: Mapping[str, str]) -> str:
    if role not in places and role in _UNNAMED:
        return _UNNAMED[role]
    name = named[role]
    if not name:
        raise ValueError(f"`{places[role]}` is empty, and it names the {role}")
    if len(name) > _MAX_NAME or not name.isprintable():
        raise ValueError(f"`{places[role]}` names the {role}: at most {_MAX_NAME} printable characters do")
    return name


def _seed(text: str, column: str) -> int:
    try:
        # As tables write whole numbers of which some are missing: `3.0`.
        number = int(text.removesuffix(".0"))
    except ValueError:
        raise ValueError(
            f"`{column}` is {text!r}, and a seed is a whole number that both arms of a pair share"
        ) from None
    if abs(number) >= 2**63:
        raise ValueError(f"`{column}` is {number}, and a seed has at most 63 bits")
    return number


def _value(text: str, column: str) -> tuple[float | None, str]:
    """The metric, or why there is none."""
    if not text or text.casefold() in ("none", "null"):
        return None, f"no value of {column}"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"`{column}` is {text!r}, which is not a number") from None
    return (value, "") if math.isfinite(value) else (None, f"{column} is {text}")


def columns_told(results: ForeignResults) -> Iterator[str]:
    """For people: which column was taken for what, where they are called otherwise."""
    for role, column in results.columns.items():
        if role != "metric" and column != role:
            yield f"{role}: {column}"
