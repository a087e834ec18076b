r"""The Gaussians in the learned position embeddings as LaTeX."""

from orchestrator.report.content.position_bias import PositionFit
from orchestrator.report.content.report import Report
from orchestrator.report.words.latex_layers import LayerCells, layer_tables
from orchestrator.report.words.latex_text import breakable, escape, footer, label, mean_sd, table
from orchestrator.statistics.comparison import Cell
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED


def fits_of_cell(report: Report, cell: Cell) -> str:
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


def fits_by_dataset(report: Report, model: str, arm: str) -> list[str]:
    """The same of one model and arm, data sets side by side; nothing where nothing was fitted."""
    cells: LayerCells = {}
    for fit in report.position:
        if fit.cell.model == model and fit.arm == arm and fit.part != "sum":
            cells.setdefault("all" if fit.layer is None else str(fit.layer), {})[fit.cell.dataset] = _fit_text(fit)
    caption = (
        rf"Gaussian fitted to each layer's position embedding itself, {escape(arm)}, {escape(model)}: "
        r"$R^2$ / $\sigma$ (tokens), means over seeds; $\sigma$ only where every seed has a Gaussian "
        rf"($R^2 \ge {GOOD_R_SQUARED}$, a hill around displacement 0 that fits into the map)."
    )
    return layer_tables(report, cells, caption, label(report, "position", model, arm))


def _fit_text(fit: PositionFit) -> str:
    if fit.r_squared_mean is None:
        return "nothing"
    is_sure = fit.num_gaussian == fit.num_seeds and fit.sigma_mean is not None
    return f"{fit.r_squared_mean:.2f} / {f'{fit.sigma_mean:.1f}' if is_sure else '--'}"
