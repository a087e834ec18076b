"""The pairs of one comparison as lines from control to treatment: a small SVG element for pages."""

from collections.abc import Callable

from markupsafe import escape

from orchestrator.report.drawing.drawn_pairs import drawn_pairs
from orchestrator.report.drawing.svg import svg
from orchestrator.report.words.numbers import fixed, level_unit, signed, with_unit
from orchestrator.statistics.comparison import Comparison, Pair

_WIDTH, _HEIGHT = 340, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 270, 14, 210


def slope_glyph(
    comparison: Comparison,
    decimals: int,
    *,
    link: Callable[[int], str] | None = None,
    chosen: int | None = None,
) -> str:
    """One line a pair: solid where the treatment has the greater value, dashed where the control has; means in bold.

    Hovering tells seed and values; it says what it shows to a screen reader. Colours are the page's.

    Args:
        comparison: its complete pairs are drawn, of many those that `drawn_pairs` chooses.
        decimals: digits after the point.
        link: seed -> address that its line leads to (`None`: lines lead nowhere).
        chosen: seed whose line stands out.
    """
    pairs = drawn_pairs(comparison, also=chosen)
    values = [value for pair in pairs for value in (pair.control, pair.treatment) if value is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    span = high - low or 1.0

    def y(value: float | None) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * ((value or 0.0) - low) / span, 1)

    unit = level_unit(comparison.unit)
    shapes = [
        f'<line class="axis" x1="{x}" x2="{x}" y1="{_TOP - 6}" y2="{_BOTTOM + 6}"/>'
        f'<text x="{x}" y="{_BOTTOM + 24}" text-anchor="middle">{escape(_short(name))}</text>'
        for x, name in ((_LEFT, comparison.control), (_RIGHT, comparison.treatment))
    ]
    shapes += [
        f'<text x="{_LEFT - 8}" y="{y(value) + 4}" text-anchor="end">{fixed(value, decimals)}</text>'
        for value in dict.fromkeys((low, high))
        if values
    ]
    for pair in sorted(pairs, key=lambda pair: pair.seed == chosen):
        shapes.append(_line(pair, y, link, decimals, unit, comparison.unit, is_chosen=pair.seed == chosen))
    if pairs and comparison.control_mean is not None:
        ends = f'y1="{y(comparison.control_mean)}" y2="{y(comparison.treatment_mean)}"'
        shapes.append(f'<line class="mean" x1="{_LEFT}" x2="{_RIGHT}" {ends}><title>means</title></line>')
    words = f"{comparison.num_pairs} pairs, from {comparison.control} to {comparison.treatment}"
    return svg("slopes", _WIDTH, _HEIGHT, shapes, words=words, role="group" if link else "img")


def _line(
    pair: Pair,
    y: Callable[[float | None], float],
    link: Callable[[int], str] | None,
    decimals: int,
    unit: str,
    unit_of_effect: str,
    *,
    is_chosen: bool,
) -> str:
    effect = pair.effect or 0.0
    look = ("up" if effect > 0 else "down" if effect < 0 else "level") + (" chosen" if is_chosen else "")
    told = (
        f"seed {pair.seed}: {fixed(pair.control, decimals)} → {with_unit(fixed(pair.treatment, decimals), unit)}, "
        f"{with_unit(signed(effect, decimals), unit_of_effect)}"
    )
    ends = f'x1="{_LEFT}" x2="{_RIGHT}" y1="{y(pair.control)}" y2="{y(pair.treatment)}"'
    dots = "".join(
        f'<circle cx="{x}" cy="{y(value)}" r="3"/>' for x, value in ((_LEFT, pair.control), (_RIGHT, pair.treatment))
    )
    drawn = f'<g class="pair {look}"><title>{told}</title><line class="reach" {ends}/><line {ends}/>{dots}</g>'
    return drawn if link is None else f'<a href="{escape(link(pair.seed))}" aria-label="{told}">{drawn}</a>'


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"
