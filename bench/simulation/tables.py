"""Where simulations leave their numbers: JSON beside the script, a table between two marks of `docs/statistics.md`."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "statistics.md"
Row = dict[str, str | float]


def marks(name: str) -> tuple[str, str]:
    """What stands before and behind a table."""
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"


def results_of(name: str) -> list[Row]:
    """Stored rows of a simulation."""
    rows: list[Row] = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    return rows


def table_in_document(name: str) -> str:
    """A table as the document has it."""
    begin, end = marks(name)
    return DOCUMENT.read_text().partition(begin)[2].partition(end)[0]


def store(name: str, rows: Sequence[Row], table: Callable[[Sequence[Row]], str]) -> None:
    """Write rows as JSON and their table into the document."""
    text = json.dumps(list(rows), indent=1)
    (Path(__file__).parent / f"{name}.json").write_text(f"{text}\n")
    begin, end = marks(name)
    before, _, rest = DOCUMENT.read_text().partition(begin)
    DOCUMENT.write_text(before + begin + table(rows) + end + rest.partition(end)[2])


def grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all but the first columns of words are numbers."""
    lines = [headings, ["---"] + ["---:"] * (len(headings) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def percent(share: float) -> str:
    """`4.3 %`."""
    return f"{100 * share:.1f} %"
