"""Where a searched value stands on an axis of its own, whatever it is drawn with."""

import math

from orchestrator.search.space import Choice, Distribution, LogUniform

_MAX_TICKS = 10


def height_of(distribution: Distribution, value: object) -> float:
    """Where a value stands between the ends of its distribution, from 0 to 1."""
    if isinstance(distribution, Choice):
        return _choice_height(distribution, distribution.values.index(value))
    low, high, number = distribution.low, distribution.high, float(value)  # type: ignore[arg-type]
    if isinstance(distribution, LogUniform):
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low)


def _choice_height(choice: Choice, index: int) -> float:
    return index / (len(choice.values) - 1) if len(choice.values) > 1 else 0.5


def marks_of(distribution: Distribution) -> list[tuple[float, str]]:
    """Place and text of what is written beside the axis: the ends, or what may be chosen."""
    if isinstance(distribution, Choice):
        step = -(-len(distribution.values) // _MAX_TICKS)
        return [
            (_choice_height(distribution, index), short_text(value))
            for index, value in enumerate(distribution.values)
            if index % step == 0
        ]
    return [(0.0, f"{distribution.low:.3g}"), (1.0, f"{distribution.high:.3g}")]


def short_text(value: object) -> str:
    """A listed value in few letters: an object by its `kind`."""
    if isinstance(value, dict):
        value = value.get("kind", value)
    text = f"{value:g}" if is_number(value) else str(value)
    return text if len(text) <= 14 else f"{text[:13]}…"


def is_number(value: object) -> bool:
    """Whether it is one that has a place on a line."""
    return isinstance(value, int | float) and not isinstance(value, bool)
