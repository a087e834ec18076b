"""An object of the user's own code, as a config names it: `{"target": "mylab.vit:MyViT", "arguments": {...}}`."""

import json
import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, WithJsonSchema

from trainers.strict import StrictModel

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_OBJECT = {"target", "arguments"}


def _as_a_target(written: str) -> str:
    if not _TARGET.fullmatch(written):
        raise ValueError(
            f"{written!r} does not name an object: write the module, a colon and the name in it, as `mylab.vit:MyViT`"
        )
    return written


Target = Annotated[
    str,
    Field(max_length=200),
    AfterValidator(_as_a_target),
    WithJsonSchema({"type": "string", "pattern": rf"^{_TARGET.pattern}$".replace(r"[^\W\d]", "[A-Za-z_]")}),
]
"""`module:name`, dots allowed in both."""


def is_target(text: str) -> bool:
    """Whether a text has the form of a target."""
    return _TARGET.fullmatch(text) is not None


class OwnCodeUser(StrictModel):
    """A part of a config that names code of the user's own."""

    @property
    def own_modules(self) -> Iterator[str]:
        """Modules that it names."""
        yield from ()


class PythonObject(OwnCodeUser):
    """What a class or function of the user's own makes of some arguments."""

    target: Target
    """A class, or a function, by module and name: `mylab.vit:MyViT`. Its module lies in the folder that the
    experiment's `code` names, or is installed."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict, max_length=64)
    """What it is called with, by name. An argument that is an object again is written as
    `{"target": "mylab.norms:RMSNorm", "arguments": {...}}`."""

    def __hash__(self) -> int:
        """Of the whole config: its arguments are a dict, which has no hash."""
        return hash(self.model_dump_json())

    @property
    def own_modules(self) -> Iterator[str]:
        """Modules that hold its target and those among its arguments."""
        yield self.target.partition(":")[0]
        for target in _targets_in(self.arguments):
            yield target.partition(":")[0]

    @property
    def name(self) -> str:
        """The last part of its target."""
        return _last_name(self.target)

    @property
    def written_name(self) -> str:
        """Its name and arguments, for tables and paths."""
        return "_".join([self.name, *(_mark(name, value) for name, value in self.arguments.items())])


def is_object(value: JsonValue) -> bool:
    """Whether an argument stands for an object of the user's code."""
    return isinstance(value, dict) and "target" in value and value.keys() <= _OBJECT and _names_one(value["target"])


def _last_name(target: str) -> str:
    return target.rpartition(":")[2].rpartition(".")[2]


def _mark(name: str, value: JsonValue) -> str:
    if is_object(value):
        assert isinstance(value, dict)
        value = _last_name(str(value["target"]))
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{name}{'_' if isinstance(value, str) else ''}{re.sub(r'[^A-Za-z0-9.]+', '-', text).strip('-')[:40]}"


def _names_one(target: JsonValue) -> bool:
    return isinstance(target, str) and is_target(target)


def _targets_in(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        if is_object(value):
            yield str(value["target"])
        for inner in value.values():
            yield from _targets_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _targets_in(inner)


def own_modules_of(value: object) -> Iterator[str]:
    """Modules of the user's own that a config names anywhere."""
    for user in _users_in(value):
        yield from user.own_modules


def _users_in(value: object) -> Iterator[OwnCodeUser]:
    if isinstance(value, OwnCodeUser):
        yield value
    if isinstance(value, StrictModel):
        for part in vars(value).values():
            yield from _users_in(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _users_in(part)


def objects_in(value: object) -> Iterator[PythonObject]:
    """Objects of the user's own that a config names anywhere, but for those among arguments."""
    return (user for user in _users_in(value) if isinstance(user, PythonObject))
