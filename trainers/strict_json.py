"""JSON text as a user sends it: decoded strictly, refused with the place. The one reader behind every door."""

import json
import math
from collections import Counter, deque
from collections.abc import Iterable

from pydantic import JsonValue

from trainers.errors import DocumentError

JsonObject = dict[str, JsonValue]

MAX_DEPTH = 64
"""Objects and lists in each other; a spec nests about ten deep."""


def decode_json(data: bytes) -> JsonValue:
    """Read JSON text, more strictly than the standard library.

    Args:
        data: UTF-8, with or without a byte order mark.

    Raises:
        DocumentError: it is not JSON (the message says where), a name stands twice in one object, a number is NaN,
            infinite or of thousands of digits, an escape stands for no character, or it nests deeper than any spec.
    """
    try:
        document: JsonValue = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_object_of, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as error:
        raise _broken(f"it is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise _broken(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _broken(_TOO_DEEP) from None
    except ValueError as error:
        raise _broken(str(error)) from None
    try:
        refuse_what_nothing_keeps(document)
    except ValueError as error:
        raise _broken(str(error)) from None
    return document


def refuse_what_nothing_keeps(document: JsonValue) -> None:
    """Refuse what a reader takes for JSON values, but what no spec can mean and no database can hold.

    Raises:
        ValueError: an object repeats a name, a string is not text, or all nests deeper than any spec.
    """
    waiting: deque[tuple[str, int, JsonValue]] = deque([("", 0, document)])
    while waiting:
        place, depth, value = waiting.popleft()
        if depth > MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        if isinstance(value, _Repeating):
            where = f"at {place}" if place else "the outermost"
            raise ValueError(  # noqa: TRY004 (its type is right)
                f"the name `{value.name}` occurs {value.count} times in one object, {where}"
            )
        if isinstance(value, dict):
            _refuse_half_characters(value)
            waiting.extend((f"{place}/{_escaped(name)}", depth + 1, inner) for name, inner in value.items())
        elif isinstance(value, list):
            waiting.extend((f"{place}/{i}", depth + 1, inner) for i, inner in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"the number at {place or 'the top'} is too large")
        elif isinstance(value, str):
            _refuse_half_characters([value])


_TOO_DEEP = f"it nests deeper than {MAX_DEPTH} levels"


class _Repeating(dict[str, JsonValue]):
    """An object in which a name stands more than once: where it lies is known when all is read."""

    name: str
    count: int


def _object_of(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    decoded = dict(pairs)
    if len(decoded) == len(pairs):
        return decoded
    repeating = _Repeating(decoded)
    ((repeating.name, repeating.count),) = Counter(name for name, _ in pairs).most_common(1)
    return repeating


def _refuse_half_characters(texts: Iterable[str]) -> None:
    for text in texts:
        if "\0" in text:
            raise ValueError("a string holds the character NUL (`\\u0000`), which PostgreSQL can't keep")
        # A lone surrogate is a string to the reader, but no text that could be written to any file or database.
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError("a `\\u` escape stands for half a character (a lone surrogate)")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _refuse_constant(name: str) -> JsonValue:
    raise ValueError(f"`{name}` is not a JSON number")


def _broken(reason: str) -> DocumentError:
    return DocumentError(f"the text is not valid JSON: {reason}")
