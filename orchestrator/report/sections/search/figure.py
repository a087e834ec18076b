"""The search phase as a picture: the score against the one searched path, or parallel coordinates for more of them."""

import itertools
import math
from collections.abc import Callable, Sequence
from textwrap import fill

import matplotlib as mpl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from pydantic import JsonValue

from orchestrator.report.content.report import Report
from orchestrator.report.content.search import Candidate, SearchSummary
from orchestrator.report.drawing.panels import (
    INK,
    MAX_PANELS,
    SMALL,
    cell_title,
    clean,
    more_words,
    panel_grid,
    wrapped,
)
from orchestrator.report.sections.search.axis import height_of, is_number, marks_of, short_text
from orchestrator.report.sections.search.tables import control_words, interval_of_level
from orchestrator.report.words.answers import field_words, metric_words
from orchestrator.report.words.numbers import level_unit, percent
from orchestrator.search.space import Choice, Distribution, LogUniform
from orchestrator.statistics.metric import metric_named

_FAINT, _BLUE, _CONTROL = "#B8B8B8", "#0072B2", "#D55E00"
_TINY = 7.5
_MAX_TICKS = 10
_MAX_PLAIN_DECADES = 2.2
_INCHES_PER_AXIS = 1.25
_LETTERS_PER_AXIS = 18
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def has_candidates(report: Report) -> bool:
    """Whether there is anything to draw."""
    return any(search.candidates for search in report.searches)


def search_figure(report: Report) -> Figure:
    """One panel per cell and searched arm, with the control's level by the same metric."""
    found = [search for search in report.searches if search.candidates]
    shown = found[:MAX_PANELS]
    num_arms = len({search.arm for search in shown})
    num_axes = max((len(search.space) + 1 for search in shown if len(search.space) > 1), default=0)
    width = max(3.7, _INCHES_PER_AXIS * num_axes)
    figure, panels = panel_grid(len(shown), width=width, height=3.3, columns=num_arms, is_shared=False)
    ranges = {
        metric: score_range([search for search in found if search.metric == metric])
        for metric in {search.metric for search in shown}
    }
    for axes, search in zip(panels, shown, strict=True):
        axes.set_title(f"{search.arm}\n{wrapped(cell_title(search.cell), width)}", fontsize=SMALL)
        if len(search.space) == 1:
            _draw_one_path(axes, search, report)
            axes.set_ylim(*ranges[search.metric])
        else:
            _draw_many_paths(axes, search, report, ranges[search.metric])
    if len(found) > len(shown):
        figure.supxlabel(more_words(len(found) - len(shown), "panel").strip(), fontsize=SMALL)
    return figure


def score_range(searches: Sequence[SearchSummary]) -> tuple[float, float]:
    """Of all seeds' scores and the controls' levels, with a margin: panels of one metric can be held side by side.

    Intervals may reach beyond it: that of two seeds is nine times as wide as their sd.
    """
    scale = metric_named(searches[0].metric).scale
    levels = [
        scale * seed.value
        for search in searches
        for candidate in search.candidates
        for seed in candidate.seeds
        if seed.value is not None
    ]
    levels += [scale * search.control.mean for search in searches if search.control is not None]
    low, high = (min(levels), max(levels)) if levels else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _metric_label(search: SearchSummary) -> str:
    unit = level_unit(metric_named(search.metric).unit)
    return f"{metric_words(search.metric)}{f' ({unit})' if unit else ''}"


# ---- one path ----


def _draw_one_path(axes: Axes, search: SearchSummary, report: Report) -> None:
    """Mean and interval over seeds against the value; small points are single seeds, a ring is the choice."""
    ((path, distribution),) = search.space.items()
    metric = metric_named(search.metric)
    place = _place_on_axis(axes, distribution)
    _draw_control(axes, search, report)
    for candidate in search.candidates:
        x = place(candidate)
        values = [metric.scale * seed.value for seed in candidate.seeds if seed.value is not None]
        if candidate.score is None:
            # On the lower edge: tried, without a score.
            axes.plot([x], [0.02], "x", color=_FAINT, ms=5, transform=axes.get_xaxis_transform(), zorder=3)
            continue
        axes.plot([x] * len(values), values, ".", color=_BLUE, ms=4, alpha=0.45, mew=0, zorder=3)
        found = interval_of_level(candidate.score, candidate.score_sd, candidate.num_seeds, report.confidence)
        half_width = None if found is None else [metric.scale * (found[1] - found[0]) / 2]
        mark = "o" if candidate.num_failed == 0 else "s"
        mean = [metric.scale * candidate.score]
        axes.errorbar([x], mean, yerr=half_width, fmt=mark, color=_BLUE, ms=5, capsize=3, lw=1.2, mec="white", zorder=4)
        if candidate.is_chosen:
            axes.plot([x], mean, "o", ms=12, mfc="none", mec=INK, mew=1.4, zorder=5)
    clean(axes)
    axes.set_xlabel(field_words(path), fontsize=SMALL)
    axes.set_ylabel(_metric_label(search), fontsize=SMALL)
    _legend(axes, search, report)


def _draw_control(axes: Axes, search: SearchSummary, report: Report) -> None:
    if search.control is None:
        return
    scale, level = metric_named(search.metric).scale, search.control
    found = interval_of_level(level.mean, level.sd, level.num_seeds, report.confidence)
    if found is not None:
        axes.axhspan(scale * found[0], scale * found[1], color=_CONTROL, alpha=0.14, lw=0, zorder=0)
    axes.axhline(scale * level.mean, color=_CONTROL, lw=1.2, ls="--", zorder=1)


def _legend(axes: Axes, search: SearchSummary, report: Report) -> None:
    line = mpl.lines.Line2D
    several = any(candidate.num_seeds > 1 for candidate in search.candidates)
    interval = f"mean, {percent(report.confidence)} interval over seeds"
    label = f"candidate: {interval}, cut at the frame" if several else "candidate (one seed each)"
    handles = [line([], [], color=_BLUE, marker="o", mec="white", ls="", label=label)]
    if search.chosen is not None:
        handles.append(line([], [], color=INK, marker="o", mfc="none", ms=9, ls="", label="chosen"))
    if any(candidate.score is not None and candidate.num_failed for candidate in search.candidates):
        words = "candidate that some seeds failed for: not chosen"
        handles.append(line([], [], color=_BLUE, marker="s", mec="white", ls="", label=words))
    if any(candidate.score is None for candidate in search.candidates):
        handles.append(line([], [], color=_FAINT, marker="x", ls="", label="failed, stopped or open"))
    if search.control is not None:
        words = control_words(search.control, report.control, search.metric, report.decimals, report.confidence)
        handles.append(line([], [], color=_CONTROL, ls="--", label=words))
    # Below the panel: wherever it stood inside it would cover points.
    axes.legend(handles=handles, fontsize=_TINY, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _place_on_axis(axes: Axes, distribution: Distribution) -> Callable[[Candidate], float]:
    """Prepare the x axis; gives where a candidate stands on it."""

    def value_of(candidate: Candidate) -> JsonValue:
        (value,) = candidate.params.values()
        return value

    def number_of(candidate: Candidate) -> float:
        return float(value_of(candidate))  # type: ignore[arg-type]  # what is not a number came back earlier

    if not isinstance(distribution, Choice):
        if isinstance(distribution, LogUniform):
            _set_log_scale(axes)
            _write_plain(axes, distribution)
        return number_of
    values = list(distribution.values)
    numbers = sorted(float(value) for value in values if is_number(value))  # type: ignore[arg-type]
    if len(numbers) < len(values):
        axes.set_xticks(range(len(values)), [short_text(value) for value in values], rotation=20, ha="right")
        axes.set_xlim(-0.5, len(values) - 0.5)
        return lambda candidate: float(distribution.place_of(value_of(candidate)))
    if _is_geometric(numbers):
        _set_log_scale(axes)
    if len(numbers) <= _MAX_TICKS:
        axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
        axes.set_xticks([], minor=True)
    return number_of


def _set_log_scale(axes: Axes) -> None:
    """Powers of ten as Unicode, `10⁻³`: matplotlib's own marks are formulas, which no text of ours is."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _power_text(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _power_text(value: float) -> str:
    exponent = round(math.log10(value))
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}" if math.isclose(10.0**exponent, value) else f"{value:g}"


def _write_plain(axes: Axes, distribution: LogUniform) -> None:
    """`0.5, 1, 2, 5`, where powers of ten alone would be one or two marks."""
    if distribution.high / distribution.low < 10**_MAX_PLAIN_DECADES:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())


def _is_geometric(numbers: Sequence[float]) -> bool:
    """Whether listed values are rather factors than steps apart."""
    if len(numbers) < 3 or numbers[0] <= 0:
        return len(numbers) == 2 and numbers[0] > 0 and numbers[1] / numbers[0] >= 10

    def unevenness(values: Sequence[float]) -> float:
        gaps = [high - low for low, high in itertools.pairwise(values)]
        return (max(gaps) - min(gaps)) / sum(gaps)

    return unevenness([math.log(number) for number in numbers]) < unevenness(numbers)


# ---- several paths ----


def _draw_many_paths(axes: Axes, search: SearchSummary, report: Report, scores: tuple[float, float]) -> None:
    """One line per candidate through all its values to its score; the better, the darker."""
    metric = metric_named(search.metric)
    paths = sorted(search.space, key=lambda path: -search.importance.get(path, 0.0))
    low, high = scores
    across = range(len(paths) + 1)
    for candidate in reversed(search.candidates):
        heights = [height_of(search.space[path], candidate.params[path]) for path in paths]
        if candidate.score is None:
            axes.plot(across[:-1], heights, color=_FAINT, lw=0.8, ls=":", zorder=1)
            continue
        height = (metric.scale * candidate.score - low) / (high - low)
        rank = height if metric.higher_is_better else 1 - height
        # viridis without its pale end, which vanishes on white; dark is good.
        color = colormaps["viridis"](0.85 * (1 - rank))
        axes.plot(across, [*heights, height], color=color, lw=1.2, alpha=0.85, zorder=2 + rank)
        if candidate.is_chosen:
            axes.plot(across, [*heights, height], color=_CONTROL, lw=2.6, marker="o", ms=4, zorder=6)
    for x, path in enumerate(paths):
        _vertical(axes, x, marks_of(search.space[path]))
    _vertical(axes, len(paths), [((level - low) / (high - low), f"{level:.4g}") for level in (low, high)], right=True)
    if search.control is not None:
        height = (metric.scale * search.control.mean - low) / (high - low)
        axes.plot([len(paths) - 0.12, len(paths) + 0.12], [height, height], color=INK, lw=2.2, zorder=7)
    shares = {path: f"\nimportance {100 * share:.0f} %" for path, share in search.importance.items()}
    names = [fill(field_words(path), _LETTERS_PER_AXIS) + shares.get(path, "") for path in paths]
    axes.set_xticks(list(across), [*names, fill(_metric_label(search), _LETTERS_PER_AXIS)], fontsize=_TINY)
    axes.set_yticks([])
    axes.set_xlim(-0.35, len(paths) + 0.45)
    axes.set_ylim(-0.06, 1.06)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    _many_legend(axes, search, report)


def _many_legend(axes: Axes, search: SearchSummary, report: Report) -> None:
    line = mpl.lines.Line2D
    handles = [line([], [], color=colormaps["viridis"](0.0), label="candidate (dark: better)")]
    if search.chosen is not None:
        handles.append(line([], [], color=_CONTROL, lw=2.6, marker="o", ms=4, label="chosen"))
    if any(candidate.score is None for candidate in search.candidates):
        handles.append(line([], [], color=_FAINT, ls=":", label="failed, stopped or open"))
    if search.control is not None:
        words = control_words(search.control, report.control, search.metric, report.decimals, report.confidence)
        handles.append(line([], [], color=INK, lw=2.2, label=words))
    axes.legend(handles=handles, fontsize=_TINY, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.24))


def _vertical(axes: Axes, x: int, marks: Sequence[tuple[float, str]], *, right: bool = False) -> None:
    axes.plot([x, x], [0, 1], color=INK, lw=0.9, zorder=5)
    for height, text in marks:
        side = 0.05 if right else -0.05
        axes.text(
            x + side,
            height,
            text,
            fontsize=_TINY,
            ha="left" if right else "right",
            va="center",
            color=INK,
            zorder=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )
