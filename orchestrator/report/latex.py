r"""The report as LaTeX: tables to paste into a paper (needs `\usepackage{booktabs}`)."""

import re
from collections import Counter

from orchestrator.report.content import BiasSeries, PositionFit, Report
from orchestrator.report.latex_fields import field_tables, figure_comments
from orchestrator.report.latex_layers import layers_by_dataset
from orchestrator.report.latex_matrix import caption, delta, matrix_tables
from orchestrator.report.latex_text import breakable, escape, footer, interval, label, math, mean_sd, table
from orchestrator.report.numbers import MISSING, fixed, level_unit, p_text, percent, signed
from orchestrator.report.tables import command, layer_name
from orchestrator.report.wording import cell_count
from orchestrator.statistics.comparison import Cell, Comparison, PooledEffect, RandomEffectsMean
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED
from trainers.counted import counted


def to_latex(report: Report) -> str:
    """Tables for a paper: models x data sets, every comparison, what was learned about position, what tokens see."""
    parts = [
        f"% {report.experiment.name}, digest {report.provenance.digest}; again: {command(report)}",
        r"% \usepackage{booktabs} in the preamble; \usepackage[T1]{fontenc} for names with quotation marks.",
        *matrix_tables(report),
        _comparisons(report),
    ]
    if report.curves:
        parts.append("% training.svg and training.png: training by arm, epoch by epoch")
    if len({cell.dataset for cell in report.cells}) > 1:
        parts += layers_by_dataset(report)
    else:
        parts += [_bias(report, cell) for cell in dict.fromkeys(series.cell for series in report.bias)]
        parts += [_position(report, cell) for cell in dict.fromkeys(fit.cell for fit in report.position)]
    parts += [*field_tables(report), *figure_comments(report)]
    parts.append(f"% digest {report.provenance.digest}")
    return _with_own_labels("\n".join(parts)) + "\n"


def _with_own_labels(text: str) -> str:
    """The tables, those numbered on whose labels read alike once they are plain ASCII (`Größe` and `Grüße`)."""
    seen: Counter[str] = Counter()

    def own(found: re.Match[str]) -> str:
        seen[found[0]] += 1
        return found[0] if seen[found[0]] == 1 else rf"\label{{{found[1]}-{seen[found[0]]}}}"

    return re.sub(r"\\label\{([^{}]*)\}", own, text)


def _comparisons(report: Report) -> str:
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
        math(p_text(comparison.p_holm)),
    ]
    return " & ".join(cells) + r" \\"


def _simultaneous(comparison: Comparison, decimals: int) -> str:
    text = comparison.simultaneous_text(lambda end: fixed(end, decimals)).replace("∞", r"\infty")
    return math(text or MISSING)


def _bias(report: Report, cell: Cell) -> str:
    places: dict[tuple[str, str], dict[str, BiasSeries]] = {}
    for series in report.bias:
        if series.cell == cell:
            places.setdefault((series.arm, layer_name(series)), {})[series.quantity] = series
    rows = []
    for (arm, layer), by_quantity in places.items():
        numbers = [_change(by_quantity.get("sigma")), _change(by_quantity.get("amplitude"))]
        rows.append(" & ".join([escape(arm), escape(layer), *numbers]) + r" \\")
    num_seeds = max(len(series.seeds) for series in report.bias if series.cell == cell)
    return table(
        columns="llrr",
        header=r"Arm & Layer & $\sigma$ (tokens) & $A$ \\",
        rows=rows,
        caption=(
            rf"Learned attention bias by layer, {escape(cell.dataset)}, {escape(cell.model)}: initial $\rightarrow$ "
            rf"value after the last epoch, mean $\pm$ sd over {counted(num_seeds, 'seed')}."
        ),
        label=label(report, "sigma", cell.key),
        below=footer(report),
    )


def _change(series: BiasSeries | None) -> str:
    if series is None:
        return "--"
    if not series.is_learned:
        return f"{series.initial:.2f} (fixed)"
    return rf"${series.initial:.2f} \rightarrow$ {mean_sd(series.final_mean, series.final_sd, 2)}"


def _position(report: Report, cell: Cell) -> str:
    """The Gaussian fitted to each layer's own position embedding, arms side by side."""
    fits = [fit for fit in report.position if fit.cell == cell and fit.part != "sum"]
    arms = list(dict.fromkeys(fit.arm for fit in fits))
    layers = list(dict.fromkeys(fit.layer for fit in fits))
    by_place = {(fit.layer, fit.arm): fit for fit in fits}
    rows = []
    for layer in layers:
        found = [by_place.get((layer, arm)) for arm in arms]
        rows.append(" & ".join(["all" if layer is None else str(layer), *map(_fit_cells, found)]) + r" \\")
    groups = " & ".join(rf"\multicolumn{{2}}{{c}}{{{breakable(arm)}}}" for arm in arms)
    rules = "".join(rf"\cmidrule(lr){{{2 * index + 2}-{2 * index + 3}}}" for index in range(len(arms)))
    header = [rf" & {groups} \\", rules, "Layer" + r" & $R^2$ & $\sigma$" * len(arms) + r" \\"]
    return table(
        columns="l" + "rr" * len(arms),
        header="\n".join(header),
        rows=rows,
        caption=(
            rf"Gaussian fitted to each layer's position embedding itself, {escape(cell.dataset)}, "
            rf"{escape(cell.model)}: mean $\pm$ sd over seeds; $\sigma$ in tokens, and only where every seed has a "
            rf"Gaussian ($R^2 \ge {GOOD_R_SQUARED}$, a hill around displacement 0 that fits into the map)."
        ),
        label=label(report, "position", cell.key),
        below=footer(report),
        size="footnotesize",
    )


def _fit_cells(fit: PositionFit | None) -> str:
    if fit is None:
        return " & "
    width = mean_sd(fit.sigma_mean, fit.sigma_sd, 2) if fit.num_gaussian == fit.num_seeds else "--"
    return f"{mean_sd(fit.r_squared_mean, fit.r_squared_sd, 2)} & {width}"
