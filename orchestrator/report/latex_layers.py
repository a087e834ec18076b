r"""Layers x data sets as LaTeX: the final sigma, and the Gaussian in each layer's own position embedding."""

from collections.abc import Mapping, Sequence

from orchestrator.report.content import PositionFit, Report
from orchestrator.report.latex_text import breakable, escape, footer, label, mean_sd, table
from orchestrator.report.tables import layer_name
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED

_DATASETS_PER_TABLE = 5

_Cells = dict[str, dict[str, str]]
"""Layer -> data set -> what the table shows."""


def layers_by_dataset(report: Report) -> list[str]:
    """Per model and arm: a table of sigma, if it is learned, and one of the fits."""
    tables = []
    for model in dict.fromkeys(cell.model for cell in report.cells):
        for arm in (each.name for each in report.arms):
            tables += [*_sigma(report, model, arm), *_position(report, model, arm)]
    return tables


def _sigma(report: Report, model: str, arm: str) -> list[str]:
    cells: _Cells = {}
    for series in report.bias:
        if series.cell.model == model and series.arm == arm and series.quantity == "sigma" and series.is_learned:
            text = mean_sd(series.final_mean, series.final_sd, 2)
            cells.setdefault(layer_name(series), {})[series.cell.dataset] = text
    what = r"$\sigma$ after the last epoch (tokens) by layer"
    caption = rf"{what}, {escape(arm)}, {escape(model)}: mean $\pm$ sd over seeds."
    return _tables(report, cells, caption, label(report, "sigma", model, arm))


def _position(report: Report, model: str, arm: str) -> list[str]:
    cells: _Cells = {}
    for fit in report.position:
        if fit.cell.model == model and fit.arm == arm and fit.part != "sum":
            cells.setdefault("all" if fit.layer is None else str(fit.layer), {})[fit.cell.dataset] = _fit_text(fit)
    caption = (
        rf"Gaussian fitted to each layer's position embedding itself, {escape(arm)}, {escape(model)}: "
        r"$R^2$ / $\sigma$ (tokens), means over seeds; $\sigma$ only where every seed has a Gaussian "
        rf"($R^2 \ge {GOOD_R_SQUARED}$, a hill around displacement 0 that fits into the map)."
    )
    return _tables(report, cells, caption, label(report, "position", model, arm))


def _fit_text(fit: PositionFit) -> str:
    if fit.r_squared_mean is None:
        return "nothing"
    is_sure = fit.num_gaussian == fit.num_seeds and fit.sigma_mean is not None
    return f"{fit.r_squared_mean:.2f} / {f'{fit.sigma_mean:.1f}' if is_sure else '--'}"


def _tables(report: Report, cells: _Cells, caption: str, name: str) -> list[str]:
    """One table; more if the data sets do not fit side by side."""
    if not cells:
        return []
    datasets = list(dict.fromkeys(cell.dataset for cell in report.cells))
    parts = [datasets[start : start + _DATASETS_PER_TABLE] for start in range(0, len(datasets), _DATASETS_PER_TABLE)]
    return [
        _table(report, cells, part, caption, name if index == 0 else f"{name}-{index + 1}")
        for index, part in enumerate(parts)
    ]


def _table(
    report: Report, cells: Mapping[str, Mapping[str, str]], datasets: Sequence[str], caption: str, name: str
) -> str:
    rows = [
        " & ".join([layer, *(by_dataset.get(dataset, "--") for dataset in datasets)]) + r" \\"
        for layer, by_dataset in cells.items()
    ]
    heads = [rf"\multicolumn{{1}}{{p{{58pt}}}}{{\raggedleft {breakable(dataset)}}}" for dataset in datasets]
    return table(
        columns="l" + "r" * len(datasets),
        header=" & ".join(["Layer", *heads]) + r" \\",
        rows=rows,
        caption=caption,
        label=name,
        below=footer(report),
        size="footnotesize",
        sep=2,
    )
