"""How receptive fields change while models train."""

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.report.content.receptive_fields import FieldCurve
from orchestrator.report.content.report import Report
from orchestrator.report.drawing.arm_style import ArmStyle, arm_style
from orchestrator.report.drawing.panels import NORMAL, SMALL, cell_title, clean, panel_grid, shared_legend
from orchestrator.report.sections.receptive_fields.choice import curves_in_report
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED

_QUANTITIES = {
    "rms_radius_tokens": "rms radius (tokens)",
    "r_squared": f"R² of each seed's fit (dotted: {GOOD_R_SQUARED})",
}


def field_curve_figure(report: Report) -> Figure:
    """Width (rms radius) and R^2 over epochs: mean over seeds thick, single seeds thin; one row per cell."""
    curves = report.receptive_fields.curves if report.receptive_fields else ()
    cells, left_out = curves_in_report(report.receptive_fields)
    figure, panels = panel_grid(2 * len(cells), width=3.6, height=2.7, columns=2, is_shared=False)
    names = [arm.name for arm in report.arms]
    styles = {name: arm_style(name, names, report.control) for name in names}
    drawn: dict[str, Artist] = {}
    for row, cell in enumerate(cells):
        for place, (name, words) in enumerate(_QUANTITIES.items()):
            axes = panels[2 * row + place]
            of_panel = [curve for curve in curves if curve.cell == cell and curve.metric == name]
            drawn |= _draw(axes, of_panel, styles)
            axes.set_title(f"{cell_title(cell)}\n{words}" if len(cells) > 1 else words, fontsize=NORMAL)
            if name == "r_squared":
                axes.axhline(GOOD_R_SQUARED, color="#6B6B6B", lw=0.9, ls=":", zorder=1)
    if cells:
        words = "epochs trained (each epoch's own weights)\nthick: mean over seeds, thin: single seeds"
        figure.supxlabel(f"{words}\n{left_out}".strip(), fontsize=SMALL)
        shared_legend(figure, drawn, names)
    return figure


def _draw(axes: Axes, curves: Sequence[FieldCurve], styles: Mapping[str, ArmStyle]) -> dict[str, Artist]:
    """The thick lines by arm."""
    lines: dict[str, Artist] = {}
    for curve in curves:
        color, mark = styles[curve.arm]
        for seed in curve.seeds:
            axes.plot(curve.epochs, seed.values, color=color, lw=0.7, alpha=0.35)
        (lines[curve.arm],) = axes.plot(
            curve.epochs, curve.mean, color=color, marker=mark, ms=4.5, mec="white", mew=0.6, lw=2.0
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    clean(axes)
    return lines
