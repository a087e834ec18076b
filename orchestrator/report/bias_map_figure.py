"""The position bias as pictures: what one query token sees, layer by layer, part by part, head by head."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

_PANEL_INCHES = 1.25
_MAX_PANEL_COLUMNS = 14


class BiasPanel(NamedTuple):
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


class BiasRow(NamedTuple):
    """Panels that share one scale."""

    label: str
    """On the left, such as `own embedding`."""
    panels: Sequence[BiasPanel]
    """From left to right."""


def bias_map_figure(title: str, rows: Sequence[BiasRow]) -> Figure:
    """Rows of panels; blue is less attention than the row's mean, red is more.

    A constant changes no softmax: each panel is drawn without its mean, and each row has one symmetric scale, so that
    layers (or heads) can be compared with each other. The cross is the query.
    """
    folded = [part for row in rows for part in _fold(row)]
    columns = max((len(row.panels) for row in folded), default=1)
    size = (_PANEL_INCHES * columns + 1.5, (_PANEL_INCHES + 0.42) * len(folded) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=9)
    grid = figure.subplots(max(1, len(folded)), columns, squeeze=False)
    for axes_row, row in zip(grid, folded, strict=False):
        scale = _scale(row)
        image = None
        for axes in axes_row[len(row.panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(axes_row, row.panels, strict=False):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(panel.title, fontsize=7, pad=2)
            axes.set_xlabel(panel.remark, fontsize=6, labelpad=1)
            image = axes.imshow(
                panel.map - _mean(panel.map), cmap="RdBu_r", vmin=-scale, vmax=scale, interpolation="nearest"
            )
            y, x = panel.query
            axes.plot([x], [y], marker="+", color="black", markersize=5, markeredgewidth=0.9)
            if panel.sigma is not None:
                down, across = panel.sigma
                axes.add_patch(Ellipse((x, y), 2 * across, 2 * down, fill=False, ec="black", lw=0.8))
            axes.set_xlim(-0.5, panel.map.shape[1] - 0.5)
            axes.set_ylim(panel.map.shape[0] - 0.5, -0.5)
        axes_row[0].set_ylabel(row.label, fontsize=7)
        if image is not None:
            bar = figure.colorbar(image, ax=axes_row.tolist(), shrink=0.85, pad=0.01, aspect=12)
            bar.ax.tick_params(labelsize=6)
    return figure


def _fold(row: BiasRow) -> list[BiasRow]:
    """More panels than fit on a page go on below."""
    if len(row.panels) <= _MAX_PANEL_COLUMNS:
        return [row]
    num_lines = math.ceil(len(row.panels) / _MAX_PANEL_COLUMNS)
    length = math.ceil(len(row.panels) / num_lines)
    return [
        BiasRow(row.label if start == 0 else "", row.panels[start : start + length])
        for start in range(0, len(row.panels), length)
    ]


def _scale(row: BiasRow) -> float:
    """Largest distance from the mean in any panel, without the brightest thousandth; 1 if all are flat."""
    distances = [np.abs(panel.map - _mean(panel.map)).ravel() for panel in row.panels]
    finite = np.concatenate(distances) if distances else np.zeros(0)
    finite = finite[np.isfinite(finite)]
    largest = float(np.quantile(finite, 0.999)) if finite.size else 0.0
    return largest if largest > 0 else 1.0


def _mean(values: npt.NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else 0.0
