"""A large JSON file of one object, whose lists are read element by element: only one element is in memory at a time."""

import json
import mmap
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

from trainers.errors import DataError
from trainers.fence import fence

MAX_BYTES = 4 * 2**30
"""Of a file, which is in memory as text while it is walked over. COCO's largest is 0.45 GB."""
_ELEMENTS_A_LOOK = 4096
_SPACE = re.compile(r"[ \t\n\r]*")
_BYTE_ORDER_MARK = "\xef\xbb\xbf"


Value: TypeAlias = Any
"""As JSON has it."""


class Element(NamedTuple):
    """One element of a listed member, or the whole of another member."""

    member: str
    value: Value
    start: int
    """Of its text in the file, in bytes."""
    end: int


class LargeJson:
    """The text of a file, and a place in it."""

    def __init__(self, path: Path) -> None:
        """Take it into memory.

        Raises:
            DataError: it can't be read, or is too large.
        """
        self.path = path
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if len(content) > MAX_BYTES:
                    raise DataError(f"{path} has {len(content) / 2**30:.1f} GiB; at most {MAX_BYTES // 2**30} are read")
                # One character for each byte, so that places in the text are places in the file.
                self._text = str(content, "latin-1")
        except (OSError, ValueError) as error:
            # Nothing can be mapped of an empty file.
            words = error.strerror if isinstance(error, OSError) and error.strerror else "it is empty"
            raise DataError(f"{path} can't be read as JSON: {words}") from error
        self.members: list[str] = []
        """Names of the members that were met so far; the elements of an empty list are not."""
        self._decoder = json.JSONDecoder(parse_constant=self._refuse_constant)
        self._place = 0

    def walk(self, listed: Collection[str]) -> Iterator[Element]:
        """What the object holds, in the file's order.

        Args:
            listed: members whose lists are given element by element.

        Raises:
            DataError: it is not JSON (says the line), or not an object.
        """
        self._skip_space(len(_BYTE_ORDER_MARK) if self._text.startswith(_BYTE_ORDER_MARK) else 0)
        if not self._take("{"):
            self._refuse_kind()
        is_first = True
        while not self._take("}"):
            if not is_first:
                self._require(",")
            is_first = False
            name = self._name()
            self.members.append(name)
            self._require(":")
            if name in listed and self._text[self._place : self._place + 1] == "[":
                yield from self._elements(name)
            else:
                yield self._next(name)
        if self._place < len(self._text):
            self._refuse("something follows the end")

    def line_of(self, place: int) -> int:
        """The line, from 1, in which a byte of the file lies."""
        return self._text.count("\n", 0, place) + 1

    def _elements(self, member: str) -> Iterator[Element]:
        self._require("[")
        if self._take("]"):
            return
        number = 0
        while True:
            yield self._next(member)
            number += 1
            if number % _ELEMENTS_A_LOOK == 0:
                fence().count(str(self.path), 0)
            if self._take("]"):
                return
            self._require(",")

    def _next(self, member: str) -> Element:
        start = self._place
        value, end = self._decoded(start)
        self._skip_space(end)
        if not self._text.isascii() and not (part := self._text[start:end]).isascii():
            value = self._as_utf_8(part, start)
        return Element(member, value, start, end)

    def _decoded(self, start: int) -> tuple[Value, int]:
        try:
            return self._decoder.raw_decode(self._text, start)
        except json.JSONDecodeError as error:
            self._refuse(error.msg, error.pos)
        except RecursionError:
            self._refuse("it nests too deep", start)
        except ValueError as error:
            # A constant that is not JSON; a number of thousands of digits.
            self._refuse(str(error), start)

    def _as_utf_8(self, part: str, start: int) -> Value:
        try:
            return json.loads(part.encode("latin-1").decode("utf-8"))
        except UnicodeDecodeError as error:
            self._refuse("it is not UTF-8", start + error.start)

    def _name(self) -> str:
        if self._text[self._place : self._place + 1] != '"':
            self._refuse("expected a name in double quotes")
        name, end = self._decoded(self._place)
        self._skip_space(end)
        return str(name)

    def _take(self, mark: str) -> bool:
        is_there = self._text.startswith(mark, self._place)
        if is_there:
            self._skip_space(self._place + 1)
        return is_there

    def _require(self, mark: str) -> None:
        if not self._take(mark):
            self._refuse(f"expected `{mark}`")

    def _skip_space(self, place: int) -> None:
        found = _SPACE.match(self._text, place)
        self._place = found.end() if found else place

    def _refuse_kind(self) -> NoReturn:
        value, _ = self._decoded(self._place)
        raise DataError(f"{self.path} is JSON, but not an object: it begins with {str(value)[:40]!r}")

    def _refuse(self, reason: str, place: int | None = None) -> NoReturn:
        place = self._place if place is None else place
        line = self.line_of(place)
        column = place - self._text.rfind("\n", 0, place)
        raise DataError(f"{self.path} is not valid JSON: {reason} at line {line}, column {column}") from None

    @staticmethod
    def _refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"`{name}` is not a JSON number")
