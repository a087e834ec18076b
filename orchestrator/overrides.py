"""Changes to a spec on the command line: `optimization.epochs=5 seeds=0..9 arms.gaussian.patch.mixing.kind=none`."""

import re
from collections.abc import Sequence

from pydantic import JsonValue

from orchestrator.errors import Problem, SpecError
from orchestrator.spec.complaints import Path, json_pointer, suggestion
from trainers.errors import DocumentError
from trainers.strict_json import decode_json

MAX_SEEDS = 100_000
"""Seeds that all ranges of a value may stand for together; no spec takes so many."""

_MAX_DIGITS = 100
"""Of a number that is read at all; Python refuses some thousands."""
_NAME_FIELDS = ("name", "label")
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")
_SEEDS = re.compile(r"[0-9]+(\.\.[0-9]+)?(,[0-9]+(\.\.[0-9]+)?)*")


def with_overrides(document: JsonValue, overrides: Sequence[str]) -> JsonValue:
    """A spec with some of its fields set anew.

    A field that no spec has is set too: the spec's own rules refuse it, with the nearest names.

    Args:
        document: the spec as its user wrote it; it stays as it is.
        overrides: `path=value` each. A path leads through fields by name and through lists by index, arms by their
            name, models and data sets by their label. A value is JSON, or else text; seeds may be `0..9` or `0..4,7`.

    Raises:
        SpecError: an override is none, leads nowhere or to several places, or sets a place anew that an earlier one
            has set, wholly or in part; it carries all such problems.
    """
    if not isinstance(document, dict):
        return document
    problems: list[Problem] = []
    changed: JsonValue = document
    seen: dict[Path, str] = {}
    for override in overrides:
        try:
            names, value = _parsed(override)
            place = _place(changed, names, override)
            if place in seen:
                raise _refused(f"`{override}`: this place is set twice", place)
            if earlier := next((text for other, text in seen.items() if place == other[: len(place)]), None):
                raise _refused(
                    f"`{override}`: this replaces what `{earlier}` sets in it; write it before that one", place
                )
            seen[place] = override
            changed = _set(changed, place, value)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return changed


def _parsed(override: str) -> tuple[list[str], JsonValue]:
    path, equals, text = override.partition("=")
    names = path.split(".")
    if not equals or not all(names):
        raise _refused(f"`{override}` sets nothing: write PATH=VALUE, such as optimization.epochs=5")
    if names[-1] == "seeds" and _SEEDS.fullmatch(text):
        return names, _seeds(text, override, path)
    try:
        return names, decode_json(text.encode())
    except DocumentError as error:
        if text[:1] in ("{", "[", '"'):
            raise _refused(f"`{override}`: {error}") from None
        return names, text
    except UnicodeEncodeError:
        raise _refused(f"the value of `{path}` is not text that UTF-8 can hold") from None


def _seeds(text: str, override: str, path: str) -> list[JsonValue]:
    ranges: list[range] = []
    for part in text.split(","):
        if any(len(digits) > _MAX_DIGITS for digits in part.split("..")):
            raise _refused(f"`{path}`: a seed of {max(map(len, part.split('..'))):,} digits; seeds are below 2^31")
        if found := _RANGE.fullmatch(part):
            first, last = int(found[1]), int(found[2])
            if last < first:
                raise _refused(f"`{override}`: `{part}` is not a range; write the smaller seed first")
        else:
            first = last = int(part)
        ranges.append(range(first, last + 1))
    # Counted before any is written out: a short text can name more seeds than memory holds.
    num_seeds = sum(each.stop - each.start for each in ranges)
    if num_seeds > MAX_SEEDS:
        raise _refused(f"`{override}`: these are {num_seeds:,} seeds; write at most {MAX_SEEDS:,}")
    return [seed for each in ranges for seed in each]


def _place(document: JsonValue, names: list[str], override: str) -> Path:
    """Keys and indices of a path in the document; what is not there yet goes by the names as they are."""
    place: list[str | int] = []
    inner: JsonValue = document
    waiting = list(names)
    while waiting:
        if isinstance(inner, list):
            step, taken = _entry(inner, waiting, place, override)
            inner = inner[step]
            place.append(step)
        elif isinstance(inner, dict):
            name, taken = _member(inner, waiting)
            inner = inner.get(name, {})
            place.append(name)
        else:
            raise _refused(f"`{override}`: what stands at {json_pointer(place)} has no field `{waiting[0]}`", place)
        waiting = waiting[taken:]
    return tuple(place)


def _member(inner: dict[str, JsonValue], waiting: list[str]) -> tuple[str, int]:
    """The longest name that is there: the paths of a search's space have dots themselves."""
    for taken in range(len(waiting), 0, -1):
        name = ".".join(waiting[:taken])
        if name in inner:
            return name, taken
    return waiting[0], 1


def _entry(inner: list[JsonValue], waiting: list[str], place: list[str | int], override: str) -> tuple[int, int]:
    """Index of an entry by its index or name; a name may have dots."""
    known: dict[str, list[int]] = {}
    for i, entry in enumerate(inner):
        if isinstance(entry, dict):
            for name in {str(entry[field]) for field in _NAME_FIELDS if field in entry}:
                known.setdefault(name, []).append(i)
    for taken in range(len(waiting), 0, -1):
        name = ".".join(waiting[:taken])
        if len(known.get(name, ())) > 1:
            which = " or ".join(_described(inner[i], i) for i in known[name])
            raise _refused(f"`{override}`: {len(known[name])} entries are called `{name}`: write {which}", place)
        if name in known:
            return known[name][0], taken
    if waiting[0].isdecimal() and len(waiting[0]) <= _MAX_DIGITS and int(waiting[0]) < len(inner):
        return int(waiting[0]), 1
    options = [*known, *map(str, range(len(inner)))]
    nothing = f"`{override}`: {json_pointer(place)} has no entry `{waiting[0]}`{suggestion(waiting[0], options)}"
    raise _refused(nothing, place)


def _described(entry: JsonValue, index: int) -> str:
    label = entry.get("label") if isinstance(entry, dict) else None
    return f"`{index}`" + (f" (label `{label}`)" if label is not None else "")


def _set(document: JsonValue, place: Path, value: JsonValue) -> JsonValue:
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(document, list):
        assert isinstance(first, int)
        return [_set(entry, rest, value) if i == first else entry for i, entry in enumerate(document)]
    assert isinstance(document, dict)
    name = str(first)
    return {**document, name: _set(document.get(name, {}), rest, value)}


def _refused(message: str, place: Sequence[str | int] = ()) -> SpecError:
    return SpecError([Problem(json_pointer(place), message)])
