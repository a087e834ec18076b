"""Labels of arms: what people read in place of an arm's name, which stays the key of all that is stored or asked for.

Knows fields, not classes: the command line reads reports by its own light ones, and labels them likewise.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from pydantic import BaseModel


class NamedArm(Protocol):
    """An arm of a spec or a report."""

    @property
    def name(self) -> str:
        """Its key."""

    @property
    def label(self) -> str | None:
        """What people read in its place (`None`: the name)."""


Part = TypeVar("Part", bound=BaseModel)

_NAMING_FIELDS = frozenset({"arm", "treatment", "control", "placebo"})
"""Fields that hold an arm's name, where they hold text."""


def arm_labels(arms: Iterable[NamedArm]) -> dict[str, str]:
    """Name -> label of the arms that have one."""
    return {arm.name: arm.label for arm in arms if arm.label is not None}


def labelled(part: Part, labels: Mapping[str, str]) -> Part:
    """A report, a spec or a part of them with labels in place of names, wherever it names an arm.

    Args:
        part: it stays as it is.
        labels: see `arm_labels`; without any, `part` itself comes back.
    """
    if not labels:
        return part
    shown = {field: _shown(field, value, labels) for field, value in part}
    return part.model_copy(update=shown)


def _shown(field: str, value: object, labels: Mapping[str, str]) -> object:
    match value:
        case str():
            return _text(field, value, labels)
        case BaseModel():
            return labelled(value, labels)
        case tuple() if field == "arms":
            return tuple(arm.model_copy(update={"name": labels.get(arm.name, arm.name)}) for arm in value)
        case tuple() if any(isinstance(each, BaseModel) for each in value):
            return tuple(labelled(each, labels) if isinstance(each, BaseModel) else each for each in value)
        case dict() if field == "data_found":
            return {_place(place, labels): line for place, line in value.items()}
        case dict() if field == "values":
            return {text: tuple(_place(place, labels) for place in places) for text, places in value.items()}
    return value


def _text(field: str, text: str, labels: Mapping[str, str]) -> str:
    if field in _NAMING_FIELDS:
        return labels.get(text, text)
    if field == "missing_because":
        # `control: failed (...); gaussian: cancelled`
        return re.sub(r"(^|; )([^ :]+)(?=: )", lambda found: found[1] + labels.get(found[2], found[2]), text)
    return text


def _place(text: str, labels: Mapping[str, str]) -> str:
    """`<model>/<data set>/<arm>`; labels have no slash, so what has fewer names no arm."""
    cell, _, arm = text.rpartition("/")
    return f"{cell}/{labels[arm]}" if "/" in cell and arm in labels else text
