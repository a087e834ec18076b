"""Position biases as pictures: blocks of rows of tiles, each a map as one query token sees it.

A constant changes no softmax: every map is drawn without its mean. Nothing here knows where maps come from: reports
and the command `learned-bias` turn their data into tiles and share the words.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Ellipse, Rectangle

from orchestrator.report.content.position_bias import ViewPart
from orchestrator.report.drawing.text_width import LINE_SPACING, fitted, text_height, text_width

PART_WORDS: dict[ViewPart, str] = {
    "own": "own embedding",
    "gaussian": "Gaussian",
    "sum": "sum of both",
    "absolute": "absolute (cosine)",
}
"""What pictures call the parts."""

LAYER_INCHES, HEAD_INCHES, SINGLE_INCHES = 0.95, 0.5, 1.6
"""The longer side of a tile, unless so many side by side are wider than a page."""

_PAGE_INCHES = 11.0
_MAX_COLUMNS = 12
_TITLE, _LABEL, _SMALL, _TINY = 8.5, 7.5, 7.0, 6.5
_GAP, _BORDER = 0.06, 0.08
_LABEL_INCHES, _MIN_BLOCK_INCHES, _BETWEEN_BLOCKS = 0.62, 3.3, 0.25
_BAR_INCHES = (0.9, 0.08)
_LEGEND = "around each map's mean, up to the ± beside its row; cross: the token that looks; ellipse: σ of a Gaussian"
_COLORS, _FAINT = "RdBu_r", "#6B6B6B"
_NOISE = 1e-6
"""Of a map's largest value: smaller differences are rounding."""


class Tile(NamedTuple):
    """What one query sees of one part of one layer."""

    title: str
    """Above it, such as `layer 3`; empty for none."""
    map: npt.NDArray[np.float64]
    """[H, W], in logits (of an absolute embedding: cosines)."""
    query: tuple[int, int]
    """Row and column of the query, which is marked."""
    sigma: tuple[float, float] | None = None
    """Of its Gaussian, in tokens: along a column and along a row; drawn around the query (`None`: it is none)."""
    remark: str = ""
    """Written below, such as R^2."""


class TileRow(NamedTuple):
    """Tiles on one symmetric scale, which can be compared with each other."""

    label: str
    """On the left, such as `own embedding`."""
    tiles: Sequence[Tile]
    """From left to right; more than fit on a page go on below."""
    unit: Literal["logits", "cosine"] = "logits"
    """Of the maps; the query's cosine with itself, which is 1 whatever was learned, sets neither mean nor scale."""


class TileBlock(NamedTuple):
    """Rows that belong together, such as one arm's."""

    title: str
    """Above them; long lines are wrapped."""
    rows: Sequence[TileRow]
    """From top to bottom."""


def fit_remark(tile: Tile, r_squared: float | None, sigma: float | None, *, verdict: str = "") -> str:
    """What is written below a fitted map.

    Args:
        tile: the map.
        r_squared: of the fit (`None`: nothing was fitted).
        sigma: its width, in tokens (`None`: nothing was fitted).
        verdict: stands in place of the width, which describes nothing where there is no Gaussian.
    """
    if sigma is None or r_squared is None:
        return "nothing\nlearned" if is_flat(tile.map) else "nothing\nto fit"
    return f"R² {r_squared:.2f}\n" + (verdict or f"σ {sigma:.1f}")


def known_remark(sigmas: Sequence[float]) -> str:
    """What is written below a Gaussian whose widths (one per head, or one) nothing had to be fitted for."""
    if not sigmas:
        return ""
    low, high = f"{min(sigmas):.2f}", f"{max(sigmas):.2f}"
    return f"σ {low}" if low == high else f"σ {low}\nto {high}"


def is_flat(values: npt.NDArray[np.float64]) -> bool:
    """Whether a map has the same value everywhere but for rounding."""
    return _largest_distance(values[np.isfinite(values)]) == 0


class _Line(NamedTuple):
    """A row, or as much of it as fits side by side; places in inches from the top of the block's tiles."""

    label: str
    tiles: Sequence[Tile]
    unit: str
    note: str
    scale: float
    titles: Sequence[str]
    top: float
    """Of its tiles."""
    height: float
    """Of its tiles."""
    bottom: float
    """Below its remarks."""


class _Sizes(NamedTuple):
    """Of all blocks of a figure, in inches."""

    left: float
    """Of labels and the gap beside them."""
    pitch: float
    """From tile to tile."""
    tile: float
    """The longer side."""
    width: float
    """Of a block."""


def draw_blocks(blocks: Sequence[TileBlock], inches: float, *, most: int | None = None) -> Figure:
    """Blocks side by side as far as a page is wide, else below each other; blue is less attention, red is more.

    Args:
        blocks: each with at least one row with at least one tile; without any, the figure says so.
        inches: longer side of a tile, where there is room.
        most: further blocks are only counted.
    """
    shown = blocks[:most]
    if not shown:
        empty = Figure(figsize=(2 * SINGLE_INCHES, SINGLE_INCHES / 2))
        empty.text(0.5, 0.5, "no maps of a middle token", ha="center", va="center", fontsize=_TITLE)
        return empty
    sizes = _sizes(shown, inches)
    titles = [fitted(block.title, _TITLE, sizes.width) for block in shown]
    sizes = sizes._replace(width=max(sizes.width, *(text_width(title, _TITLE) for title in titles)))
    lines = [list(_lines(block, sizes.tile)) for block in shown]
    in_a_row = max(1, int((_PAGE_INCHES + _BETWEEN_BLOCKS) / (sizes.width + _BETWEEN_BLOCKS)))
    in_a_row = math.ceil(len(shown) / math.ceil(len(shown) / in_a_row))
    width = 2 * _BORDER + in_a_row * (sizes.width + _BETWEEN_BLOCKS) - _BETWEEN_BLOCKS

    places: list[tuple[float, float]] = []
    top = _BORDER
    for start in range(0, len(shown), in_a_row):
        together = range(start, min(start + in_a_row, len(shown)))
        top += max(text_height(titles[each], _TITLE) for each in together) + _GAP
        places += [(_BORDER + (each - start) * (sizes.width + _BETWEEN_BLOCKS), top) for each in together]
        top += max(lines[each][-1].bottom for each in together) + _BETWEEN_BLOCKS

    legend = _LEGEND if len(blocks) == len(shown) else f"{_LEGEND}; {len(blocks) - len(shown)} more in the arrays"
    legend = fitted(legend, _TINY, width - _BAR_INCHES[0] - 0.6)
    height = top + text_height(legend, _TINY) + _BORDER
    figure = Figure(figsize=(width, height))
    # An SVG would make one large image of a block's small ones, at 10 ms for each.
    figure.suppressComposite = True
    for title, of_block, (left, start_) in zip(titles, lines, places, strict=True):
        own = of_block[-1].bottom + _GAP
        axes = figure.add_axes((left / width, 1 - (start_ + own) / height, sizes.width / width, own / height))
        axes.set_xlim(0, sizes.width)
        axes.set_ylim(own, 0)
        axes.set_axis_off()
        axes.text(0, -_GAP, title, ha="left", va="bottom", fontsize=_TITLE, linespacing=LINE_SPACING)
        for line in of_block:
            _draw_line(axes, line, sizes)
    _draw_legend(figure, legend, top)
    return figure


def _sizes(blocks: Sequence[TileBlock], inches: float) -> _Sizes:
    """As small as the texts allow: they are measured, so that none is cut and none touches the next."""
    rows = [line for block in blocks for row in block.rows for line in _folded(row)]
    columns = max(len(row.tiles) for row in rows)
    left = max(text_width(_label(row), _LABEL) for row in rows)
    left += _GAP if left else 0.0
    right = _GAP + max(text_width(_note(row, _scale(row)), _TINY) for row in rows)
    tile = max(HEAD_INCHES, min(inches, (_PAGE_INCHES - left - right) / columns - _GAP))
    below = [max(text_width(tile.title, _SMALL), text_width(tile.remark, _TINY)) for row in rows for tile in row.tiles]
    pitch = max(tile, *below) + _GAP
    return _Sizes(left, pitch, tile, max(_MIN_BLOCK_INCHES, left + columns * pitch + right))


def _lines(block: TileBlock, tile_inches: float) -> Iterator[_Line]:
    top = 0.0
    above: list[str] = []
    for row in block.rows:
        scale = _scale(row)
        for part in _folded(row):
            titles = [tile.title for tile in part.tiles]
            # What stands above a column already need not be said again.
            new = [] if titles == above[: len(titles)] else titles
            above = titles
            top += max((text_height(title, _SMALL) for title in new), default=0.0)
            height = tile_inches * max(tile.map.shape[0] / max(tile.map.shape) for tile in part.tiles)
            bottom = top + height + max(text_height(tile.remark, _TINY) for tile in part.tiles)
            yield _Line(_label(part), part.tiles, row.unit, _note(row, scale), scale, new, top, height, bottom)
            top = bottom + _GAP


def _folded(row: TileRow) -> Iterator[TileRow]:
    num_lines = math.ceil(len(row.tiles) / _MAX_COLUMNS)
    length = math.ceil(len(row.tiles) / num_lines)
    for start in range(0, len(row.tiles), length):
        yield row._replace(label=row.label if start == 0 else "", tiles=row.tiles[start : start + length])


def _label(row: TileRow) -> str:
    return fitted(row.label, _LABEL, _LABEL_INCHES)


def _note(row: TileRow, scale: float) -> str:
    return f"±{scale:.2g}\n{row.unit}" if scale else "flat"


def _draw_line(axes: Axes, line: _Line, sizes: _Sizes) -> None:
    middle = line.top + line.height / 2
    axes.text(sizes.left - _GAP, middle, line.label, ha="right", va="center", fontsize=_LABEL)
    shift = (sizes.pitch - sizes.tile) / 2
    for column, tile in enumerate(line.tiles):
        left = sizes.left + column * sizes.pitch + shift
        _draw_tile(axes, tile, (left, line.top + line.height / 2), sizes.tile, line)
        center = left + sizes.tile / 2
        if line.titles:
            axes.text(center, line.top - 0.02, tile.title, ha="center", va="bottom", fontsize=_SMALL)
        if tile.remark:
            below = line.top + line.height + 0.02
            axes.text(center, below, tile.remark, ha="center", va="top", fontsize=_TINY, linespacing=1.05)
    end = sizes.left + len(line.tiles) * sizes.pitch - shift + _GAP / 2
    axes.text(end, middle, line.note, ha="left", va="center", fontsize=_TINY, color=_FAINT)


def _draw_tile(axes: Axes, tile: Tile, place: tuple[float, float], inches: float, line: _Line) -> None:
    """The map around the middle of its place, which others of its line (stages, windows) may fill more."""
    height, width = tile.map.shape
    unit = inches / max(height, width)
    left, top = place[0] + (inches - width * unit) / 2, place[1] - height * unit / 2
    scale = line.scale or 1.0
    extent = (left, left + width * unit, top + height * unit, top)
    image = AxesImage(axes, extent=extent, cmap=_COLORS, norm=Normalize(-scale, scale), interpolation="nearest")
    counted = _counted(tile, line.unit)
    image.set_data(tile.map - (counted.mean() if counted.size else 0.0))
    # Hundreds of panels would take minutes: all tiles of a block are images on the same axes.
    axes.add_image(image)
    outline = Rectangle((left, top), width * unit, height * unit, fill=False, ec="#C8C8C8", lw=0.4)
    axes.add_patch(outline)
    y, x = top + (tile.query[0] + 0.5) * unit, left + (tile.query[1] + 0.5) * unit
    axes.plot([x], [y], marker="+", color="black", markersize=3.5, markeredgewidth=0.7)
    if tile.sigma is not None:
        down, across = tile.sigma
        ellipse = Ellipse((x, y), 2 * across * unit, 2 * down * unit, fill=False, ec="black", lw=0.8)
        axes.add_patch(ellipse)
        ellipse.set_clip_path(outline)


def _draw_legend(figure: Figure, text: str, top: float) -> None:
    """The colours, with what must be known of them, below everything else."""
    width, height = figure.get_size_inches()
    bar_width, bar_height = _BAR_INCHES
    middle = top + text_height("1", _TINY) / 2
    left = _BORDER + 0.15
    place = (left / width, 1 - (middle + bar_height / 2) / height, bar_width / width, bar_height / height)
    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), _COLORS), cax=figure.add_axes(place), orientation="horizontal"
    )
    bar.set_ticks([])
    bar.outline.set_linewidth(0.4)
    for x, sign in ((left - 0.07, "−"), (left + bar_width + 0.07, "+")):
        figure.text(x / width, 1 - middle / height, sign, ha="center", va="center", fontsize=_SMALL)
    x = left + bar_width + 0.2
    figure.text(
        x / width, 1 - top / height, text, ha="left", va="top", fontsize=_TINY, color=_FAINT, linespacing=LINE_SPACING
    )


def _scale(row: TileRow) -> float:
    """Largest distance from the mean in any map; 0 if all are flat."""
    return max(_largest_distance(_counted(tile, row.unit)) for tile in row.tiles)


def _counted(tile: Tile, unit: str) -> npt.NDArray[np.float64]:
    """The numbers that set mean and scale."""
    is_counted = np.isfinite(tile.map)
    if unit == "cosine":
        is_counted[tile.query] = False
    return tile.map[is_counted]


def _largest_distance(values: npt.NDArray[np.float64]) -> float:
    """From the mean; 0 where there is nothing but rounding."""
    if not values.size:
        return 0.0
    distance = float(np.abs(values - values.mean()).max())
    return distance if distance > _NOISE * float(np.abs(values).max()) else 0.0
