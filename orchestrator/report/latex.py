r"""The report as LaTeX: tables to paste into a paper (needs `\usepackage{booktabs}`)."""

import re
from collections.abc import Sequence

from orchestrator.report.content import BiasSeries, Report
from orchestrator.report.numbers import fixed, level_unit, p_text, percent, signed
from orchestrator.report.tables import layer_name
from orchestrator.report.wording import cell_count, metric_words
from orchestrator.statistics.comparison import Cell, Comparison, PooledEffect

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    # After a row's end, LaTeX would take these for the options of its line break.
    "[": "{[}",
    "*": "{*}",
}
_PATTERN = re.compile("|".join(map(re.escape, _SPECIAL)))
_LAST_LATIN = "\u017f"
"""Last letter of Latin Extended-A, as far as T1 fonts go."""
_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9-]+")


def to_latex(report: Report) -> str:
    """The table of comparisons and, for every cell whose arms have a bias, a table of sigma by layer."""
    parts = [
        f"% {report.experiment.name}, digest {report.provenance.digest}",
        r"% \usepackage{booktabs} in the preamble; \usepackage[T1]{fontenc} for names with quotation marks.",
        _comparisons(report),
    ]
    parts += [_bias(report, cell) for cell in dict.fromkeys(series.cell for series in report.bias)]
    return "\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Show a text as it is, special characters included; what pdfLaTeX can't set becomes `?`."""
    escaped = _PATTERN.sub(lambda match: _SPECIAL[match[0]], " ".join(text.split()))
    return "".join(
        character if character.isascii() or (character.isalpha() and character <= _LAST_LATIN) else "?"
        for character in escaped
    )


def _comparisons(report: Report) -> str:
    level = escape(level_unit(report.unit))
    level = f" ({level})" if level else ""
    unit = f" ({escape(report.unit)})" if report.unit else ""
    header = (
        rf"Model & Data set & Arm & $n$ & {escape(report.control)}{level} & Treatment{level} & "
        rf"$\Delta${unit} & {escape(percent(report.confidence))} CI & $p$ \\"
    )
    rows: list[str] = []
    for comparison in report.comparisons:
        rows.append(_comparison_row(comparison, report.decimals, previous=_previous(report, len(rows))))
    pooled = [
        rf"\multicolumn{{2}}{{l}}{{{_pooled_cells(report, effect)}}} & {escape(effect.treatment)} & & & & "
        rf"{_bold(_math(signed(effect.effect, report.decimals)), effect.ci_low, effect.ci_high)} & "
        rf"{_interval(effect.ci_low, effect.ci_high, report.decimals)} & \\"
        for effect in report.pooled
    ]
    if pooled:
        rows += [r"\midrule", *pooled]
    return _table(
        columns="lllrrrrrr",
        header=header,
        rows=rows,
        caption=_caption(report),
        label=f"tab:{_NOT_IN_LABEL.sub('-', report.experiment.name)}",
    )


def _pooled_cells(report: Report, effect: PooledEffect) -> str:
    count = cell_count(effect, len(report.cells))
    return f"{'All' if count.isdigit() else count} cells (random effects)"


def _previous(report: Report, index: int) -> Comparison | None:
    return report.comparisons[index - 1] if index else None


def _comparison_row(comparison: Comparison, decimals: int, *, previous: Comparison | None) -> str:
    """One row; model and data set are written only where they change."""
    cell = comparison.cell
    names = ("", "") if previous is not None and previous.cell == cell else (cell.model, cell.dataset)
    effect = _bold(_math(signed(comparison.effect, decimals)), comparison.ci_low, comparison.ci_high)
    cells = [
        *map(escape, names),
        escape(comparison.treatment),
        str(comparison.num_pairs),
        _mean_sd(comparison.control_mean, comparison.control_sd, decimals),
        _mean_sd(comparison.treatment_mean, comparison.treatment_sd, decimals),
        effect,
        _interval(comparison.ci_low, comparison.ci_high, decimals),
        _math(p_text(comparison.p_holm)),
    ]
    return " & ".join(cells) + r" \\"


def _caption(report: Report) -> str:
    counts = sorted({comparison.num_pairs for comparison in report.comparisons})
    pairs = "--".join(str(count) for count in dict.fromkeys([counts[0], counts[-1]])) if counts else "0"
    scored = "each trial is scored once on the test split, at its best validation epoch"
    if not report.metric.startswith("test/"):
        scored = "scored on the validation split, which also chose the epoch"
    holm = ", Holm-corrected over the rows" if len(report.comparisons) > 1 else ""
    sentences = [
        f"{_capital(metric_words(report.metric))}, mean $\\pm$ sd over {pairs} paired seeds ($n$); ",
        f"{scored}. ",
        f"$\\Delta$ is the mean paired difference with its {escape(percent(report.confidence))} ",
        f"paired $t$ interval; bold: the interval excludes 0. $p$: two-sided sign-flip permutation test{holm}. ",
        rf"Digest \texttt{{{escape(report.provenance.digest)}}}.",
    ]
    return "".join(sentences)


def _capital(text: str) -> str:
    return escape(text[:1].upper() + text[1:])


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
    return _table(
        columns="llrr",
        header=r"Arm & Layer & $\sigma$ (tokens) & $A$ \\",
        rows=rows,
        caption=(
            rf"Learned attention bias by layer, {escape(cell.dataset)}, {escape(cell.model)}: initial $\rightarrow$ "
            rf"final value, mean $\pm$ sd over {num_seeds} seeds. Digest \texttt{{{escape(report.provenance.digest)}}}."
        ),
        label=f"tab:{_NOT_IN_LABEL.sub('-', f'{report.experiment.name}-sigma-{cell.key}')}",
    )


def _change(series: BiasSeries | None) -> str:
    if series is None:
        return "--"
    if not series.is_learned:
        return f"{series.initial:.2f} (fixed)"
    return rf"${series.initial:.2f} \rightarrow$ {_mean_sd(series.final_mean, series.final_sd, 2)}"


def _table(*, columns: str, header: str, rows: Sequence[str], caption: str, label: str) -> str:
    body = [
        r"\begin{table}[t]",
        r"\centering",
        r"\small",
        rf"\caption{{{caption}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        header,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(body)


def _mean_sd(mean: float | None, sd: float | None, decimals: int) -> str:
    if mean is None:
        return "--"
    return f"${fixed(mean, decimals)}$" if sd is None else rf"${fixed(mean, decimals)} \pm {fixed(sd, decimals)}$"


def _interval(low: float | None, high: float | None, decimals: int) -> str:
    return "--" if low is None or high is None else f"$[{fixed(low, decimals)}, {fixed(high, decimals)}]$"


def _math(text: str) -> str:
    return "--" if text == "-" else f"${text}$"


def _bold(math: str, low: float | None, high: float | None) -> str:
    """Bold only if the interval excludes 0."""
    excludes_zero = low is not None and high is not None and (low > 0 or high < 0)
    return rf"$\mathbf{{{math.strip('$')}}}$" if excludes_zero else math
