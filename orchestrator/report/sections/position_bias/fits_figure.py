"""How much of each layer's own position embedding a Gaussian explains, and its width, as a picture."""

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.report.content.position_bias import PositionFit
from orchestrator.report.content.report import Report
from orchestrator.report.drawing.arm_style import ArmStyle, arm_style
from orchestrator.report.drawing.panels import (
    MAX_PANELS,
    NORMAL,
    SMALL,
    cell_title,
    clean,
    more_words,
    panel_grid,
    shared_legend,
    wrapped,
)
from orchestrator.statistics.comparison import Cell
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED

_INCHES = 3.5
_SHIFT = 0.1
_MAX_CELLS_WITH_WIDTHS = 3


def has_layers(report: Report) -> bool:
    """Whether any layer's embedding was fitted: one of the whole model makes no curve over layers."""
    return bool(_of_layers(report))


def _of_layers(report: Report) -> list[PositionFit]:
    return [fit for fit in report.position if fit.part != "sum" and fit.layer is not None]


def position_figure(report: Report) -> Figure:
    """R^2 of the Gaussian in each layer's own position embedding; for few cells also its width, where it is one."""
    fits = _of_layers(report)
    found = list(dict.fromkeys(fit.cell for fit in fits))
    cells = found[:MAX_PANELS]
    names = [arm.name for arm in report.arms]
    styles = {arm: arm_style(arm, names, report.control) for arm in names if any(fit.arm == arm for fit in fits)}
    drawn: dict[str, Artist | ErrorbarContainer] = {}
    has_widths = len(cells) <= _MAX_CELLS_WITH_WIDTHS and any(map(_has_width, fits))
    per_cell = 2 if has_widths else 1
    figure, panels = panel_grid(per_cell * len(cells), width=_INCHES, height=2.4, columns=per_cell, is_shared=False)
    for place, cell in enumerate(cells):
        by_arm = {arm: [fit for fit in fits if fit.cell == cell and fit.arm == arm] for arm in styles}
        drawn |= _explained_panel(panels[per_cell * place], cell, by_arm, styles)
        if has_widths:
            drawn |= _width_panel(panels[2 * place + 1], by_arm, styles)
            panels[2 * place + 1].set_xlim(panels[2 * place].get_xlim())
    if cells:
        words = more_words(len(found) - len(cells), "cell")
        figure.supxlabel(f"layer\nmarks: mean over seeds, bars: ± sd{words}", fontsize=NORMAL)
        shared_legend(figure, drawn, names)
    return figure


def _explained_panel(
    axes: Axes, cell: Cell, by_arm: Mapping[str, Sequence[PositionFit]], styles: Mapping[str, ArmStyle]
) -> dict[str, ErrorbarContainer]:
    """The marks by arm."""
    drawn: dict[str, ErrorbarContainer] = {}
    for place, (arm, fits) in enumerate(by_arm.items()):
        points = [
            (fit.layer + _SHIFT * place, fit.r_squared_mean, fit.r_squared_sd or 0.0)
            for fit in fits
            if fit.layer is not None and fit.r_squared_mean is not None
        ]
        if points:
            drawn[arm] = _draw(axes, points, styles[arm], line="-")
    axes.axhline(GOOD_R_SQUARED, color="#6B6B6B", lw=0.9, ls=":")
    axes.set_ylim(-0.05, 1.05)
    axes.set_title(f"{wrapped(cell_title(cell), _INCHES)}\nR² of the fit (dotted: {GOOD_R_SQUARED})", fontsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    clean(axes)
    return drawn


def _has_width(fit: PositionFit) -> bool:
    return fit.sigma_mean is not None and fit.num_gaussian == fit.num_seeds


def _width_panel(
    axes: Axes, by_arm: Mapping[str, Sequence[PositionFit]], styles: Mapping[str, ArmStyle]
) -> dict[str, ErrorbarContainer]:
    """The marks by arm."""
    drawn: dict[str, ErrorbarContainer] = {}
    for place, (arm, fits) in enumerate(by_arm.items()):
        points = [
            (fit.layer + _SHIFT * place, fit.sigma_mean, fit.sigma_sd or 0.0)
            for fit in fits
            if fit.layer is not None and fit.sigma_mean is not None and _has_width(fit)
        ]
        if points:
            drawn[arm] = _draw(axes, points, styles[arm], line="none")
    axes.set_title("σ of the fit (tokens),\nwhere every seed has a Gaussian", fontsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    clean(axes)
    if not drawn:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color="#6B6B6B")
        axes.set_yticks([])
    return drawn


def _draw(axes: Axes, points: Sequence[tuple[float, float, float]], style: ArmStyle, *, line: str) -> ErrorbarContainer:
    """Layers, means and spreads with error bars; arms stand a little apart, or they would hide each other."""
    return axes.errorbar(
        [layer for layer, _, _ in points],
        [mean for _, mean, _ in points],
        [spread for _, _, spread in points],
        ls="-" if line == "-" else "none",
        lw=1.4,
        color=style.color,
        marker=style.mark,
        ms=5,
        capsize=2.5,
    )
