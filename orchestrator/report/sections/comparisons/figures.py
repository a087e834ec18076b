"""Effects with their intervals, and every pair, as pictures."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.report.content.report import Report
from orchestrator.report.drawing.drawn_pairs import drawn_pairs, not_all_words
from orchestrator.report.drawing.panels import (
    INCHES_PER_CHARACTER,
    INK,
    MAX_PANELS,
    NORMAL,
    SMALL,
    cell_title,
    clean,
    more_words,
    panel_grid,
    wrapped,
)
from orchestrator.report.drawing.verdict_style import VERDICT_COLORS, VERDICT_MARKS
from orchestrator.report.words.answers import cell_count, metric_words
from orchestrator.report.words.numbers import fixed, level_unit, percent, signed
from orchestrator.statistics.comparison import Comparison


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


_LINE_INCHES = 0.29
_PAIR_INCHES = 2.7


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
    simultaneous: tuple[float | None, float | None] | None = None
    """Ends of the interval that is right for all rows (`None`: nothing bounds it there; of what has none, no pair)."""
    pairs: tuple[float, ...] = ()
    color: str = INK
    mark: str = "D"


def _comparison_row(comparison: Comparison, report: Report) -> _ForestRow:
    decimals = report.decimals
    return _ForestRow(
        name=comparison.treatment,
        numbers=_numbers(comparison.effect, comparison.ci_low, comparison.ci_high, decimals),
        num_pairs=str(comparison.num_pairs),
        verdict=comparison.verdict_text(is_over=report.is_over, is_repeated=report.is_repeated(comparison)),
        effect=comparison.effect,
        low=comparison.ci_low,
        high=comparison.ci_high,
        simultaneous=None if comparison.ci_low is None else (comparison.simultaneous_low, comparison.simultaneous_high),
        pairs=tuple(pair.effect for pair in drawn_pairs(comparison) if pair.effect is not None),
        color=VERDICT_COLORS[comparison.verdict],
        mark=VERDICT_MARKS[comparison.verdict],
    )


def _numbers(effect: float | None, low: float | None, high: float | None, decimals: int) -> str:
    text = signed(effect, decimals)
    if low is not None and high is not None:
        text += f"  [{fixed(low, decimals)}, {fixed(high, decimals)}]"
    return text.replace("-", "−")


def _draw_forest(report: Report, rows: Sequence[_ForestRow], left_out: str) -> Figure:
    """Names left, intervals in the middle, numbers right: widths follow the texts, so that none is clipped."""
    left = 0.3 + INCHES_PER_CHARACTER * max((len(row.heading or f"  {row.name}") for row in rows), default=0)
    unit = f"  ({report.unit})" if report.unit else ""
    heading = f"effect, {percent(report.confidence)} CI{unit}"
    numbers = 0.25 + INCHES_PER_CHARACTER * max(len(heading), *(len(row.numbers) for row in rows), 0)
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
            text, place, xycoords=across, ha=ha, va="center", fontsize=NORMAL, weight=weight, style=style, color=INK
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
    _simultaneous(axes, rows)
    return figure


def _simultaneous(axes: Axes, rows: Sequence[_ForestRow]) -> None:
    """Thin, from end to end; where nothing bounds it, to the frame."""
    finite = [end for row in rows for end in row.simultaneous or () if end is not None]
    axes.update_datalim([(end, 0) for end in finite], updatey=False)
    axes.autoscale_view(scaley=False)
    left, right = axes.get_xlim()
    for line, row in enumerate(rows):
        if row.simultaneous is not None:
            low, high = row.simultaneous
            ends = [left if low is None else low, right if high is None else high]
            axes.plot(ends, [line, line], color=row.color, lw=0.9, solid_capstyle="butt", zorder=2)
    axes.set_xlim(left, right)


def _interval(axes: Axes, line: int, row: _ForestRow) -> None:
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [line, line], color=row.color, lw=2.0, solid_capstyle="butt", zorder=3)
    if row.effect is not None:
        axes.plot([row.effect], [line], marker=row.mark, ms=7, color=row.color, mec="white", mew=0.8, zorder=4)


def _forest_frame(axes: Axes, report: Report, num_lines: int, left_out: str) -> None:
    margin = max((comparison.equivalence_margin for comparison in report.comparisons), default=0.0)
    if margin > 0:
        axes.axvspan(-margin, margin, color="#009E73", alpha=0.10, lw=0, zorder=0)
    axes.plot([0, 0], [-0.6, num_lines - 0.4], color=INK, lw=0.9, zorder=1)
    axes.set_ylim(num_lines - 0.4, -1.5)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.margins(x=0.08)
    axes.tick_params(labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7))
    unit = f" ({report.unit})" if report.unit else ""
    what = f"{metric_words(report.metric)}{unit}: treatment − {report.control}"
    num_rows = len(report.comparisons)
    at_once = f"right for all {num_rows} rows at once" if num_rows > 1 else "of the test that gives p"
    ends = [(each.simultaneous_low, each.simultaneous_high) for each in report.comparisons if each.ci_low is not None]
    if any(None in both for both in ends):
        at_once += " (to the frame: without an end)"
    ticks = f"small ticks: single pairs{not_all_words(report.comparisons)}"
    axes.set_xlabel(f"{what}\n{ticks}; thin: simultaneous, {at_once}{left_out}", fontsize=SMALL)


def pair_figure(report: Report) -> Figure:
    """Every pair as a line from control to treatment: do all seeds move the same way?"""
    found = [comparison for comparison in report.comparisons if comparison.num_pairs]
    shown = found[:MAX_PANELS]
    num_treatments = len({comparison.treatment for comparison in shown})
    figure, panels = panel_grid(len(shown), width=_PAIR_INCHES, height=2.9, columns=num_treatments)
    for axes, comparison in zip(panels, shown, strict=True):
        color = VERDICT_COLORS[comparison.verdict]
        for pair in drawn_pairs(comparison):
            if pair.control is not None and pair.treatment is not None:
                axes.plot([0, 1], [pair.control, pair.treatment], "-o", color=color, lw=1, ms=3, alpha=0.45)
        if comparison.control_mean is not None and comparison.treatment_mean is not None:
            means = [comparison.control_mean, comparison.treatment_mean]
            axes.plot([0, 1], means, "-o", color=INK, lw=2.2, ms=5.5, mec="white", zorder=5)
        axes.set_xlim(-0.25, 1.25)
        axes.set_xticks([0, 1], [comparison.control, comparison.treatment])
        changed = f"{signed(comparison.effect, report.decimals)} {comparison.unit}".strip()
        title = f"{wrapped(cell_title(comparison.cell), _PAIR_INCHES)}\n{changed}, n = {comparison.num_pairs}"
        axes.set_title(title, fontsize=SMALL)
        clean(axes)
    if not shown:
        return figure
    unit = level_unit(report.unit)
    figure.supylabel(f"{metric_words(report.metric)}{f' ({unit})' if unit else ''}", fontsize=NORMAL)
    words = more_words(len(found) - len(shown), "comparison")
    figure.supxlabel(f"thin: one seed each{not_all_words(shown)}; thick: mean{words}", fontsize=SMALL)
    return figure
