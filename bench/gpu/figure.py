"""One measured figure, and how two things are compared: in turns, in one process, as a ratio."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A number with its spread."""

    what: str
    value: float
    low: float
    """Lower quartile over rounds."""
    high: float
    """Upper quartile over rounds."""
    unit: str = "x"
    """`x` is a ratio."""
    note: str = ""
    goal: str = ""
    """What we aim at, in words (empty: nothing is claimed)."""


def of_rounds(what: str, values: list[float], **facts: str) -> Figure:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Figure(what, middle, low, high, **facts)


def in_turns(
    what: str, numerator: Callable[[], float], denominator: Callable[[], float], *, rounds: int, **facts: str
) -> Figure:
    """The ratio of two measurements that take turns: whatever slows the machine for a while slows both."""
    numerator(), denominator()
    return of_rounds(what, [numerator() / denominator() for _ in range(rounds)], **facts)
