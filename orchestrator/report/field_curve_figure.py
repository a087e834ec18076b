"""How receptive fields change while models train."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.report.arm_style import ArmStyle, arm_style
from orchestrator.report.content import Report
from orchestrator.report.field_captions import CURVES, MAPS
from orchestrator.report.field_content import FieldCurve
from orchestrator.report.field_map_figure import field_map_figure
from orchestrator.report.figures import cell_title, clean, panel_grid
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED

_SMALL, _NORMAL = 8.5, 9.5
_MAX_CELLS = 8
_QUANTITIES = {
    "rms_radius_tokens": "rms radius (tokens)",
    "r_squared": f"R² of each seed's fit (dotted: {GOOD_R_SQUARED})",
}


def field_figures(report: Report) -> dict[str, Callable[[Report], Figure]]:
    """Name -> the figures of receptive fields that this report has something for."""
    figures: dict[str, Callable[[Report], Figure]] = {}
    if report.receptive_fields and report.receptive_fields.means:
        figures[MAPS] = field_map_figure
    if report.receptive_fields and report.receptive_fields.curves:
        figures[CURVES] = field_curve_figure
    return figures


def field_curve_figure(report: Report) -> Figure:
    """Width (rms radius) and R^2 over epochs: mean over seeds thick, single seeds thin; one row per cell."""
    curves = report.receptive_fields.curves if report.receptive_fields else ()
    cells = list(dict.fromkeys(curve.cell for curve in curves))[:_MAX_CELLS]
    figure, panels = panel_grid(2 * len(cells), width=3.6, height=2.7, columns=2, is_shared=False)
    styles = {arm.name: arm_style(arm.name, [each.name for each in report.arms], report.control) for arm in report.arms}
    for row, cell in enumerate(cells):
        for place, (name, words) in enumerate(_QUANTITIES.items()):
            axes = panels[2 * row + place]
            of_panel = [curve for curve in curves if curve.cell == cell and curve.metric == name]
            _draw(axes, of_panel, styles)
            axes.set_title(f"{cell_title(cell)}\n{words}" if len(cells) > 1 else words, fontsize=_NORMAL)
            if name == "r_squared":
                axes.axhline(GOOD_R_SQUARED, color="#6B6B6B", lw=0.9, ls=":", zorder=1)
    if cells:
        figure.supxlabel(
            "epochs trained (each epoch's own weights)\nthick: mean over seeds, thin: single seeds", fontsize=_SMALL
        )
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right upper", fontsize=_SMALL, frameon=False)
    return figure


def _draw(axes: Axes, curves: Sequence[FieldCurve], styles: Mapping[str, ArmStyle]) -> None:
    for curve in curves:
        color, mark = styles[curve.arm]
        for seed in curve.seeds:
            axes.plot(curve.epochs, seed.values, color=color, lw=0.7, alpha=0.35)
        axes.plot(
            curve.epochs, curve.mean, color=color, marker=mark, ms=4.5, mec="white", mew=0.6, lw=2.0, label=curve.arm
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    clean(axes)
