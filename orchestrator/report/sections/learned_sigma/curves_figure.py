"""Sigma of every layer over epochs, as a picture."""

from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from orchestrator.report.content.curves import BiasSeries
from orchestrator.report.content.report import Report
from orchestrator.report.drawing.panels import (
    INK,
    MAX_PANELS,
    NORMAL,
    SMALL,
    at_least,
    cell_title,
    clean,
    more_words,
    panel_grid,
    wrapped,
)

MIN_SIGMA_RANGE = 0.1
"""In tokens: no picture of sigma shows less, whatever the values."""
_SIGMA_INCHES = 3.5
_MAX_STYLED_LAYERS = 3


def sigma_figure(report: Report) -> Figure:
    """Sigma of every layer over epochs, for every cell and arm that has one."""
    return sigma_panels(report.bias)


def sigma_panels(bias: Sequence[BiasSeries]) -> Figure:
    """Sigma of every layer over epochs: mean over seeds as a line, single seeds faint, the start as a dot.

    One row per cell and one column per arm, where the arms fit side by side.
    """
    panels_of: dict[tuple[str, str], list[BiasSeries]] = {}
    for series in sorted(bias, key=lambda series: (series.cell.key, series.arm)):
        if series.quantity == "sigma":
            panels_of.setdefault((series.cell.key, series.arm), []).append(series)
    shown = list(panels_of.values())[:MAX_PANELS]
    num_arms = len({arm for _, arm in panels_of})
    figure, panels = panel_grid(len(shown), width=_SIGMA_INCHES, height=2.8, columns=num_arms)
    num_layers = 1 + max((series.layer for series in bias), default=0)
    for axes, series_of_panel in zip(panels, shown, strict=True):
        for series in series_of_panel:
            _sigma_lines(axes, series, num_layers)
        first = series_of_panel[0]
        axes.set_title(f"{first.arm}\n{wrapped(cell_title(first.cell), _SIGMA_INCHES)}", fontsize=SMALL)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        clean(axes)
    if shown:
        # The panels share their axis, which must have seen all lines before its range is set.
        panels[0].set_ylim(*at_least(MIN_SIGMA_RANGE, *panels[0].get_ylim()))
        single = max(len(series.seeds) for series in bias) == 1
        figure.supylabel("σ (tokens)", fontsize=NORMAL)
        lines = "" if single else "\nthick: mean over seeds, faint: single seeds"
        figure.supxlabel(f"epochs trained{lines}{more_words(len(panels_of) - len(shown), 'panel')}", fontsize=SMALL)
        handles = [_layer_handle(layer, num_layers) for layer in reversed(range(num_layers))]
        figure.legend(
            handles=handles,
            loc="outside right upper",
            title="layer",
            fontsize=SMALL,
            title_fontsize=SMALL,
            frameon=False,
        )
    return figure


def _sigma_lines(axes: Axes, series: BiasSeries, num_layers: int) -> None:
    color = _layer_color(series.layer, num_layers)
    style = _layer_style(series.layer, num_layers)
    epochs = range(len(series.mean_by_epoch) + 1)
    for seed in series.seeds:
        axes.plot(range(len(seed.values) + 1), [series.initial, *seed.values], color=color, lw=0.7, alpha=0.3)
    axes.plot(epochs, [series.initial, *series.mean_by_epoch], color=color, lw=2.0, ls=style, zorder=3)
    axes.plot([0], [series.initial], marker="o", ms=4, color=INK, zorder=4, clip_on=False)


def _layer_color(layer: int, num_layers: int) -> tuple[float, float, float, float]:
    # viridis without its pale end, which vanishes on white.
    red, green, blue, alpha = colormaps["viridis"](0.85 * layer / max(1, num_layers - 1))
    return red, green, blue, alpha


def _layer_style(layer: int, num_layers: int) -> str:
    """Few layers differ in style too; many would only flicker, and their order in the picture tells them apart."""
    return ("-", "--", "-.")[layer] if num_layers <= _MAX_STYLED_LAYERS else "-"


def _layer_handle(layer: int, num_layers: int) -> Line2D:
    color, style = _layer_color(layer, num_layers), _layer_style(layer, num_layers)
    return Line2D([], [], color=color, ls=style, lw=2.0, label=str(layer))
