"""One interval as a small inline SVG, for a table's cell."""

from collections.abc import Sequence

from orchestrator.report.content import Report
from orchestrator.report.figures import VERDICT_COLORS
from orchestrator.report.numbers import fixed, percent, signed
from orchestrator.statistics.comparison import Comparison

_WIDTH, _HEIGHT = 130, 24


def common_range(comparisons: Sequence[Comparison]) -> tuple[float, float]:
    """The range that all intervals of a table share, with 0 in it and a margin, so that rows can be compared."""
    ends = [0.0]
    for comparison in comparisons:
        ends += [end for end in (comparison.ci_low, comparison.effect, comparison.ci_high) if end is not None]
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def interval_svg(comparison: Comparison, report: Report) -> str:
    """A line from end to end, a mark at the effect, a rule at 0; says the same in words to a screen reader."""
    low, high = common_range(report.comparisons)

    def x(value: float) -> float:
        return round(_WIDTH * (value - low) / (high - low), 1)

    middle, color = _HEIGHT / 2, VERDICT_COLORS[comparison.verdict]
    shapes = [f'<line class="zero" x1="{x(0)}" x2="{x(0)}" y1="0" y2="{_HEIGHT}"/>']
    words = f"effect {signed(comparison.effect, report.decimals)}"
    if comparison.ci_low is not None and comparison.ci_high is not None:
        ends = f'x1="{x(comparison.ci_low)}" x2="{x(comparison.ci_high)}" y1="{middle}" y2="{middle}"'
        shapes.append(f'<line {ends} stroke="{color}" stroke-width="3"/>')
        ends_in_words = f"{fixed(comparison.ci_low, report.decimals)} to {fixed(comparison.ci_high, report.decimals)}"
        words += f", {percent(report.confidence)} interval {ends_in_words}"
    if comparison.effect is not None:
        place = f'cx="{x(comparison.effect)}" cy="{middle}"'
        shapes.append(f'<circle {place} r="5" fill="{color}" stroke="#fff" stroke-width="1.5"/>')
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f'<svg class="interval" {size} role="img" aria-label="{words}">{"".join(shapes)}</svg>'
