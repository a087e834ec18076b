"""The report's pictures: effects with intervals, pairs, and sigma over epochs.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; marks differ in shape too. Drawn with
matplotlib's object interface (no pyplot), so that any thread may draw.
"""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, cast

import matplotlib as mpl
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.report.content import BiasSeries, Report
from orchestrator.report.numbers import fixed, level_unit, percent, signed
from orchestrator.report.wording import cell_count, metric_words
from orchestrator.statistics.comparison import Cell, Comparison, Verdict

# Element ids of an SVG come from this salt instead of a random one: the same report gives the same file.
mpl.rcParams["svg.hashsalt"] = "sigmalab"
# A folder may be called `cost$x_1$y`: names are no formulas, and our own texts write R², σ and 10⁻³ without any.
mpl.rcParams["text.parse_math"] = False

VERDICT_COLORS = {
    Verdict.IMPROVED: "#0072B2",
    Verdict.WORSE: "#D55E00",
    Verdict.LARGER: "#0072B2",
    Verdict.SMALLER: "#0072B2",
    Verdict.SUGGESTIVE: "#8A5A9E",
    Verdict.EQUIVALENT: "#009E73",
    Verdict.INCONCLUSIVE: "#6B6B6B",
}
_VERDICT_MARKS = {
    Verdict.IMPROVED: "D",
    Verdict.WORSE: "X",
    Verdict.LARGER: "^",
    Verdict.SMALLER: "v",
    Verdict.SUGGESTIVE: "d",
    Verdict.EQUIVALENT: "s",
    Verdict.INCONCLUSIVE: "o",
}
_INK, _FAINT = "#1A1A1A", "#B8B8B8"
_SMALL, _NORMAL, _TITLE = 8.5, 9.5, 11.0
_LINE_INCHES = 0.29
_PAIR_INCHES, _SIGMA_INCHES = 2.7, 3.5
MIN_SIGMA_RANGE = 0.1
"""In tokens: no picture of sigma shows less, whatever the values."""
_MAX_STYLED_LAYERS = 3
_MAX_COLUMNS = 3
# Wide enough for the widest common text in the default font at `_NORMAL`.
_INCHES_PER_CHARACTER = 0.082
MAX_PANELS = 24
"""A figure shows at most so many cells or comparisons, and says how many more there are; the tables show all."""


def render(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """Bytes of a picture file, the same ones for the same figure."""
    file = io.BytesIO()
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        # Laid out once, here: left to itself matplotlib does it again for each file, and draws everything twice for it.
        engine.execute(figure)
        figure.set_layout_engine(None)
    # matplotlib writes today's date into an SVG and its version into a PNG unless told otherwise.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(file, format=kind, dpi=200, metadata=metadata, facecolor="white")
    return file.getvalue()


def more_words(num_left_out: int, what: str) -> str:
    """The line of a figure that does not show all: `Not shown: + 2 more panels; the tables have all`.

    Args:
        num_left_out: how many; without any, there is nothing to say.
        what: one of them.
    """
    plural = "" if num_left_out == 1 else "s"
    return f"\nNot shown: + {num_left_out} more {what}{plural}; the tables have all." if num_left_out else ""


def shared_legend(figure: Figure, drawn: Mapping[str, Artist | ErrorbarContainer], names: Iterable[str]) -> None:
    """One legend for all panels.

    Args:
        figure: with constrained layout.
        drawn: name -> a line or mark of it, from whichever panel has it: the first panel may lack what others show.
        names: in the legend's order; those that no panel shows are left out.
    """
    # Not by labels of lines: matplotlib hides those that begin with `_`, as names of folders may.
    shown = [name for name in names if name in drawn]
    # matplotlib draws containers too; only its types do not say so.
    handles = [cast("Artist", drawn[name]) for name in shown]
    figure.legend(handles, shown, loc="outside right upper", fontsize=_SMALL, frameon=False)


def forest_figure(report: Report) -> Figure:
    """Every comparison: the mean with its interval, each pair's difference as a tick, the pooled effects below."""
    shown = report.comparisons[: MAX_PANELS * 2]
    rows: list[_ForestRow] = []
    cell = None
    for comparison in shown:
        if comparison.cell != cell:
            cell = comparison.cell
            rows.append(_ForestRow(heading=cell_title(cell)))
        rows.append(_comparison_row(comparison, report))
    if report.pooled:
        rows.append(_ForestRow(heading="pooled over cells"))
    rows += [
        _ForestRow(
            name=f"{effect.treatment}, {cell_count(effect, len(report.cells))} cells",
            numbers=_numbers(effect.effect, effect.ci_low, effect.ci_high, report.decimals),
            effect=effect.effect,
            low=effect.ci_low,
            high=effect.ci_high,
        )
        for effect in report.pooled
    ]
    return _draw_forest(report, rows, more_words(len(report.comparisons) - len(shown), "comparison"))


class _ForestRow(NamedTuple):
    """One line of the forest: a heading, or a treatment with its interval."""

    heading: str = ""
    name: str = ""
    numbers: str = ""
    num_pairs: str = ""
    verdict: str = ""
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    pairs: tuple[float, ...] = ()
    color: str = _INK
    mark: str = "D"


def _comparison_row(comparison: Comparison, report: Report) -> _ForestRow:
    decimals = report.decimals
    return _ForestRow(
        name=comparison.treatment,
        numbers=_numbers(comparison.effect, comparison.ci_low, comparison.ci_high, decimals),
        num_pairs=str(comparison.num_pairs),
        verdict=comparison.verdict_text(is_over=report.is_over),
        effect=comparison.effect,
        low=comparison.ci_low,
        high=comparison.ci_high,
        pairs=tuple(pair.effect for pair in comparison.pairs if pair.effect is not None),
        color=VERDICT_COLORS[comparison.verdict],
        mark=_VERDICT_MARKS[comparison.verdict],
    )


def _numbers(effect: float | None, low: float | None, high: float | None, decimals: int) -> str:
    text = signed(effect, decimals)
    if low is not None and high is not None:
        text += f"  [{fixed(low, decimals)}, {fixed(high, decimals)}]"
    return text.replace("-", "−")


def _draw_forest(report: Report, rows: Sequence[_ForestRow], left_out: str) -> Figure:
    """Names left, intervals in the middle, numbers right: widths follow the texts, so that none is clipped."""
    left = 0.3 + _INCHES_PER_CHARACTER * max((len(row.heading or f"  {row.name}") for row in rows), default=0)
    unit = f"  ({report.unit})" if report.unit else ""
    heading = f"effect, {percent(report.confidence)} CI{unit}"
    numbers = 0.25 + _INCHES_PER_CHARACTER * max(len(heading), *(len(row.numbers) for row in rows), 0)
    plot, right = 3.6, numbers + 0.45 + 1.0
    below = 0.78 if left_out else 0.62
    width, height = left + plot + right, 0.33 + below + _LINE_INCHES * (len(rows) + 1)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, below / height, plot / width, (height - 0.1 - below) / height))
    across = axes.get_yaxis_transform()

    def write(inches: float, line: int, text: str, *, ha: str = "left", weight: str = "normal") -> None:
        style = "italic" if line < 0 else "normal"
        place = (inches / plot, line)
        axes.annotate(
            text, place, xycoords=across, ha=ha, va="center", fontsize=_NORMAL, weight=weight, style=style, color=_INK
        )

    for line, row in enumerate(rows):
        if row.heading:
            write(-left + 0.15, line, row.heading, weight="bold")
            continue
        write(-left + 0.3, line, row.name)
        write(plot + 0.15, line, row.numbers)
        write(plot + numbers + 0.2, line, row.num_pairs, ha="right")
        write(plot + numbers + 0.4, line, row.verdict)
        axes.plot(row.pairs, [line + 0.27] * len(row.pairs), ls="", marker="|", ms=5, color=row.color, alpha=0.6)
        _interval(axes, line, row)
    write(plot + 0.15, -1, heading)
    write(plot + numbers + 0.2, -1, "n", ha="right")
    write(plot + numbers + 0.4, -1, "verdict")
    _forest_frame(axes, report, len(rows), left_out)
    return figure


def _interval(axes: Axes, line: int, row: _ForestRow) -> None:
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [line, line], color=row.color, lw=2.0, solid_capstyle="butt", zorder=3)
    if row.effect is not None:
        axes.plot([row.effect], [line], marker=row.mark, ms=7, color=row.color, mec="white", mew=0.8, zorder=4)


def _forest_frame(axes: Axes, report: Report, num_lines: int, left_out: str) -> None:
    margin = max((comparison.equivalence_margin for comparison in report.comparisons), default=0.0)
    if margin > 0:
        axes.axvspan(-margin, margin, color="#009E73", alpha=0.10, lw=0, zorder=0)
    axes.plot([0, 0], [-0.6, num_lines - 0.4], color=_INK, lw=0.9, zorder=1)
    axes.set_ylim(num_lines - 0.4, -1.5)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.margins(x=0.08)
    axes.tick_params(labelsize=_SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7))
    unit = f" ({report.unit})" if report.unit else ""
    what = f"{metric_words(report.metric)}{unit}: treatment − {report.control}"
    axes.set_xlabel(f"{what}\nsmall ticks: single pairs{left_out}", fontsize=_SMALL)


def pair_figure(report: Report) -> Figure:
    """Every pair as a line from control to treatment: do all seeds move the same way?"""
    found = [comparison for comparison in report.comparisons if comparison.num_pairs]
    shown = found[:MAX_PANELS]
    num_treatments = len({comparison.treatment for comparison in shown})
    figure, panels = panel_grid(len(shown), width=_PAIR_INCHES, height=2.9, columns=num_treatments)
    for axes, comparison in zip(panels, shown, strict=True):
        color = VERDICT_COLORS[comparison.verdict]
        for pair in comparison.pairs:
            if pair.control is not None and pair.treatment is not None:
                axes.plot([0, 1], [pair.control, pair.treatment], "-o", color=color, lw=1, ms=3, alpha=0.45)
        if comparison.control_mean is not None and comparison.treatment_mean is not None:
            means = [comparison.control_mean, comparison.treatment_mean]
            axes.plot([0, 1], means, "-o", color=_INK, lw=2.2, ms=5.5, mec="white", zorder=5)
        axes.set_xlim(-0.25, 1.25)
        axes.set_xticks([0, 1], [comparison.control, comparison.treatment])
        changed = f"{signed(comparison.effect, report.decimals)} {comparison.unit}".strip()
        title = f"{wrapped(cell_title(comparison.cell), _PAIR_INCHES)}\n{changed}, n = {comparison.num_pairs}"
        axes.set_title(title, fontsize=_SMALL)
        clean(axes)
    if not shown:
        return figure
    unit = level_unit(report.unit)
    figure.supylabel(f"{metric_words(report.metric)}{f' ({unit})' if unit else ''}", fontsize=_NORMAL)
    words = more_words(len(found) - len(shown), "comparison")
    figure.supxlabel(f"thin: one seed each; thick: mean{words}", fontsize=_SMALL)
    return figure


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
        axes.set_title(f"{first.arm}\n{wrapped(cell_title(first.cell), _SIGMA_INCHES)}", fontsize=_SMALL)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        clean(axes)
    if shown:
        # The panels share their axis, which must have seen all lines before its range is set.
        panels[0].set_ylim(*at_least(MIN_SIGMA_RANGE, *panels[0].get_ylim()))
        single = max(len(series.seeds) for series in bias) == 1
        figure.supylabel("σ (tokens)", fontsize=_NORMAL)
        lines = "" if single else "\nthick: mean over seeds, faint: single seeds"
        figure.supxlabel(f"epochs trained{lines}{more_words(len(panels_of) - len(shown), 'panel')}", fontsize=_SMALL)
        handles = [_layer_handle(layer, num_layers) for layer in reversed(range(num_layers))]
        figure.legend(
            handles=handles,
            loc="outside right upper",
            title="layer",
            fontsize=_SMALL,
            title_fontsize=_SMALL,
            frameon=False,
        )
    return figure


def at_least(width: float, low: float, high: float) -> tuple[float, float]:
    """The range, or a wider one around its middle: what hardly moved must not fill a picture."""
    lacking = max(0.0, width - (high - low)) / 2
    return low - lacking, high + lacking


def _sigma_lines(axes: Axes, series: BiasSeries, num_layers: int) -> None:
    color = _layer_color(series.layer, num_layers)
    style = _layer_style(series.layer, num_layers)
    epochs = range(len(series.mean_by_epoch) + 1)
    for seed in series.seeds:
        axes.plot(range(len(seed.values) + 1), [series.initial, *seed.values], color=color, lw=0.7, alpha=0.3)
    axes.plot(epochs, [series.initial, *series.mean_by_epoch], color=color, lw=2.0, ls=style, zorder=3)
    axes.plot([0], [series.initial], marker="o", ms=4, color=_INK, zorder=4, clip_on=False)


def _layer_color(layer: int, num_layers: int) -> tuple[float, float, float, float]:
    # viridis without its pale end, which vanishes on white.
    red, green, blue, alpha = colormaps["viridis"](0.85 * layer / max(1, num_layers - 1))
    return red, green, blue, alpha


def _layer_style(layer: int, num_layers: int) -> str:
    """Few layers differ in style too; many would only flicker, and their order in the picture tells them apart."""
    return ("-", "--", "-.")[layer] if num_layers <= _MAX_STYLED_LAYERS else "-"


def _layer_handle(layer: int, num_layers: int) -> mpl.lines.Line2D:
    color, style = _layer_color(layer, num_layers), _layer_style(layer, num_layers)
    return mpl.lines.Line2D([], [], color=color, ls=style, lw=2.0, label=str(layer))


def cell_title(cell: Cell) -> str:
    """`digits-300, small_vit_48x3_rel_bias`."""
    return f"{cell.dataset}, {cell.model}"


def wrapped(text: str, width_inches: float) -> str:
    """A small title in as many lines as its panel needs; labels have no spaces, so `_`, `-` and `/` end lines, too.

    Args:
        text: one line.
        width_inches: of the panel.
    """
    room = max(1, int(width_inches / (_INCHES_PER_CHARACTER * _SMALL / _NORMAL)))
    lines = [""]
    for part in re.findall(r"[^\s_/-]+[\s_/-]*|[\s_/-]+", text):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > room:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def panel_grid(
    num_panels: int, *, width: float, height: float, columns: int, is_shared: bool = True
) -> tuple[Figure, Sequence[Axes]]:
    """A figure with so many panels, at most three in a row; one that says so if there are none.

    Args:
        num_panels: panels, row by row.
        width: of a panel, in inches.
        height: of a panel, in inches.
        columns: panels in a row, as far as they fit (1: what would be side by side is one panel, so rows are filled).
        is_shared: whether all have one y axis.
    """
    columns = min(columns if 1 < columns <= _MAX_COLUMNS else _MAX_COLUMNS, max(1, num_panels))
    rows = max(1, math.ceil(num_panels / columns))
    figure = Figure(figsize=(0.9 + width * columns, 0.6 + height * rows), layout="constrained")
    if not num_panels:
        figure.text(0.5, 0.5, "nothing to show yet", ha="center", va="center", fontsize=_TITLE, color=_FAINT)
        return figure, []
    grid = figure.subplots(rows, columns, squeeze=False, sharey=is_shared)
    panels = list(grid.flat)
    for unused in panels[num_panels:]:
        unused.set_axis_off()
    return figure, panels[:num_panels]


def clean(axes: Axes) -> None:
    """The frame that all panels share: no box, faint lines behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=_SMALL)
    axes.grid(axis="y", color="#E6E6E6", lw=0.7)
    axes.set_axisbelow(True)
