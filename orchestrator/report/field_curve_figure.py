"""How receptive fields change while models train."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.report.content import Report
from orchestrator.report.field_content import FieldCurve
from orchestrator.report.field_map_figure import field_map_figure
from orchestrator.report.figures import cell_title, clean, panel_grid
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED

CONTROL_COLOR = "#6B6B6B"
TREATMENT_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKS = "Ds^vPX"
_SMALL, _NORMAL = 8.5, 9.5
_MAX_CELLS = 8
_QUANTITIES = {
    "rms_radius_tokens": "rms radius (tokens)",
    "r_squared": f"R² of the Gaussian (dotted: {GOOD_R_SQUARED})",
}


def field_figures(report: Report) -> dict[str, Callable[[Report], Figure]]:
    """Name -> the figures of receptive fields that this report has something for."""
    figures: dict[str, Callable[[Report], Figure]] = {}
    if report.receptive_fields and report.receptive_fields.means:
        figures["receptive_field_maps"] = field_map_figure
    if report.receptive_fields and report.receptive_fields.curves:
        figures["receptive_field_curves"] = field_curve_figure
    return figures


def field_curve_figure(report: Report) -> Figure:
    """Width (rms radius) and R^2 over epochs: mean over seeds thick, single seeds thin; one row per cell."""
    curves = report.receptive_fields.curves if report.receptive_fields else ()
    cells = list(dict.fromkeys(curve.cell for curve in curves))[:_MAX_CELLS]
    figure, panels = panel_grid(2 * len(cells), width=3.6, height=2.7, columns=2, is_shared=False)
    treatments = [arm.name for arm in report.arms if arm.name != report.control]
    for row, cell in enumerate(cells):
        for place, (name, words) in enumerate(_QUANTITIES.items()):
            axes = panels[2 * row + place]
            of_panel = [curve for curve in curves if curve.cell == cell and curve.metric == name]
            _draw(axes, of_panel, treatments)
            axes.set_title(f"{cell_title(cell)}\n{words}" if len(cells) > 1 else words, fontsize=_NORMAL)
            if name == "r_squared":
                axes.axhline(GOOD_R_SQUARED, color="#6B6B6B", lw=0.9, ls=":", zorder=1)
    if cells:
        figure.supxlabel("epochs trained\nthick: mean over seeds, thin: single seeds", fontsize=_SMALL)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right upper", fontsize=_SMALL, frameon=False)
    return figure


def _draw(axes: Axes, curves: Sequence[FieldCurve], treatments: Sequence[str]) -> None:
    for curve in curves:
        color, mark = CONTROL_COLOR, "o"
        if curve.arm in treatments:
            style = treatments.index(curve.arm)
            color, mark = TREATMENT_COLORS[style % len(TREATMENT_COLORS)], _MARKS[style % len(_MARKS)]
        for seed in curve.seeds:
            axes.plot(curve.epochs, seed.values, color=color, lw=0.7, alpha=0.35)
        axes.plot(
            curve.epochs, curve.mean, color=color, marker=mark, ms=4.5, mec="white", mew=0.6, lw=2.0, label=curve.arm
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    clean(axes)
