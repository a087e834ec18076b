"""Receptive fields as pictures: the map, and the ellipse of its Gaussian."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

_PANEL_INCHES = 2.4
_MAX_COLUMNS = 4


class FieldPanel(NamedTuple):
    """One receptive field to draw."""

    title: str
    """What it is the field of."""
    map: npt.NDArray[np.float64]
    """[S, S], not negative."""
    center_px: tuple[float, float]
    """Of the fitted Gaussian: row and column."""
    sigma_px: tuple[float, float]
    """Of the fitted Gaussian: along a column and along a row."""
    remark: str
    """What is written below."""
    is_gaussian: bool
    """Whether the ellipse means something; else it is dotted."""


def receptive_field_figure(panels: Sequence[FieldPanel]) -> Figure:
    """All fields side by side, each with the ellipse at one sigma.

    Brightness is the square root of the mass relative to the map's own 99.9 % quantile: fields have a bright spot and
    wide faint skirts, and on a linear scale only the spot would be seen.
    """
    columns = min(_MAX_COLUMNS, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    figure = Figure(figsize=(_PANEL_INCHES * columns, (_PANEL_INCHES + 0.45) * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        brightest = float(np.quantile(panel.map, 0.999)) or float(panel.map.max())
        axes.imshow(np.sqrt(np.clip(panel.map / brightest, 0, 1)), cmap="magma", interpolation="nearest")
        (row, column), (down, across) = panel.center_px, panel.sigma_px
        style = "-" if panel.is_gaussian else ":"
        axes.add_patch(Ellipse((column, row), 2 * across, 2 * down, fill=False, ec="#56B4E9", lw=1.4, ls=style))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(panel.title, fontsize=9)
        axes.set_xlabel(panel.remark, fontsize=8)
    return figure
