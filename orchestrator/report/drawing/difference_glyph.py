"""The differences of one comparison as dots over their interval: a small SVG element for pages."""

from orchestrator.report.drawing.drawn_pairs import MAX_LINES
from orchestrator.report.drawing.interval_glyph import common_scale
from orchestrator.report.drawing.svg import svg
from orchestrator.report.words.numbers import signed, with_unit
from orchestrator.statistics.comparison import Comparison
from trainers.counted import counted

_WIDTH, _AXIS, _STEP, _DOT = 440, 22, 9, 4


def difference_glyph(comparison: Comparison, decimals: int, *, is_interim: bool = False) -> str:
    """A dot for each pair's difference, heaped up where they coincide; below them the intervals and the mean.

    Of many pairs each heap is a bar.

    Args:
        comparison: the numbers.
        decimals: digits after the point.
        is_interim: whether more pairs may come: lines are dashed and the mark hollow then.
    """
    effects = {pair.seed: pair.effect for pair in comparison.pairs if pair.effect is not None}
    low, high = common_scale([comparison], with_pairs=True)

    def x(value: float) -> float:
        return round(30 + (_WIDTH - 60) * (value - low) / (high - low), 1)

    heaps: dict[int, int] = {}
    dots = []
    for seed, effect in sorted(effects.items(), key=lambda each: each[1]):
        place = round(x(effect) / (2 * _DOT))
        heaps[place] = heaps.get(place, 0) + 1
        dots.append((place * 2 * _DOT, heaps[place], seed, effect))
    # So many pairs that a heap would grow out of the page are drawn closer.
    step = min(_STEP, 160 / max([*heaps.values(), 1]))
    ground = 10 + step * max([*heaps.values(), 1])
    height = round(ground + 42 + _AXIS)
    middle = round(ground + 22, 1)
    shapes = [f'<line class="zero" x1="{x(0)}" x2="{x(0)}" y1="0" y2="{height - _AXIS}"/>']
    if len(dots) > MAX_LINES:
        shapes += [
            f'<rect class="dot" x="{(2 * place - 1) * _DOT}" y="{round(ground - step * number, 1)}" '
            f'width="{2 * _DOT}" height="{round(step * number, 1)}"><title>{counted(number, "pair")}</title></rect>'
            for place, number in heaps.items()
        ]
        dots = []
    for place, nth, seed, effect in dots:
        told = f"seed {seed}: {with_unit(signed(effect, decimals), comparison.unit)}"
        centre = f'cx="{place}" cy="{round(ground - step * (nth - 0.5), 1)}"'
        shapes.append(f'<circle class="dot" {centre} r="{_DOT}"><title>{told}</title></circle>')
    dashes = ' stroke-dasharray="5 3"' if is_interim else ""
    for width, ends in (
        (1.5, (comparison.simultaneous_low, comparison.simultaneous_high)),
        (4, (comparison.ci_low, comparison.ci_high)),
    ):
        # Without an interval of its own nothing is known; a simultaneous one may be without ends.
        if comparison.ci_low is not None:
            left, right = x(low if ends[0] is None else ends[0]), x(high if ends[1] is None else ends[1])
            line = f'x1="{left}" x2="{right}" y1="{middle}" y2="{middle}"'
            shapes.append(f'<line class="range" {line} stroke-width="{width}"{dashes}/>')
    if comparison.effect is not None:
        look = "hollow" if is_interim else "filled"
        centre = f'cx="{x(comparison.effect)}" cy="{middle}"'
        told = f"mean {with_unit(signed(comparison.effect, decimals), comparison.unit)}"
        shapes.append(f'<circle class="mark {look}" {centre} r="6"><title>{told}</title></circle>')
    shapes += [
        f'<text x="{x(value)}" y="{height - 6}" text-anchor="middle">{signed(value, decimals)}</text>'
        for value in dict.fromkeys((low, 0.0, high))
        # Not over one another.
        if value == 0 or abs(x(value) - x(0)) > 60
    ]
    words = f"{len(effects)} differences, {comparison.treatment} - {comparison.control}"
    return svg(f"differences {comparison.verdict}", _WIDTH, height, shapes, words=words)
