"""Means over epochs as lines, each in the band that its seeds take up: an SVG element for pages."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import escape

from orchestrator.report.drawing.svg import svg
from trainers.counted import counted

_LEFT, _RIGHT, _TOP, _BOTTOM, _WIDTH, _HEIGHT = 48, 400, 8, 178, 484, 200
_MAX_POINTS = 120
_NUM_LOOKS = 6


class Band(NamedTuple):
    """One line."""

    name: str
    epochs: Sequence[int]
    """Epochs trained (0: before training)."""
    seeds: Sequence[Sequence[float]]
    """Each seed's value at each of these epochs."""


def band_glyph(bands: Sequence[Band], *, title: str) -> str:
    """Lines differ by dashes as well as by colour, and are named at their end; hovering tells first and last number.

    Args:
        bands: at least one, each with an epoch and a seed.
        title: for who does not see it.
    """
    values = [value for band in bands for seed in band.seeds for value in seed]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin
    last = max(max(band.epochs) for band in bands) or 1

    def x(epoch: int) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * epoch / last, 1)

    def y(value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * (value - low) / (high - low), 1)

    shapes = [
        f'<line class="axis" x1="{_LEFT}" x2="{_RIGHT}" y1="{y(value)}" y2="{y(value)}"/>'
        f'<text x="{_LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value:.3g}</text>'
        for value in (low + margin, (low + high) / 2, high - margin)
    ]
    shapes.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">before training</text>')
    after = f"after {counted(last, 'epoch')}"
    shapes.append(f'<text x="{_RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">{after}</text>')
    labels = _apart([y(_mean(band, len(band.epochs) - 1)) for band in bands])
    for nth, band in enumerate(bands):
        step = max(1, len(band.epochs) // _MAX_POINTS)
        places = sorted({*range(0, len(band.epochs), step), len(band.epochs) - 1})
        upper = [f"{x(band.epochs[place])},{y(max(seed[place] for seed in band.seeds))}" for place in places]
        lower = [f"{x(band.epochs[place])},{y(min(seed[place] for seed in band.seeds))}" for place in places]
        line = " ".join(f"{x(band.epochs[place])},{y(_mean(band, place))}" for place in places)
        told = f"{band.name}: {_mean(band, 0):.4g} → {_mean(band, len(band.epochs) - 1):.4g}"
        shapes.append(
            f'<g class="band look{nth % _NUM_LOOKS}"><title>{escape(told)}</title>'
            f'<polygon points="{" ".join([*upper, *reversed(lower)])}"/><polyline points="{line}"/>'
            f'<text x="{_RIGHT + 6}" y="{labels[nth] + 4}">{escape(band.name)}</text></g>'
        )
    # Names that are moved apart may need more room than the lines.
    height = round(max(_HEIGHT, max(labels) + 12))
    return svg("bands", _WIDTH, height, shapes, words=title)


def _mean(band: Band, place: int) -> float:
    return sum(seed[place] for seed in band.seeds) / len(band.seeds)


def _apart(heights: Sequence[float], distance: float = 13) -> list[float]:
    """Labels from the top down, none over another."""
    placed = list(heights)
    order = sorted(range(len(placed)), key=lambda nth: placed[nth])
    for above, below in pairwise(order):
        placed[below] = max(placed[below], placed[above] + distance)
    return placed
