"""YAML text as a user writes it, read as the JSON that it stands for: YAML 1.2's core schema and no more.

ruamel.yaml takes the text apart. What plain text means is decided here, for every YAML library adds to the core schema:
dates, `1_000`, `0b1`, sexagesimals, `<<`. So `no` is text, `1e-3` a number and `2026-01-01` text.
"""

import re
from collections.abc import Iterator

from pydantic import JsonValue
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from trainers.errors import DocumentError
from trainers.strict_json import MAX_DEPTH, refuse_what_nothing_keeps

MAX_VALUES = 100_000
"""Values of a document with all aliases written out: a few lines of them can stand for more than any memory holds."""

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"(?P<decimal>[-+]?[0-9]+)|0o(?P<octal>[0-7]+)|0x(?P<hexadecimal>[0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def decode_yaml(data: bytes) -> JsonValue:
    """Read one YAML document as JSON values.

    Args:
        data: UTF-8, with or without a byte order mark.

    Returns:
        What an alias stands for is one object: change nothing in place.

    Raises:
        DocumentError: it is not YAML, or YAML that stands for no JSON (a tag, a key that is not text, infinity),
            repeats a key, or its aliases stand for more than `MAX_VALUES`; the message says where.
    """
    try:
        text = data.decode("utf-8-sig")
        document = _Reader(YAML(typ="safe", pure=True).parse(text)).read()
        refuse_what_nothing_keeps(document)
    except UnicodeDecodeError as error:
        raise _broken(f"it is not UTF-8 (byte {error.start})") from None
    except MarkedYAMLError as error:
        what = error.problem or error.context or "it can't be parsed"
        raise _broken(what + _place(error.problem_mark or error.context_mark)) from None
    except YAMLError as error:
        raise _broken(" ".join(str(error).split())) from None
    except (ValueError, RecursionError) as error:
        raise _broken(str(error)) from None
    return document


class _Reader:
    """Makes values of events."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._anchored: dict[str, tuple[JsonValue, int]] = {}
        self._num_values = 0

    def read(self) -> JsonValue:
        """The only document."""
        found: list[JsonValue] = []
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if event.version not in (None, (1, 2)):
                    raise _wrong("files are read as YAML 1.2, not as another version", event)
                if found:
                    raise _wrong("a second document begins; a file holds one", event)
                found.append(self._value(next(self._events), 0))
        if not found:
            raise ValueError("it is empty")
        return found[0]

    def _value(self, event: Event, depth: int) -> JsonValue:
        before = self._num_values
        self._count(1, event)
        if depth > MAX_DEPTH:
            raise _wrong(f"it nests deeper than {MAX_DEPTH} levels", event)
        if isinstance(event, AliasEvent):
            return self._alias(event)
        if not isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            raise _wrong("a value is expected", event)
        if event.tag is not None:
            raise _wrong(f"the tag `{event.tag}` has no meaning here; put text between quotation marks instead", event)
        value: JsonValue
        if isinstance(event, MappingStartEvent):
            value = self._mapping(depth)
        elif isinstance(event, SequenceStartEvent):
            value = self._sequence(depth)
        else:
            value = _scalar(event)
        if event.anchor is not None:
            self._anchored[event.anchor] = (value, self._num_values - before)
        return value

    def _mapping(self, depth: int) -> dict[str, JsonValue]:
        members: dict[str, JsonValue] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            name = self._value(event, depth + 1)
            if not isinstance(name, str):
                raise _wrong("a key must be text; put it between quotation marks", event)
            if name == "<<" and isinstance(event, ScalarEvent) and event.style is None:
                raise _wrong("`<<` belongs to YAML 1.1; write the fields out", event)
            if name in members:
                raise _wrong(f"the key `{name}` stands here already, in line {lines[name]}", event)
            lines[name] = event.start_mark.line + 1
            members[name] = self._value(next(self._events), depth + 1)
        return members

    def _sequence(self, depth: int) -> list[JsonValue]:
        entries: list[JsonValue] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            entries.append(self._value(event, depth + 1))
        return entries

    def _alias(self, event: AliasEvent) -> JsonValue:
        if event.anchor not in self._anchored:
            raise _wrong(
                f"`*{event.anchor}` stands for nothing: no value above has the anchor `&{event.anchor}`", event
            )
        value, num_values = self._anchored[event.anchor]
        self._count(num_values - 1, event)
        return value

    def _count(self, num_values: int, event: Event) -> None:
        self._num_values += num_values
        if self._num_values > MAX_VALUES:
            raise _wrong(f"the aliases up to here stand for more than {MAX_VALUES:,} values", event)


def _scalar(event: ScalarEvent) -> JsonValue:
    """What a scalar stands for (YAML 1.2.2, section 10.3.2): plain text may be another type, quoted text is text."""
    text: str = event.value
    is_plain = event.implicit[0]
    if not is_plain:
        # As JSON has it, two escapes may stand for one character beyond the first 65,536.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if _NULL.fullmatch(text):
        return None
    if _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if _NO_NUMBER.fullmatch(text):
        raise _wrong(f"`{text}` is not a JSON number", event)
    if integer := _INTEGER.fullmatch(text):
        return int(text) if integer["decimal"] else int(text[2:], 8 if integer["octal"] else 16)
    return float(text) if _FLOAT.fullmatch(text) else text


def _wrong(what: str, event: Event) -> ValueError:
    return ValueError(what + _place(event.start_mark))


def _place(mark: StreamMark | None) -> str:
    return f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""


def _broken(reason: str) -> DocumentError:
    return DocumentError(f"the text is not valid YAML: {reason}")
