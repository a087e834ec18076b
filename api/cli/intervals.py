"""Intervals drawn in one line of text, all of a table on one scale."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

WIDTH = 27


class Interval(NamedTuple):
    """An effect between the ends of its interval."""

    low: float
    middle: float
    high: float


def draw_intervals(intervals: Sequence[Interval | None], width: int = WIDTH) -> list[str]:
    """One drawing each: `├──●──┤` for the interval, `┊` for no effect (`None`: only the `┊`).

    The scale reaches from the lowest to the highest end, zero included.
    """
    ends = [0.0, *(end for interval in intervals if interval for end in interval)]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def column(value: float) -> int:
        return round((value - low) / span * (width - 1))

    return [_draw(interval, column(0.0), width, column) for interval in intervals]


def _draw(interval: Interval | None, zero: int, width: int, column: Callable[[float], int]) -> str:
    line = [" "] * width
    if interval is not None:
        first, last = column(interval.low), column(interval.high)
        line[first : last + 1] = "─" * (last - first + 1)
        line[first], line[last] = "├", "┤"
    line[zero] = "┼" if line[zero] == "─" else "┊" if line[zero] == " " else line[zero]
    if interval is not None:
        line[column(interval.middle)] = "●"
    return "".join(line)
