"""Receptive fields as pictures: rows of maps on one scale, and how each differs from the first.

Maps are in multiples of an even spread over the picture (1: what each pixel had if the model saw everything alike), so
that a colour means the same for every size of picture. Nothing here knows where maps come from: reports, trials' runs
and the command `receptive-field` turn their data into rows.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.patheffects import Normal, Stroke

from orchestrator.report.content.receptive_fields import Array
from orchestrator.report.drawing.paper import Paper
from orchestrator.report.drawing.text_width import fitted, text_height
from orchestrator.report.sections.receptive_fields.captions import LEGEND, r_squared_text
from orchestrator.report.sections.receptive_fields.choice import MAX_BESIDE
from orchestrator.report.words.answers import NO_GAUSSIAN
from trainers.analyses.gaussian_fit import GaussianFit
from trainers.analyses.map_metrics import ReceptiveFieldMetrics

_PANEL, _GAP, _BLOCK_GAP, _BORDER = 1.6, 0.12, 0.35, 0.15
_LABEL, _MIN_WIDTH = 1.25, 4.2
_TITLE, _NORMAL, _SMALL = 10.0, 8.5, 7.5
_BAR, _BELOW_BAR, _BETWEEN = 0.09, 0.34, 0.14
_INK, _FAINT, _ELLIPSE = "#1A1A1A", "#6B6B6B", "#56B4E9"
_BRIGHTEST = 0.999
_NOISE, _FAINTEST = 1e-6, 1e-4
"""Of the brightest density: smaller differences are rounding; no scale of differences ends below the second."""
_WIDE_BAR, _LARGE = 2.5, 100


class FieldTile(NamedTuple):
    """One receptive field."""

    map: Array
    """[H, W], not negative, sum 1."""
    target: tuple[int, int]
    """Row and column of the token that is looked at."""
    grid: tuple[int, int]
    """Height and width of the token grid."""
    metrics: ReceptiveFieldMetrics | None
    """What it measures (`None`: nothing could be fitted)."""

    @property
    def density(self) -> Array:
        """[H, W], mean 1."""
        values: Array = self.map * self.map.size
        return values

    @property
    def token_px(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the token, in pixels; pixel 0 is centred on 0."""
        height, width = (self.map.shape[axis] / self.grid[axis] for axis in (0, 1))
        return self.target[1] * width - 0.5, self.target[0] * height - 0.5, width, height


class FieldRow(NamedTuple):
    """Maps on one scale, which can be compared with each other."""

    label: str
    """On the left, such as `before training`; empty for none."""
    tiles: Mapping[str, FieldTile]
    """By the name of their column."""
    differences: Mapping[str, Array] | None = None
    """[H, W] by the name of their column, where they are known better than by subtracting one tile's map from another,
    as a mean over pairs is (`None`: they are not)."""


class _Block(NamedTuple):
    """The maps of a row, or their differences: panels on one scale, with its colour bar below."""

    panels: Mapping[str, FieldTile | None]
    """By what is written above them."""
    values: Mapping[str, Array]
    """What is drawn, where there is something."""
    missing: Mapping[str, str]
    """What stands where nothing is drawn."""
    is_map: bool
    """Else differences."""
    largest: float
    """Where the scale ends."""


def draw_fields(
    rows: Sequence[FieldRow],
    columns: Sequence[str],
    *,
    reference: str | None = None,
    title: str = "",
    note: str = "",
) -> Figure:
    """Maps row by row, then (beside them or, where they are many, below) the differences from one column.

    Args:
        rows: what to draw.
        columns: from left to right.
        reference: column from which the others' differences are drawn (`None`: no differences).
        title: above everything; wrapped.
        note: what else must be known, such as what is not shown; said below.
    """
    differing = [name for name in columns if name != reference] if reference in columns else []
    num_panels = len(columns) + len(differing)
    is_beside = num_panels <= MAX_BESIDE
    bands = [band for row in rows for band in _bands(row, columns, differing, reference, is_beside=is_beside)]
    left = _BORDER + (_LABEL if any(row.label for row in rows) else 0.0)
    across = min(num_panels, MAX_BESIDE)
    width = max(_MIN_WIDTH, left + across * (_PANEL + _GAP) + _BORDER + (_BLOCK_GAP if is_beside and differing else 0))
    above = fitted(title, _TITLE, width - 2 * _BORDER)
    below = fitted(f"{LEGEND}\n{note}".strip(), _SMALL, width - 2 * _BORDER)
    top = _BORDER + text_height(above, _TITLE)
    height = top + sum(band.height for band in bands) + 0.1 + text_height(below, _SMALL) + _BORDER
    paper = Paper.of_size(width, height)
    paper.write(_BORDER, _BORDER, above, _TITLE, va="top")
    for band in bands:
        _draw_band(paper, band, left, top)
        top += band.height
    if not bands:
        paper.write(width / 2, top, "no maps", _NORMAL, ha="center", va="top")
    paper.write(_BORDER, top + 0.1, below, _SMALL, va="top", color=_FAINT)
    return paper.figure


class _Band(NamedTuple):
    """One line of panels: parts of one block, or both blocks of a row."""

    label: str
    parts: Sequence[tuple[_Block, Sequence[str]]]
    """Blocks, and which of their panels."""
    has_bars: bool
    """Whether the blocks end here."""
    titles: Mapping[str, str]
    """Above the panels, in lines."""

    @property
    def title_height(self) -> float:
        """Of the longest."""
        return 0.06 + max(text_height(text, _NORMAL) for text in self.titles.values())

    @property
    def height(self) -> float:
        """With all texts and what is left free below."""
        remarks = 0.04 + text_height("1", _SMALL)
        bars = 0.06 + _BAR + _BELOW_BAR if self.has_bars else 0.0
        content = self.title_height + _PANEL + remarks + bars
        return max(content, self.title_height + text_height(self.label, _NORMAL)) + _BETWEEN


def _bands(
    row: FieldRow, columns: Sequence[str], differing: Sequence[str], reference: str | None, *, is_beside: bool
) -> Iterator[_Band]:
    label = fitted(row.label, _NORMAL, _LABEL - 0.1)
    blocks = [_map_block(row, columns)]
    if differing and reference is not None:
        blocks.append(_difference_block(row, differing, reference))
    titles = {name: fitted(name, _NORMAL, _PANEL) for block in blocks for name in block.panels}
    if is_beside:
        yield _Band(label, [(block, list(block.panels)) for block in blocks], True, titles)
        return
    for place, block in enumerate(blocks):
        names = list(block.panels)
        for start in range(0, len(names), MAX_BESIDE):
            part = names[start : start + MAX_BESIDE]
            is_first, is_last = place == start == 0, start + MAX_BESIDE >= len(names)
            yield _Band(label if is_first else "", [(block, part)], is_last, {name: titles[name] for name in part})


def _map_block(row: FieldRow, columns: Sequence[str]) -> _Block:
    panels = {name: row.tiles.get(name) for name in columns}
    values = {name: tile.density for name, tile in panels.items() if tile is not None}
    return _Block(panels, values, dict.fromkeys(columns, "no map"), True, _brightest(row))


def _brightest(row: FieldRow) -> float:
    return max((_largest(tile.density, tile) for tile in row.tiles.values()), default=1.0)


def _difference_block(row: FieldRow, differing: Sequence[str], reference: str) -> _Block:
    base = row.tiles.get(reference)
    panels: dict[str, FieldTile | None] = {}
    values, missing, largest = {}, {}, _FAINTEST * _brightest(row)
    for name in differing:
        title, tile = f"{name} − {reference}", row.tiles.get(name)
        panels[title] = None
        if tile is None or base is None:
            missing[title] = "no map"
        elif (tile.map.shape, tile.grid) != (base.map.shape, base.grid):
            missing[title] = "another grid"
        elif row.differences is not None and name not in row.differences:
            missing[title] = "no pair"
        else:
            difference = tile.map - base.map if row.differences is None else row.differences[name]
            panels[title], values[title] = tile, difference * difference.size
            largest = max(largest, _largest(np.abs(values[title]), tile))
    return _Block(panels, values, missing, False, largest)


def _draw_band(paper: Paper, band: _Band, left: float, top: float) -> None:
    top += band.title_height
    paper.write(_BORDER, top, band.label, _NORMAL, va="top")
    for block, names in band.parts:
        start, image = left, None
        for name in names:
            paper.write(left + _PANEL / 2, top - 0.04, band.titles[name], _NORMAL, ha="center")
            axes = paper.axes(left, top, _PANEL, _PANEL)
            image = _draw_panel(axes, block, name) or image
            remark = _remark(block, name)
            paper.write(left + _PANEL / 2, top + _PANEL + 0.04, remark, _SMALL, ha="center", va="top")
            left += _PANEL + _GAP
        if band.has_bars and image is not None:
            width = min(2, len(names)) * (_PANEL + _GAP) - _GAP
            _color_bar(paper, image, start, top + _PANEL + 0.1 + text_height("1", _SMALL), width)
        left += _BLOCK_GAP - _GAP


def _draw_panel(axes: Axes, block: _Block, name: str) -> AxesImage | None:
    axes.set_xticks([])
    axes.set_yticks([])
    tile, values = block.panels[name], block.values.get(name)
    if tile is None or values is None:
        axes.text(
            0.5, 0.5, block.missing[name], transform=axes.transAxes, ha="center", va="center", fontsize=8, color=_FAINT
        )
        return None
    if block.is_map:
        norm, colors = FuncNorm((np.sqrt, np.square), vmin=0, vmax=block.largest, clip=True), "magma"
    else:
        norm = FuncNorm((_signed_root, _signed_square), vmin=-block.largest, vmax=block.largest, clip=True)
        colors = "RdBu_r"
    image = axes.imshow(values, cmap=colors, norm=norm, interpolation="nearest")
    left, top, width, height = tile.token_px
    token = Rectangle((left, top), width, height, fill=False, ec="white" if block.is_map else _INK, lw=0.9)
    # Seen on dark and bright pixels alike.
    token.set_path_effects([Stroke(linewidth=2.0, foreground=_INK if block.is_map else "white"), Normal()])
    axes.add_patch(token)
    if block.is_map and tile.metrics is not None:
        axes.add_patch(_ellipse(tile.metrics.fit_px))
    return image


def _largest(values: Array, tile: FieldTile) -> float:
    """Where the scale ends: the token's own pixels, which its residual path lights up, may lie beyond."""
    left, top, width, height = tile.token_px
    outside = np.ones(values.shape, dtype=bool)
    outside[round(top + 0.5) : round(top + height + 0.5), round(left + 0.5) : round(left + width + 0.5)] = False
    shown = values[outside] if outside.any() else values
    return float(np.quantile(shown, _BRIGHTEST)) or float(values.max()) or 1.0


def _signed_root(values: Array) -> Array:
    rooted: Array = np.sign(values) * np.sqrt(np.abs(values))
    return rooted


def _signed_square(values: Array) -> Array:
    squared: Array = np.sign(values) * np.square(values)
    return squared


def _ellipse(fit: GaussianFit) -> Ellipse:
    """At one sigma, dotted where the map is not a Gaussian."""
    style = "-" if fit.is_gaussian else ":"
    center = (fit.center_x, fit.center_y)
    return Ellipse(center, 2 * fit.sigma_x, 2 * fit.sigma_y, fill=False, ec=_ELLIPSE, lw=1.5, ls=style)


def _remark(block: _Block, name: str) -> str:
    tile = block.panels[name]
    if tile is None:
        return ""
    if not block.is_map:
        values = block.values[name]
        return "no difference" if np.abs(values).max() <= _NOISE * tile.density.max() else ""
    if tile.metrics is None:
        return "nothing to fit"
    across, down, fit = tile.metrics.sigma_x_tokens, tile.metrics.sigma_y_tokens, tile.metrics.fit_px
    width = f"σ {across:.1f} × {down:.1f}" if fit.is_gaussian else NO_GAUSSIAN
    return f"{width}, R² {r_squared_text(fit)}".replace("-", "−")


def _color_bar(paper: Paper, image: AxesImage, left: float, top: float, width: float) -> None:
    """Below its own panels: beside them, its label would seem to be the axis of the next ones."""
    low, high = image.get_clim()
    is_map = low == 0
    axes = paper.axes(left, top, width, _BAR)
    extend = "max" if is_map else "both"
    bar = paper.figure.colorbar(image, cax=axes, orientation="horizontal", extend=extend, extendfrac=0.04)
    bar.set_label("density (1: even)" if is_map else "difference of densities", fontsize=_SMALL, labelpad=1)
    top_tick = _rounded_down(high)
    parts = (0.0, 0.25, 1.0) if is_map or width > _WIDE_BAR else (0.0, 1.0)
    ticks = sorted({sign * part * top_tick for part in parts for sign in ((1,) if is_map else (-1, 1))})
    bar.set_ticks(ticks, labels=[_tick_text(tick) for tick in ticks])
    bar.ax.tick_params(labelsize=_SMALL - 0.5, length=2, pad=1.5)
    bar.minorticks_off()


def _tick_text(value: float) -> str:
    is_large = abs(value) >= _LARGE
    return (f"{value:.0f}" if is_large else f"{value:.3g}").replace("-", "−") if value else "0"


def _rounded_down(value: float) -> float:
    """To one digit: a tick that lies on the scale."""
    step = 10.0 ** math.floor(math.log10(value))
    return math.floor(value / step) * step
