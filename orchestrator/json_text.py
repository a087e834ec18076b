"""JSON text as a user sends it: decoded strictly, refused with the place."""

import json
from collections import Counter

from pydantic import JsonValue

from orchestrator.errors import Problem, SpecError

JsonObject = dict[str, JsonValue]


def decode_json(data: bytes) -> JsonValue:
    """Read JSON text, more strictly than the standard library.

    Args:
        data: UTF-8, with or without a byte order mark.

    Raises:
        SpecError: it is no JSON (the message says where), a name stands twice in one object, or a number is NaN or
            infinite, or an escape stands for no character.
    """
    try:
        document: JsonValue = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_object_without_repeats, parse_constant=_refuse_constant
        )
        # A lone surrogate is a string to the reader, but no text that could be written to any file or database.
        json.dumps(document, ensure_ascii=False).encode()
        if b"\\u0000" in data:
            _refuse_nul(document)
    except UnicodeEncodeError:
        raise _broken("a `\\u` escape stands for half a character (a lone surrogate)") from None
    except UnicodeDecodeError as error:
        raise _broken(f"it is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise _broken(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _broken("it is nested too deeply") from None
    except ValueError as error:
        raise _broken(str(error)) from None
    return document


def _broken(reason: str) -> SpecError:
    return SpecError([Problem("", f"the text is no valid JSON: {reason}")])


def _object_without_repeats(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    """An object, unless a name stands in it twice (the JSON reader would keep the last in silence)."""
    counts = Counter(name for name, _ in pairs)
    name, count = counts.most_common(1)[0] if counts else ("", 0)
    if count > 1:
        raise ValueError(f"the name `{name}` stands {count} times in one object")
    return dict(pairs)


def _refuse_nul(value: JsonValue) -> None:
    """Raise if a string holds one, for PostgreSQL keeps none (the escape may also stand behind a backslash)."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a string holds the character NUL (`\\u0000`), which PostgreSQL can't keep")
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for inner in value:
            _refuse_nul(inner)


def _refuse_constant(name: str) -> JsonValue:
    raise ValueError(f"`{name}` is no JSON number")
