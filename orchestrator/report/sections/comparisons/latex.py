r"""Every comparison as one LaTeX table, a row each; the pooled effects below."""

from collections.abc import Sequence

from orchestrator.report.content.report import Report
from orchestrator.report.words.answers import cell_count, metric_words
from orchestrator.report.words.latex_text import bold, escape, footer, interval, label, math, mean_sd, table
from orchestrator.report.words.numbers import MISSING, fixed, level_unit, percent, signed
from orchestrator.statistics.comparison import Comparison, PooledEffect, RandomEffectsMean, Verdict, simultaneous_means
from orchestrator.statistics.p_text import p_text
from trainers.counted import counted


def comparison_rows(report: Report) -> str:
    """The table."""
    level = escape(level_unit(report.unit))
    level = f" ({level})" if level else ""
    unit = f" ({escape(report.unit)})" if report.unit else ""
    header = (
        rf"Arm & $n$ & Control{level} & Treatment{level} & "
        rf"$\Delta${unit} & {escape(percent(report.confidence))} CI & simultaneous & $p$ \\"
    )
    rows: list[str] = []
    cell = None
    for comparison in report.comparisons:
        if comparison.cell != cell and len(report.cells) > 1:
            rows += [r"\addlinespace"] if rows else []
            rows.append(_heading(f"{comparison.cell.dataset}, {comparison.cell.model}"))
        cell = comparison.cell
        rows.append(_comparison_row(comparison, report.decimals))
    if report.pooled:
        rows += [r"\midrule", _heading("Pooled over cells: mean within each seed, then over seeds")]
    for effect in report.pooled:
        cells = f"{cell_count(effect, len(report.cells))} cells, {counted(effect.num_seeds, 'seed')}"
        rows.append(_pooled_row(effect.treatment, cells, effect, report.decimals))
        if effect.random_effects is not None:
            cells = f"{effect.random_effects.num_cells} cells as if independent, all pairs"
            rows.append(_pooled_row("random effects", cells, effect.random_effects, report.decimals))
    return table(
        columns="lrrrrrrr",
        header=header,
        rows=rows,
        caption=f"{caption(report)} {_what_is_compared(report)}",
        label=label(report),
        below=footer(report),
        size="footnotesize",
    )


def _what_is_compared(report: Report) -> str:
    """Model and data set, where the rows don't name them, and what each treatment adds."""
    (cell, *others) = report.cells
    where = "" if others else f"{escape(cell.dataset)}, {escape(cell.model)}. "
    arms = "; ".join(f"{escape(arm.name)}: {escape(arm.description)}" for arm in report.arms if arm.role == "treatment")
    return f"{where}{arms}."


def _heading(text: str) -> str:
    return rf"\multicolumn{{8}}{{@{{}}l}}{{\emph{{{escape(text)}}}}} \\"


def _pooled_row(name: str, cells: str, pooled: PooledEffect | RandomEffectsMean, decimals: int) -> str:
    mean = math(signed(pooled.effect, decimals))
    ends = interval(pooled.ci_low, pooled.ci_high, decimals)
    return rf"{escape(name)} & \multicolumn{{3}}{{l}}{{{cells}}} & {mean} & {ends} & & \\"


def _comparison_row(comparison: Comparison, decimals: int) -> str:
    """One row, without model and data set."""
    cells = [
        escape(comparison.treatment),
        str(comparison.num_pairs),
        mean_sd(comparison.control_mean, comparison.control_sd, decimals),
        mean_sd(comparison.treatment_mean, comparison.treatment_sd, decimals),
        delta(comparison, decimals),
        interval(comparison.ci_low, comparison.ci_high, decimals),
        _simultaneous(comparison, decimals),
        math(p_text(comparison.p_holm, level=comparison.level)),
    ]
    return " & ".join(cells) + r" \\"


def _simultaneous(comparison: Comparison, decimals: int) -> str:
    text = comparison.simultaneous_text(lambda end: fixed(end, decimals)).replace("∞", r"\infty")
    return math(text or MISSING)


def delta(comparison: Comparison, decimals: int) -> str:
    """The effect: bold if p confirms it, with a star if only the interval excludes 0."""
    text = math(signed(comparison.effect, decimals))
    if comparison.verdict is Verdict.SUGGESTIVE:
        return rf"{text[:-1]}^{{*}}$"
    return bold(text) if comparison.is_confirmed else text


def caption(report: Report, *, is_matrix: bool = False) -> str:
    """What a table of comparisons must say: metric, seeds, split, interval, test, marks."""
    counts = sorted({comparison.num_pairs for comparison in report.comparisons})
    pairs = "--".join(str(count) for count in dict.fromkeys([counts[0], counts[-1]])) if counts else "0"
    holm = ", Holm-corrected over all comparisons" if len(report.comparisons) > 1 else ""
    spread, count = ("", "") if is_matrix else (r" $\pm$ sd", " ($n$)")
    where = ", below it" if is_matrix else ""
    words = report.basis.interval_words
    sentences = [
        f"{_capital(metric_words(report.metric))}, mean{spread} over {pairs} paired seeds{count}; {_scored(report)}. ",
        rf"$\Delta$ is the mean paired difference with its {escape(percent(report.confidence))} ",
        f"{words.replace(' t ', ' $t$ ')}{where}; bold: it excludes 0 and $p < {1 - report.confidence:.2g}$ ",
        f"({report.basis.test_words}{holm}).",
    ]
    if any(comparison.verdict is Verdict.SUGGESTIVE for comparison in report.comparisons):
        sentences.append(" $^{*}$: the interval excludes 0, but $p$ does not confirm it.")
    if not is_matrix:
        sentences += [f" {_capital(simultaneous_means(len(report.comparisons)))}.", _pairing(report)]
    return "".join(sentences)


def _scored(report: Report) -> str:
    """On which images, and with which weights."""
    if report.origin is not None:
        return f"results of {escape(report.origin.source)}, not trained by sigmalab"
    if report.spec is not None and report.spec.task.runs_itself:
        return "trained and scored by a script of our own"
    is_trained = report.spec is None or report.spec.optimization.epochs > 0
    group = report.metric.partition("/")[0]
    if group == "best_val" and is_trained:
        return "scored on the validation split, which also chose the epoch"
    where = {"test": "scored once on the test split", "best_val": "scored on the validation split"}
    at = "at its best validation epoch" if is_trained else "with its initial weights"
    return f"each trial is {where.get(group, 'looked at on validation images')}, {at}"


def _pairing(report: Report) -> str:
    """What pairing gained, from the least to the most."""
    gains = [comparison.pairing for comparison in report.comparisons if comparison.pairing is not None]
    if not gains:
        return ""
    correlations = [gain.correlation for gain in gains if gain.correlation is not None]
    parts = [f"correlation within pairs {_range(correlations, 2)}"] if correlations else []
    ratios = _range([gain.unpaired_ratio for gain in gains], 1)
    parts.append(f"unpaired, the same standard error would take {ratios} times as many runs")
    return f" {_capital('; '.join(parts))}."


def _range(values: Sequence[float], decimals: int) -> str:
    ends = dict.fromkeys(fixed(end, decimals) for end in (min(values), max(values)))
    return " to ".join(ends)


def _capital(text: str) -> str:
    return escape(text[:1].upper() + text[1:])
