"""Position biases of all arms as pictures: what the middle token sees, layer by layer, part by part, head by head.

A constant changes no softmax: every map is drawn without its mean.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Ellipse, Rectangle

from orchestrator.report.bias_content import BiasView, ViewFit, ViewPart
from orchestrator.report.content import Report
from orchestrator.report.figures import cell_title

PART_WORDS: dict[ViewPart, str] = {
    "own": "own embedding",
    "gaussian": "Gaussian",
    "sum": "sum of both",
    "absolute": "absolute (cosine)",
}
"""What tables and pictures call the parts."""

MAX_BLOCKS, MAX_HEAD_BLOCKS = 6, 4
"""A figure shows at most so many arms of cells; the file of arrays has all."""

_MAX_COLUMNS = 12
_TILE_INCHES, _HEAD_INCHES = 0.95, 0.5
_GAP = 0.08
_MARGIN = 1.35
_TITLE_INCHES, _BAR_INCHES = 0.62, 0.75
_SMALL, _NORMAL = 7.0, 9.0
_COLORS = "RdBu_r"
_FAINT = "#6B6B6B"


class _Tile(NamedTuple):
    """One map."""

    title: str
    map: npt.NDArray[np.float64]
    query: tuple[int, int]
    fit: ViewFit | None


class _Row(NamedTuple):
    """Maps on one scale."""

    label: str
    tiles: Sequence[_Tile]
    unit: str
    scale: float


class _Block(NamedTuple):
    """What belongs together."""

    title: str
    rows: Sequence[_Row]


def has_views(report: Report) -> bool:
    """Whether there is anything to draw."""
    return report.bias_views is not None and any(view.is_central for view in report.bias_views.means)


def has_heads(report: Report) -> bool:
    """Whether any layer has heads that differ."""
    return bool(_head_blocks(report))


def bias_view_figure(report: Report) -> Figure:
    """One block for each cell and arm: parts from top to bottom, layers from left to right, mean over heads."""
    return _draw(_layer_blocks(report), _TILE_INCHES, MAX_BLOCKS, has_remarks=True)


def bias_heads_figure(report: Report) -> Figure:
    """One block for each cell, arm and part: layers from top to bottom, heads from left to right."""
    return _draw(_head_blocks(report), _HEAD_INCHES, MAX_HEAD_BLOCKS, has_remarks=False)


def one_view_figure(view: BiasView) -> Figure:
    """One map by itself: every head, after the mean over them."""
    tiles = [_Tile("mean over heads", view.map.mean(axis=0), view.query, view.fit())]
    if len(view.map) == 1:
        tiles = [tiles[0]._replace(title="")]
    else:
        tiles += [_Tile(f"head {head}", values, view.query, view.fit(head)) for head, values in enumerate(view.map)]
    layer = "" if view.layer is None else f"layer {view.layer}, "
    place = f"token {view.query[0]},{view.query[1]}"
    title = f"{view.arm}: {cell_title(view.cell)}\n{layer}{PART_WORDS[view.part]}, {place}"
    return _draw([_Block(title, [*_folded(_Row("", tiles, _unit(view), _scale(tiles)))])], 1.6, 1, has_remarks=True)


def _unit(view: BiasView) -> str:
    return "cosine" if view.part == "absolute" else "logits"


def _by_arm(report: Report) -> dict[str, list[BiasView]]:
    """Central views by the title of their block, the order of the report."""
    arms: dict[str, list[BiasView]] = {}
    for view in report.bias_views.means if report.bias_views else ():
        if view.is_central:
            arms.setdefault(f"{view.arm}: {cell_title(view.cell)}", []).append(view)
    return arms


def _layer_blocks(report: Report) -> list[_Block]:
    blocks = []
    for title, views in _by_arm(report).items():
        rows: list[_Row] = []
        for part, words in PART_WORDS.items():
            of_part = [view for view in views if view.part == part]
            tiles = [
                _Tile(
                    "" if view.layer is None else f"layer {view.layer}", view.map.mean(axis=0), view.query, view.fit()
                )
                for view in of_part
            ]
            if tiles:
                rows += _folded(_Row(words, tiles, _unit(of_part[0]), _scale(tiles)))
        blocks.append(_Block(title, rows))
    return blocks


def _head_blocks(report: Report) -> list[_Block]:
    blocks = []
    for title, views in _by_arm(report).items():
        for part in ("own", "gaussian", "sum"):
            rows = [
                _Row(
                    f"layer {view.layer}",
                    [_Tile(f"{head}", values, view.query, view.fit(head)) for head, values in enumerate(view.map)],
                    "logits",
                    _scale([_Tile("", values, view.query, None) for values in view.map]),
                )
                for view in views
                # A Gaussian that all heads share is in the other picture.
                if view.part == part and len(view.map) > 1
            ]
            if rows:
                blocks.append(_Block(f"{title}\n{PART_WORDS[part]}, each head", rows))
    return blocks


def _folded(row: _Row) -> Iterator[_Row]:
    """More maps than fit on a page go on below."""
    num_lines = math.ceil(len(row.tiles) / _MAX_COLUMNS)
    length = math.ceil(len(row.tiles) / num_lines)
    for start in range(0, len(row.tiles), length):
        yield row._replace(label=row.label if start == 0 else "", tiles=row.tiles[start : start + length])


def _draw(blocks: Sequence[_Block], inches: float, most: int, *, has_remarks: bool) -> Figure:
    """One pair of axes for each block, in units of one tile: hundreds of panels would take minutes."""
    shown = blocks[:most]
    columns = max(len(row.tiles) for block in shown for row in block.rows)
    step = 1.0 + (0.46 if has_remarks else _GAP)
    # Places in inches: every tile has one size, however many rows a block has.
    width = (columns * (1 + _GAP) + 2 * _MARGIN) * inches if has_remarks else columns * (1 + _GAP) * inches + 1.8
    margin = (width / inches - columns * (1 + _GAP)) / 2
    heights = [step * len(block.rows) * inches for block in shown]
    height = sum(heights) + _TITLE_INCHES * len(shown) + _BAR_INCHES
    figure = Figure(figsize=(width, height))
    top = height
    for block, own in zip(shown, heights, strict=True):
        top -= _TITLE_INCHES + own
        axes = figure.add_axes((0, top / height, 1, own / height))
        _draw_block(axes, block, step, has_remarks=has_remarks)
        axes.set_xlim(-margin, columns * (1 + _GAP) + margin)
    bar_axes = figure.add_axes((0.25, 0.3 / height, 0.5, 0.08 / height))
    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), _COLORS), cax=bar_axes, orientation="horizontal")
    bar.set_ticks([-1, 0, 1], labels=["− number\nbeside the row", "mean", "+ number\nbeside the row"])
    bar.ax.tick_params(labelsize=_SMALL)
    if len(blocks) > most:
        figure.text(
            0.99, 0.1 / height, f"+{len(blocks) - most} in the arrays", ha="right", fontsize=_SMALL, color=_FAINT
        )
    return figure


def _draw_block(axes: Axes, block: _Block, step: float, *, has_remarks: bool) -> None:
    axes.set_title(block.title, fontsize=_NORMAL, loc="left", x=0.01, pad=13)
    for line, row in enumerate(block.rows):
        top = line * step
        scale = row.scale
        axes.text(-0.1, top + 0.5, row.label, ha="right", va="center", fontsize=_SMALL + 0.5)
        end = len(row.tiles) * (1 + _GAP)
        text = f"±{scale:.2g}\n{row.unit}" if scale else "flat"
        axes.text(end + 0.02, top + 0.5, text, ha="left", va="center", fontsize=_SMALL, color=_FAINT)
        for column, tile in enumerate(row.tiles):
            left = column * (1 + _GAP)
            _draw_tile(axes, tile, left, top, scale or 1.0)
            if line == 0 or [each.title for each in block.rows[line - 1].tiles] != [each.title for each in row.tiles]:
                axes.text(left + 0.5, top - 0.03, tile.title, ha="center", va="bottom", fontsize=_SMALL)
            if has_remarks:
                axes.text(left + 0.5, top + 1.03, _remark(tile), ha="center", va="top", fontsize=_SMALL - 0.5)
    axes.set_ylim(len(block.rows) * step, 0)
    axes.set_axis_off()


def _draw_tile(axes: Axes, tile: _Tile, left: float, top: float, scale: float) -> None:
    """A map in a unit square (its longer side), its query, and the ellipse at one sigma where it is a Gaussian."""
    height, width = tile.map.shape
    unit = 1 / max(height, width)
    extent = (left, left + width * unit, top + height * unit, top)
    image = AxesImage(axes, extent=extent, cmap=_COLORS, norm=Normalize(-scale, scale), interpolation="nearest")
    image.set_data(_centred(tile.map))
    axes.add_image(image)
    outline = Rectangle((left, top), width * unit, height * unit, fill=False, ec="#C8C8C8", lw=0.4)
    axes.add_patch(outline)
    y, x = top + (tile.query[0] + 0.5) * unit, left + (tile.query[1] + 0.5) * unit
    axes.plot([x], [y], marker="+", color="black", markersize=3.5, markeredgewidth=0.7)
    fit = tile.fit
    if fit is None or fit.sigma_x is None or fit.sigma_y is None or not fit.is_gaussian:
        return
    ellipse = Ellipse((x, y), 2 * fit.sigma_x * unit, 2 * fit.sigma_y * unit, fill=False, ec="black", lw=0.8)
    axes.add_patch(ellipse)
    ellipse.set_clip_path(outline)


def _remark(tile: _Tile) -> str:
    fit = tile.fit
    if fit is None:
        return ""
    if fit.num_nothing == fit.num_seeds:
        return "nothing\nlearned" if np.ptp(tile.map) < 1e-6 else "nothing\nto fit"
    if fit.sigma_x is None or fit.sigma_y is None:
        return ""
    sigma = f"σ {math.sqrt(fit.sigma_x * fit.sigma_y):.1f}"
    if fit.r_squared is None:
        return sigma
    if fit.is_gaussian:
        return f"R² {fit.r_squared:.2f}\n{sigma}"
    count = f"in {fit.num_gaussian}/{fit.num_seeds} seeds" if fit.num_gaussian else "no Gaussian"
    return f"R² {fit.r_squared:.2f}\n{count}"


def _centred(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Without its mean; a cell without a number stays so."""
    finite = values[np.isfinite(values)]
    centred: npt.NDArray[np.float64] = values - (finite.mean() if finite.size else 0.0)
    return centred


def _scale(tiles: Sequence[_Tile]) -> float:
    """Largest distance from the mean in any map; 0 if all are flat."""
    distances = np.concatenate([np.abs(_centred(tile.map)).ravel() for tile in tiles])
    finite = distances[np.isfinite(distances)]
    largest = float(finite.max()) if finite.size else 0.0
    return largest if largest > 1e-9 else 0.0


def bias_view_figures(report: Report) -> dict[str, Callable[[Report], Figure]]:
    """Name -> the figures that this report has something for."""
    figures: dict[str, Callable[[Report], Figure]] = {}
    if has_views(report):
        figures["learned_bias"] = bias_view_figure
    if has_heads(report):
        figures["learned_bias_heads"] = bias_heads_figure
    return figures
