"""From pydantic's errors to problems that a person can act on: the place in their own JSON, and what would be right."""

import difflib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, NoReturn, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from orchestrator.errors import Problem
from trainers.checksums import SHA256_PATTERN
from trainers.counted import counted

Path = tuple[str | int, ...]
"""Keys and indices from the top of a JSON document down to one place."""


def json_pointer(path: Iterable[str | int]) -> str:
    """The path as RFC 6901 spells it (empty: the whole document)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def suggestion(word: str, valid: Iterable[str]) -> str:
    """`; did you mean ...? Valid: ...`, for the end of a message about an unknown word."""
    options = list(valid)
    nearest = difflib.get_close_matches(word, options, n=1, cutoff=0.5) or [
        name for name in options if word and word in name
    ]
    question = f"; did you mean `{nearest[0]}`? " if nearest else "; "
    if not options:
        return "; none is valid here"
    return f"{question}{'V' if nearest else 'v'}alid: {', '.join(options)}"


def refuse(model: str, complaints: Sequence[tuple[Path, str]]) -> None:
    """Raise all complaints of a validator at once, each at its own place below the validated value.

    Pydantic takes a `ValidationError` that a validator raises apart and adds the place of the value itself.

    Args:
        model: name of what is validated.
        complaints: place and message of each; nothing happens if there are none.

    Raises:
        ValidationError: there is at least one complaint.
    """
    if complaints:
        _raise(model, complaints)


def _raise(model: str, complaints: Sequence[tuple[Path, str]]) -> NoReturn:
    raise ValidationError.from_exception_data(
        model,
        [
            InitErrorDetails(type=PydanticCustomError("rule", "{message}", {"message": message}), loc=path, input=None)
            for path, message in complaints
        ],
    )


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Every error as a problem with a pointer into the validated JSON."""
    return [Problem(json_pointer(path), message) for path, message in complaints_of(error, model)]


def complaints_of(error: ValidationError, model: type[BaseModel]) -> list[tuple[Path, str]]:
    """Every error as a place in the validated JSON and a message.

    Args:
        error: what pydantic raised.
        model: the model that was validated; its fields tell which parts of a `loc` are tags of a discriminated union
            (those are no part of the user's JSON), and which names would have been valid.
    """
    complaints = []
    for details in error.errors(include_url=False):
        if _is_echo(details):
            continue
        path, parent = _follow(details["loc"], model)
        if details["type"] == "union_tag_invalid":
            path = (*path, "kind")
        complaints.append((path, _message(details, parent)))
    return complaints


def _is_echo(details: ErrorDetails) -> bool:
    """Whether it only follows from another error.

    A list is called too short because its invalid entries were left out; a default that depends on other fields can't
    be made while one of them is invalid.
    """
    if details["type"] == "default_factory_not_called":
        return True
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


# ---- Where: from pydantic's `loc` to a path in the user's JSON ----


@dataclass(frozen=True)
class _Place:
    """What is expected at one place of the document."""

    annotation: object
    """The type, without `Annotated` and `None`."""
    is_tagged: bool = False
    """Whether it is a discriminated union: pydantic's `loc` then goes on with the tag."""

    @property
    def model(self) -> type[BaseModel] | None:
        """The model whose fields may stand here."""
        is_model = isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel)
        return self.annotation if is_model else None  # type: ignore[return-value]

    def variant(self, tag: str | int) -> type[BaseModel] | None:
        """The member of the union with this `kind`."""
        if not self.is_tagged:
            return None
        members = get_args(self.annotation) or (self.annotation,)
        return next((member for member in members if tag in get_args(member.model_fields["kind"].annotation)), None)

    def below(self, part: str | int) -> "_Place":
        """What is expected one step further down."""
        if self.model is not None and part in self.model.model_fields:
            field = self.model.model_fields[str(part)]
            return _place(field.annotation, is_tagged=field.discriminator is not None)
        origin, arguments = get_origin(self.annotation), get_args(self.annotation)
        if origin in (tuple, list):
            return _place(arguments[0])
        if origin is dict:
            return _place(arguments[1])
        return _Place(None)


def _place(annotation: object, *, is_tagged: bool = False) -> _Place:
    """Look through `Annotated[...]` and `... | None`."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        tagged_here = any(isinstance(item, FieldInfo) and item.discriminator is not None for item in metadata)
        return _place(inner, is_tagged=is_tagged or tagged_here)
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return _place(members[0], is_tagged=is_tagged)
    return _Place(annotation, is_tagged)


def _follow(loc: Path, model: type[BaseModel]) -> tuple[Path, _Place]:
    """The path without tags, and what is expected at the parent of its end (at the end itself for a wrong tag)."""
    path: list[str | int] = []
    place = parent = _Place(model)
    for part in loc:
        variant = place.variant(part)
        if variant is not None:
            place = _Place(variant)
            continue
        parent, place = place, place.below(part)
        path.append(part)
    return tuple(path), parent


# ---- What: one sentence for each type of error ----


def _message(details: ErrorDetails, parent: _Place) -> str:
    """What was wrong and what would be right."""
    kind = details["type"]
    if kind in ("extra_forbidden", "missing"):
        return _field_message(kind, str(details["loc"][-1]), parent)
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}, not {_shown(details['input'])}"
    if kind in _SENTENCES:
        return _SENTENCES[kind](details)
    return details["msg"]


def _field_message(kind: str, name: str, parent: _Place) -> str:
    if kind == "missing":
        return f"the field `{name}` is required"
    return f"unknown field `{name}`{suggestion(name, parent.model.model_fields if parent.model else ())}"


def _shown(value: JsonValue) -> str:
    """A value as the user wrote it, cut to a readable length."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."


def _quoted(listed: str) -> list[str]:
    """The names in pydantic's `'a', 'b' or 'c'`."""
    return [name.strip().strip("'") for name in listed.replace(" or ", ", ").split(",")]


def _bad_choice(details: ErrorDetails) -> str:
    valid = _quoted(details["ctx"]["expected"])
    return f"{_shown(details['input'])} is not valid{suggestion(str(details['input']), valid)}"


def _bad_kind(details: ErrorDetails) -> str:
    tag = details["ctx"]["tag"]
    return f"unknown kind `{tag}`{suggestion(tag, _quoted(details['ctx']['expected_tags']))}"


def _bound(words: str, key: str) -> Callable[[ErrorDetails], str]:
    return lambda details: f"must be {words} {details['ctx'][key]:.15g}, not {_shown(details['input'])}"


def _pattern(details: ErrorDetails) -> str:
    if details["ctx"]["pattern"] == SHA256_PATTERN:
        return f"{_shown(details['input'])} is not a sha256: 64 hex digits in lower case"
    return (
        f"{_shown(details['input'])} is not a valid name: lower-case letters, digits, `.`, `_` and `-`, "
        "beginning with a letter or a digit"
    )


_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}

_SENTENCES: dict[str, Callable[[ErrorDetails], str]] = {
    # The document was decoded and written again: the position would be one in text that the user never saw.
    "json_invalid": lambda details: f"can't be read: {details['ctx']['error'].partition(' at line')[0]}",
    "rule": lambda details: str(details["ctx"]["message"]),
    "value_error": lambda details: str(details["ctx"]["error"]),
    "literal_error": _bad_choice,
    "enum": _bad_choice,
    "union_tag_invalid": _bad_kind,
    "union_tag_not_found": lambda _: "the field `kind` is required: it says which of the possible objects this is",
    "greater_than": _bound("above", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("below", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "string_pattern_mismatch": _pattern,
    "string_too_short": lambda details: f"must have at least {counted(details['ctx']['min_length'], 'character')}",
    "string_too_long": lambda details: f"must have at most {counted(details['ctx']['max_length'], 'character')}",
    "too_short": lambda details: (
        f"must have at least {counted(details['ctx']['min_length'], 'entry', 'entries')}, not {len(details['input']):,}"
        if details["input"] or details["ctx"]["min_length"] > 1
        else "must not be empty"
    ),
    "too_long": lambda details: (
        f"must have at most {counted(details['ctx']['max_length'], 'entry', 'entries')}, "
        f"not {details['ctx']['actual_length']:,}"
        if details["ctx"]["max_length"]
        else "must be empty: nothing is valid here yet"
    ),
}
