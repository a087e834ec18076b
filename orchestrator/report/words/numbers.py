"""How numbers are written: as many digits as the interval justifies, never more."""

import math
import statistics
from collections.abc import Iterable

from orchestrator.statistics.comparison import Comparison

MISSING = "-"
"""What a table shows where there is no number."""

MAX_DECIMALS = 6
"""A loss in nats may differ by less than any accuracy can."""

_NO_WIDTH = 1e-9


def decimals_for(comparisons: Iterable[Comparison]) -> int:
    """Digits after the point for a whole report: two significant digits of the middle interval's half-width.

    More where that would round an interval that excludes 0 onto 0: no row may contradict its verdict. One number for
    all rows, so that columns line up. At least 1, at most `MAX_DECIMALS`.
    """
    known = list(comparisons)
    intervals = [
        (comparison.ci_low, comparison.ci_high)
        for comparison in known
        if comparison.ci_low is not None and comparison.ci_high is not None
    ]
    middle = statistics.median_low((high - low) / 2 for low, high in intervals) if intervals else 0.0
    # An interval without width (all pairs equal) justifies no digit.
    decimals = 1 if middle < _NO_WIDTH else min(MAX_DECIMALS, max(1, 1 - math.floor(math.log10(middle))))
    nearest_to_zero = [min(abs(low), abs(high)) for low, high in intervals if low > 0 or high < 0]
    for each in known:
        ends = (each.simultaneous_low, each.simultaneous_high) if each.is_confirmed else ()
        # An end of exactly 0 is written as one that is left out.
        nearest_to_zero += [abs(end) for end in ends if end]
    while decimals < MAX_DECIMALS and any(round(end, decimals) == 0 for end in nearest_to_zero):
        decimals += 1
    return decimals


def fixed(value: float | None, decimals: int) -> str:
    """`51.2`; a dash for a value that is not there; never `-0.0`; `1.0e-12` for what the most digits would call 0."""
    if value is None:
        return MISSING
    if decimals >= MAX_DECIMALS and value and round(value, decimals) == 0:
        return f"{value:.1e}"
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def signed(value: float | None, decimals: int) -> str:
    """`+7.2`, `-0.4`, `0.0`."""
    text = fixed(value, decimals)
    if value is None or text.startswith("-") or float(text) == 0:
        return text
    return f"+{text}"


def mean_sd(mean: float | None, sd: float | None, decimals: int, *, plus_minus: str = "±") -> str:
    """`51.2 ± 6.3`; without the spread if one value has none."""
    if mean is None or sd is None:
        return fixed(mean, decimals)
    return f"{fixed(mean, decimals)} {plus_minus} {fixed(sd, decimals)}"


def percent(fraction: float) -> str:
    """`95 %` for a confidence of 0.95."""
    return f"{100 * fraction:g} %"


def level_unit(unit: str) -> str:
    """Unit of a mean whose difference has `unit`: percentage points are differences of percentages."""
    return "%" if unit == "pp" else unit


def with_unit(text: str, unit: str) -> str:
    """`+7.2 pp`; a metric without a unit stays a bare number."""
    return f"{text} {unit}" if unit else text


def duration(seconds: float) -> str:
    """`42 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def params_text(params: dict[str, object]) -> str:
    """`attention_bias.sigma = 2.13`."""
    return ", ".join(
        f"{path} = {value:.4g}" if isinstance(value, float) else f"{path} = {value}"
        for path, value in sorted(params.items())
    )


def interval(low: float | None, high: float | None, decimals: int) -> str:
    """`[5.1, 9.3]`."""
    return MISSING if low is None or high is None else f"[{fixed(low, decimals)}, {fixed(high, decimals)}]"


def in_unit(unit: str) -> str:
    """` (pp)`, behind the name of a column; nothing without a unit."""
    return f" ({unit})" if unit else ""
