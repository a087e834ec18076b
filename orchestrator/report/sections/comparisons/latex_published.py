r"""What publications of a task print side by side, in one LaTeX table: an arm per row, metrics as columns."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from orchestrator.report.content.report import Report
from orchestrator.report.words.latex_text import escape, footer, interval, label, math, table
from orchestrator.report.words.numbers import fixed, level_unit, percent, signed
from orchestrator.statistics.comparison import Basis, Cell, Comparison
from orchestrator.statistics.inference import complete, inference_beside
from orchestrator.status import Phase
from trainers.metrics import Metric

_COLUMNS = 2
"""Of each metric: its mean and the difference from the control."""


def published_table(report: Report) -> Iterator[str]:
    """The table, of a task whose publications print several metrics."""
    if report.spec is None or not report.cells or len(report.spec.task.published) < 2:
        return
    task, headings = report.spec.task, report.spec.task.published
    metrics = [metric for name in headings for metric in task.metrics if metric.name == name]
    rows: list[str] = []
    for cell in report.cells:
        if len(report.cells) > 1:
            rows += [r"\addlinespace"] if rows else []
            title = escape(f"{cell.dataset}, {cell.model}")
            rows.append(rf"\multicolumn{{{1 + _COLUMNS * len(metrics)}}}{{@{{}}l}}{{\emph{{{title}}}}} \\")
        rows += _rows(report, cell, metrics)
    first = " & ".join(rf"\multicolumn{{{_COLUMNS}}}{{c}}{{{_heading(each)}}}" for each in headings.values())
    yield table(
        columns="l" + "rr" * len(metrics),
        header=rf"Arm & {first} \\",
        rows=rows,
        caption=_caption(report, metrics, headings),
        label=label(report, "published"),
        below=footer(report),
    )


def _rows(report: Report, cell: Cell, metrics: Sequence[Metric]) -> list[str]:
    rows = []
    for arm in report.arms:
        comparison = next(
            (each for each in report.comparisons if (each.cell, each.treatment) == (cell, arm.name)), None
        )
        values = [_values(report, cell, arm.name, metric) for metric in metrics]
        levels = [math(fixed(fmean(each.values()), report.decimals)) if each else "--" for each in values]
        if comparison is None:
            rows.append(rf"{escape(arm.label or arm.name)} & {' & & '.join(levels)} & \\[1pt]")
            continue
        effects = [_effect(report, comparison, each, metric) for each, metric in zip(values, metrics, strict=True)]
        numbers = " & ".join(f"{level} & {effect}" for level, (effect, _) in zip(levels, effects, strict=True))
        below = " & ".join(rf"\multicolumn{{{_COLUMNS}}}{{r}}{{{ends}}}" for _, ends in effects)
        rows += [rf"{escape(arm.label or arm.name)} & {numbers} \\*", rf" & {below} \\[1pt]"]
    return rows


def _effect(report: Report, comparison: Comparison, treated: dict[int, float], metric: Metric) -> tuple[str, str]:
    """Mean paired difference and its interval, as text; of the claimed metric those of its comparison."""
    if _key(report, metric) == comparison.metric:
        if comparison.effect is None:
            return "--", "--"
        ends = interval(comparison.ci_low, comparison.ci_high, report.decimals)
        return math(signed(comparison.effect, report.decimals)), ends
    control = _values(report, comparison.cell, comparison.control, metric)
    seeds = [pair.seed for pair in comparison.pairs if pair.effect is not None]
    differences = [treated[seed] - control[seed] if seed in treated and seed in control else None for seed in seeds]
    if not (there := complete(differences)):
        return "--", "--"
    low, high = inference_beside(comparison.basis).interval(differences, report.confidence) or (None, None)
    return math(signed(fmean(there), report.decimals)), interval(low, high, report.decimals)


def _values(report: Report, cell: Cell, arm: str, metric: Metric) -> dict[int, float]:
    """Seed -> the metric, in its unit, of the trials that are compared."""
    name = _key(report, metric)
    return {
        trial.seed: metric.scale * trial.metrics[name]
        for trial in report.trials
        if trial.phase is Phase.CONFIRM and (trial.cell, trial.arm) == (cell, arm) and name in trial.metrics
    }


def _key(report: Report, metric: Metric) -> str:
    """Its name on the split of the claimed one, such as `test/ap_mask`."""
    return f"{report.metric.partition('/')[0]}/{metric.name}"


def _heading(text: str) -> str:
    """`AP_box` with its second half as an index."""
    head, _, below = text.partition("_")
    return rf"{escape(head)}$_{{\mathrm{{{escape(below)}}}}}$" if below else escape(head)


def _caption(report: Report, metrics: Sequence[Metric], headings: Mapping[str, str]) -> str:
    units = {metric.unit for metric in metrics}
    level = f", in {escape(level_unit(units.pop()))}" if len(units) == 1 else ""
    others = "Only the claimed metric is tested; the others are read beside it."
    return (
        f"Means over seeds{level}; beside each its mean paired difference from the control, below it the "
        f"{escape(percent(report.confidence))} {_interval_words(report, metrics, headings)}. {others}"
    )


def _interval_words(report: Report, metrics: Sequence[Metric], headings: Mapping[str, str]) -> str:
    """Which interval stands below: a plan of looks is the claimed metric's own."""
    claims, beside = report.basis, inference_beside(report.basis).basis
    claimed = [headings[each.name] for each in metrics if _key(report, each) == report.metric]
    if claims is beside or not claimed:
        return _with_italics(beside)
    return f"{_with_italics(claims)} of {_heading(claimed[0])}, and {_with_italics(beside)} of the others"


def _with_italics(basis: Basis) -> str:
    return basis.interval_words.replace(" t ", " $t$ ")
