"""Tables of results in files: CSV with any of the usual separators, and JSON lines."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator

from orchestrator.foreign.results import ForeignResultsError, Row, Table

SEPARATORS = ",;\t"
_JSON_LINES = (".jsonl", ".ndjson")


def read_table(data: bytes, name: str) -> Table:
    """A file of results.

    Args:
        data: its bytes: UTF-8, with or without a byte order mark.
        name: its name, whose ending tells JSON lines (`.jsonl`, `.ndjson`) from CSV (all others).

    Raises:
        ForeignResultsError: it is not such a file.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ForeignResultsError([f"{name} is not UTF-8: byte {error.start} does not belong to it"]) from None
    rows = tuple(_json_rows(text, name) if name.endswith(_JSON_LINES) else _csv_rows(text, name))
    if not rows:
        raise ForeignResultsError([f"{name} has no results: it needs one line for each training"])
    columns = tuple(dict.fromkeys(column for row in rows for column in row.values))
    return Table(name, hashlib.sha256(data).hexdigest(), columns, rows)


def _csv_rows(text: str, name: str) -> Iterator[Row]:
    heading = text.partition("\n")[0]
    separator = max(SEPARATORS, key=heading.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        twice = sorted({column for column in header if header.count(column) > 1})
        if twice:
            raise ForeignResultsError(
                [f"{name} has several columns called {', '.join(twice)}: each needs its own name"]
            )
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                problem = f"{name}, line {reader.line_num}: {len(cells)} values under {len(header)} headings"
                raise ForeignResultsError([problem])
            stripped = (cell.strip() for cell in cells)
            yield Row(f"line {reader.line_num}", dict(zip(header, stripped, strict=True)))
    except csv.Error as error:
        raise ForeignResultsError([f"{name}, line {reader.line_num} is not CSV: {error}"]) from None


def _json_rows(text: str, name: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            # Python's own writers say NaN of a diverged training, which is no JSON and no reason to refuse the others.
            document = json.loads(line, parse_constant=str, parse_int=str)
        except (ValueError, RecursionError) as error:
            raise ForeignResultsError([f"{name}, {place} is not JSON: {error}"]) from None
        if not isinstance(document, dict):
            raise ForeignResultsError(
                [f"{name}, {place} is not an object: write one for each training, such as {_LIKE}"]
            )
        yield Row(place, {key: _cell(value) for key, value in _flat(document, "")})


_LIKE = '{"arm": "mine", "seed": 0, "top1": 0.9}'


def _flat(document: dict[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    """Objects in objects, by dotted paths."""
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _cell(value: object) -> str | float | None:
    return value if value is None or isinstance(value, str | float) else json.dumps(value)
