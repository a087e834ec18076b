"""Sigma as pictures: by layer and epoch, and by data set."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from matplotlib.artist import Artist
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.report.content.curves import BiasSeries
from orchestrator.report.content.report import Report
from orchestrator.report.drawing.panels import (
    MAX_PANELS,
    NORMAL,
    SMALL,
    at_least,
    cell_title,
    clean,
    more_words,
    panel_grid,
    shared_legend,
    wrapped,
)
from orchestrator.report.sections.learned_sigma.curves_figure import MIN_SIGMA_RANGE, sigma_figure
from orchestrator.report.sections.learned_sigma.glyphs import sigma_glyphs
from orchestrator.report.sections.section import Picture

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#1A1A1A")
_MARKS = "osD^vPX"
_INCHES = 3.5
_MAX_TICKS = 16


def sigma_pictures(report: Report) -> Iterator[Picture]:
    """Those that this report has something for."""
    if report.bias:
        yield Picture("sigma", partial(sigma_figure, report))
    if any(series.is_learned and series.quantity == "sigma" for series in report.bias):
        yield Picture("sigma_heat_map", partial(heat_figure, report), glyphs=partial(sigma_glyphs, report))
        if len({series.cell.dataset for series in report.bias}) > 1:
            yield Picture("sigma_by_data_set", partial(dataset_figure, report))


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
        axes.set_title(f"{panel[0].arm}\n{wrapped(cell_title(panel[0].cell), _INCHES)}", fontsize=SMALL)
        step = -(-len(panel) // _MAX_TICKS)
        axes.set_yticks(range(0, len(panel), step), [_layer_text(each) for each in panel[::step]])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.tick_params(labelsize=SMALL)
    if shown:
        figure.supylabel("layer", fontsize=NORMAL)
        figure.supxlabel(f"epochs trained{more_words(len(panels_of) - len(shown), 'panel')}", fontsize=SMALL)
        bar = figure.colorbar(image, ax=list(panels), shrink=0.9, pad=0.02)
        bar.set_label("σ (tokens)", fontsize=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
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
        axes.set_title(f"{arm}\n{wrapped(model, _INCHES)}", fontsize=SMALL)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        clean(axes)
    if shown:
        figure.supylabel("final σ (tokens)", fontsize=NORMAL)
        words = more_words(len(panels_of) - len(shown), "panel")
        figure.supxlabel(f"layer\nmean ± sd over seeds; dotted: where σ started{words}", fontsize=SMALL)
        shared_legend(figure, drawn, datasets)
    return figure
