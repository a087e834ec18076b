"""One interval as a small SVG element: for a cell of a table, in the report's page and on the service's."""

from collections.abc import Sequence

from orchestrator.report.drawing.svg import svg
from orchestrator.report.words.numbers import fixed, percent, signed
from orchestrator.statistics.comparison import Comparison, Verdict

_WIDTH, _HEIGHT = 130, 24
_MARKS = {
    Verdict.IMPROVED: "M0-6 6 0 0 6-6 0z",
    Verdict.WORSE: "M-5-3-3-5 0-2 3-5 5-3 2 0 5 3 3 5 0 2-3 5-5 3-2 0z",
    Verdict.LARGER: "M0-6 6 5-6 5z",
    Verdict.SMALLER: "M0 6 6-5-6-5z",
    Verdict.SUGGESTIVE: "M0-6 4 0 0 6-4 0z",
    Verdict.EQUIVALENT: "M-5-5 5-5 5 5-5 5z",
    Verdict.INCONCLUSIVE: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
}
"""Outlines around the effect; the same shapes as in figures (`VERDICT_MARKS`)."""

Scale = tuple[float, float]
"""Least and greatest effect that a row of glyphs has room for."""


def common_scale(comparisons: Sequence[Comparison], *, with_pairs: bool = False) -> Scale:
    """The range that all intervals of a table share, with 0 in it and a margin, so that rows can be compared.

    Args:
        comparisons: the rows.
        with_pairs: whether there must be room for the effect of every pair, too.
    """
    ends = [0.0]
    for comparison in comparisons:
        found = (comparison.ci_low, comparison.effect, comparison.ci_high)
        simultaneous = (comparison.simultaneous_low, comparison.simultaneous_high)
        ends += [end for end in (*found, *simultaneous) if end is not None]
        if with_pairs:
            ends += [pair.effect for pair in comparison.pairs if pair.effect is not None]
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def interval_glyph(comparison: Comparison, scale: Scale, decimals: int, *, is_interim: bool = False) -> str:
    """A thick line for the single interval, a thin one for the simultaneous, a mark at the effect, a rule at 0.

    It says the same in words to a screen reader. Colours are those that the page gives the verdict's class, and what it
    calls `--paper`.

    Args:
        comparison: the numbers.
        scale: see `common_scale`.
        decimals: digits after the point.
        is_interim: whether more pairs may come: the line is dashed and the mark hollow then.
    """
    low, high = scale

    def x(value: float) -> float:
        return round(_WIDTH * (value - low) / (high - low), 1)

    middle = _HEIGHT // 2
    shapes = [f'<line class="zero" x1="{x(0)}" x2="{x(0)}" y1="0" y2="{_HEIGHT}"/>']
    if comparison.ci_low is not None and comparison.ci_high is not None:
        dashes = ' stroke-dasharray="4 2"' if is_interim else ""
        ends = f'x1="{x(comparison.ci_low)}" x2="{x(comparison.ci_high)}" y1="{middle}" y2="{middle}"'
        shapes.append(f'<line {ends} stroke="currentColor" stroke-width="3"{dashes}/>')
        whole = (comparison.simultaneous_low, comparison.simultaneous_high)
        outer = [x(low if whole[0] is None else whole[0]), x(high if whole[1] is None else whole[1])]
        thin = f'x1="{outer[0]}" x2="{outer[1]}" y1="{middle}" y2="{middle}"'
        shapes.append(f'<line {thin} stroke="currentColor" stroke-width="1"/>')
    if comparison.effect is not None:
        place = f'transform="translate({x(comparison.effect)} {middle})"'
        look = "hollow" if is_interim else "filled"
        shapes.append(f'<path class="mark {look}" d="{_MARKS[comparison.verdict]}" {place}/>')
    words = _in_words(comparison, decimals)
    if is_interim:
        words = f"interim: {words}"
    return svg(f"interval {comparison.verdict}", _WIDTH, _HEIGHT, shapes, words=words)


def _in_words(comparison: Comparison, decimals: int) -> str:
    if comparison.effect is None:
        return "no effect yet"
    words = f"effect {signed(comparison.effect, decimals)}"
    if comparison.ci_low is None or comparison.ci_high is None:
        return words
    ends = f"{fixed(comparison.ci_low, decimals)} to {fixed(comparison.ci_high, decimals)}"
    words += f", {percent(comparison.confidence)} interval {ends}"
    simultaneous = comparison.simultaneous_text(lambda end: fixed(end, decimals))
    return words + (f", simultaneous {simultaneous}" if simultaneous else ", nothing bounds it simultaneously")
