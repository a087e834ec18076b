"""What a command is called with: a template of its words, and the values that stand in for names in braces."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

SEED, OUTPUT = "seed", "output"
"""Names that every command is given: its trial's seed, and the folder that it runs in and may write to."""
GIVEN = frozenset({SEED, OUTPUT})

Scalar = bool | int | float | str
Argument = Scalar | list[Scalar]
"""A list stands for several words of the command line, or none."""

_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")


def _refuse_given(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ValueError(f"{name!r} is not a name of an argument: letters, digits and `_`, such as `weight_decay`")
    if name in GIVEN:
        raise ValueError(f"`{name}` is given to every command; call the argument otherwise")
    return name


Arguments = Annotated[dict[Annotated[str, AfterValidator(_refuse_given)], Argument], Field(max_length=64)]


def names_in(argv: Sequence[str]) -> list[str]:
    """Names in braces, in their order, each once."""
    return list(dict.fromkeys(name for word in argv for name in _PLACE.findall(word)))


def lists_within_words(argv: Sequence[str], values: Mapping[str, Argument]) -> list[str]:
    """Names of lists that stand in the midst of a word, where there is room for one value only."""
    inside = names_in([word for word in argv if _PLACE.fullmatch(word) is None])
    return [name for name in inside if isinstance(values.get(name), list)]


def command_line(argv: Sequence[str], values: Mapping[str, Argument]) -> list[str]:
    """The words of a call.

    Args:
        argv: the template: `{lr}` stands for the value of `lr`; a word that is nothing else takes a list, too.
        values: of every name in it.
    """
    words: list[str] = []
    for word in argv:
        whole = _PLACE.fullmatch(word)
        value = values[whole[1]] if whole is not None else None
        if isinstance(value, list):
            words += map(_text, value)
        else:
            words.append(_PLACE.sub(lambda found: _text(values[found[1]]), word))
    return words


def _text(value: Argument) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
