"""Training curves as a picture: one panel for each cell and metric, one line with its band for each arm."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.report.content.curves import LearningCurve
from orchestrator.report.content.report import Report
from orchestrator.report.drawing.arm_style import arm_style
from orchestrator.report.drawing.panels import (
    MAX_PANELS,
    SMALL,
    cell_title,
    clean,
    more_words,
    panel_grid,
    shared_legend,
    wrapped,
)
from orchestrator.report.words.answers import metric_words
from orchestrator.report.words.numbers import level_unit
from orchestrator.statistics.metric import metric_named

_INCHES = 3.5
_MAX_MARKED = 30
"""Epochs that still show a mark each."""


def curve_figure(report: Report) -> Figure:
    """Mean over seeds as a line, one sd to either side as a band; cells one below the other, metrics side by side."""
    panels_of: dict[tuple[str, str], list[LearningCurve]] = {}
    for curve in report.curves:
        panels_of.setdefault((curve.cell.key, curve.metric), []).append(curve)
    shown = list(panels_of.values())[:MAX_PANELS]
    num_metrics = len({metric for _, metric in panels_of})
    # Losses and accuracies share no axis.
    figure, panels = panel_grid(len(shown), width=_INCHES, height=2.8, columns=num_metrics, is_shared=False)
    arms = [arm.name for arm in report.arms]
    drawn: dict[str, Artist | ErrorbarContainer] = {}
    for axes, curves in zip(panels, shown, strict=True):
        for curve in sorted(curves, key=lambda each: arms.index(each.arm)):
            drawn.setdefault(curve.arm, _draw(axes, curve, report))
        first = curves[0]
        unit = level_unit(metric_named(first.metric, report.spec.task if report.spec else None).unit)
        name = metric_words(first.metric.replace("val/", "validation/").replace("train/", "training/"))
        title = f"{name}{f' ({unit})' if unit else ''}"
        axes.set_title(f"{title}\n{wrapped(cell_title(first.cell), _INCHES)}", fontsize=SMALL)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        # Only the ticks that are seen: matplotlib lays out the next one beyond each end, too.
        low, high = axes.get_ylim()
        axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= high])
        axes.set_ylim(low, high)
        clean(axes)
    if shown:
        has_band = any(len(curve.seeds) > 1 for curve in report.curves)
        words = "\nline: mean over seeds; band: ± sd" if has_band else ""
        figure.supxlabel(f"epochs trained{words}{more_words(len(panels_of) - len(shown), 'panel')}", fontsize=SMALL)
        shared_legend(figure, drawn, arms)
    return figure


def _draw(axes: Axes, curve: LearningCurve, report: Report) -> Artist:
    color, mark = arm_style(curve.arm, [arm.name for arm in report.arms], report.control)
    # A searched number of epochs may differ between cells, never within one.
    num_epochs = min(len(seed.values) for seed in curve.seeds)
    values = np.array([seed.values[:num_epochs] for seed in curve.seeds])
    epochs = np.arange(1, num_epochs + 1)
    mean = values.mean(axis=0)
    if len(values) > 1:
        sd = values.std(axis=0, ddof=1)
        axes.fill_between(epochs, mean - sd, mean + sd, color=color, alpha=0.15, lw=0)
    (line,) = axes.plot(
        epochs, mean, color=color, lw=1.8, marker=mark if num_epochs <= _MAX_MARKED else "", ms=3.5, zorder=3
    )
    return line
