"""What was learned about position as pictures: sigma by layer and epoch, by data set, and the embeddings' own fits."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.report.arm_style import ArmStyle, arm_style
from orchestrator.report.content import BiasSeries, PositionFit, Report
from orchestrator.report.figures import (
    MAX_PANELS,
    MIN_SIGMA_RANGE,
    at_least,
    cell_title,
    clean,
    more_words,
    panel_grid,
    shared_legend,
    sigma_figure,
    wrapped,
)
from orchestrator.statistics.comparison import Cell
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1A1A1A")
_MARKS = "osD^vPX"
_SMALL, _NORMAL = 8.5, 9.5
_INCHES = 3.5
_MAX_TICKS = 16
_MAX_CELLS_WITH_WIDTHS = 3
_SHIFT = 0.1


def learned_figures(report: Report) -> dict[str, Callable[[Report], Figure]]:
    """Name -> the figures that this report has something for."""
    figures: dict[str, Callable[[Report], Figure]] = {}
    if report.bias:
        figures["sigma"] = sigma_figure
    if any(series.is_learned and series.quantity == "sigma" for series in report.bias):
        figures["sigma_heat_map"] = heat_figure
        if len({series.cell.dataset for series in report.bias}) > 1:
            figures["sigma_by_data_set"] = dataset_figure
    if any(fit.part != "sum" and fit.layer is not None for fit in report.position):
        figures["position"] = position_figure
    return figures


def heat_figure(report: Report) -> Figure:
    """Sigma as colour over epochs (across) and layers (down), mean over seeds; one panel per cell and arm."""
    panels_of: dict[tuple[str, str], list[BiasSeries]] = {}
    for series in sorted(report.bias, key=lambda each: (each.cell.key, each.arm, each.layer, each.head or 0)):
        if series.quantity == "sigma" and series.is_learned:
            panels_of.setdefault((series.cell.key, series.arm), []).append(series)
    shown = list(panels_of.values())[:MAX_PANELS]
    num_arms = len({arm for _, arm in panels_of})
    num_lines = max((len(panel) for panel in shown), default=1)
    figure, panels = panel_grid(
        len(shown), width=_INCHES, height=1.3 + min(4.0, 0.16 * num_lines), columns=num_arms, is_shared=False
    )
    tables = [np.array([(each.initial, *each.mean_by_epoch) for each in panel]) for panel in shown]
    low, high = (float(min(map(np.min, tables))), float(max(map(np.max, tables)))) if tables else (0.0, 1.0)
    low, high = at_least(MIN_SIGMA_RANGE, low, high)
    for axes, table, panel in zip(panels, tables, shown, strict=True):
        # Without a range of colours of its own a panel can be compared with the next.
        image = axes.imshow(table, aspect="auto", cmap="viridis", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(f"{panel[0].arm}\n{wrapped(cell_title(panel[0].cell), _INCHES)}", fontsize=_SMALL)
        step = -(-len(panel) // _MAX_TICKS)
        axes.set_yticks(range(0, len(panel), step), [_layer_text(each) for each in panel[::step]])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.tick_params(labelsize=_SMALL)
    if shown:
        figure.supylabel("layer", fontsize=_NORMAL)
        figure.supxlabel(f"epochs trained{more_words(len(panels_of) - len(shown), 'panel')}", fontsize=_SMALL)
        bar = figure.colorbar(image, ax=list(panels), shrink=0.9, pad=0.02)
        bar.set_label("σ (tokens)", fontsize=_SMALL)
        bar.ax.tick_params(labelsize=_SMALL)
    return figure


def _layer_text(series: BiasSeries) -> str:
    return str(series.layer) if series.head is None else f"{series.layer}.{series.head}"


def dataset_figure(report: Report) -> Figure:
    """Final sigma of every layer, one line per data set, with the sd over seeds; one panel per model and arm."""
    panels_of: dict[tuple[str, str], dict[str, list[BiasSeries]]] = {}
    for series in sorted(report.bias, key=lambda each: (each.layer, each.head or 0)):
        if series.quantity == "sigma" and series.is_learned:
            by_dataset = panels_of.setdefault((series.cell.model, series.arm), {})
            by_dataset.setdefault(series.cell.dataset, []).append(series)
    shown = list(panels_of.items())[:MAX_PANELS]
    num_arms = len({arm for _, arm in panels_of})
    figure, panels = panel_grid(len(shown), width=_INCHES, height=2.8, columns=num_arms)
    # As the spec orders them: the same colours whatever any panel lacks.
    datasets = list(dict.fromkeys(cell.dataset for cell in report.cells))
    drawn: dict[str, Artist | ErrorbarContainer] = {}
    for axes, ((model, arm), by_dataset) in zip(panels, shown, strict=True):
        for name, line in by_dataset.items():
            style = datasets.index(name)
            drawn[name] = axes.errorbar(
                [each.layer for each in line],
                [each.final_mean for each in line],
                [each.final_sd or 0 for each in line],
                color=_COLORS[style % len(_COLORS)],
                marker=_MARKS[style % len(_MARKS)],
                ls="-" if line[0].head is None else "none",
                lw=1.4,
                ms=5,
                capsize=2.5,
            )
        axes.axhline(next(iter(by_dataset.values()))[0].initial, color="#6B6B6B", lw=0.9, ls=":")
        axes.set_title(f"{arm}\n{wrapped(model, _INCHES)}", fontsize=_SMALL)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        clean(axes)
    if shown:
        figure.supylabel("final σ (tokens)", fontsize=_NORMAL)
        words = more_words(len(panels_of) - len(shown), "panel")
        figure.supxlabel(f"layer\nmean ± sd over seeds; dotted: where σ started{words}", fontsize=_SMALL)
        shared_legend(figure, drawn, datasets)
    return figure


def position_figure(report: Report) -> Figure:
    """R^2 of the Gaussian in each layer's own position embedding; for few cells also its width, where it is one."""
    fits = [fit for fit in report.position if fit.part != "sum" and fit.layer is not None]
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
        figure.supxlabel(f"layer{words}", fontsize=_NORMAL)
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
    axes.set_title(f"{wrapped(cell_title(cell), _INCHES)}\nR² of the fit (dotted: {GOOD_R_SQUARED})", fontsize=_SMALL)
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
    axes.set_title("σ of the fit (tokens),\nwhere every seed has a Gaussian", fontsize=_SMALL)
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
