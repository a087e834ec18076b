r"""What every layer learned as LaTeX: sigma, and beside it the Gaussian in its own position embedding."""

from orchestrator.report.content.curves import BiasSeries
from orchestrator.report.content.report import Report
from orchestrator.report.sections.learned_sigma.tables import layer_name
from orchestrator.report.sections.position_bias.latex import fits_by_dataset, fits_of_cell
from orchestrator.report.words.latex_layers import LayerCells, layer_tables
from orchestrator.report.words.latex_text import escape, footer, label, mean_sd, table
from orchestrator.statistics.comparison import Cell
from trainers.counted import counted


def learned_tables(report: Report) -> list[str]:
    """Sigma cell by cell, then the fits; of several data sets side by side, both per model and arm."""
    if len({cell.dataset for cell in report.cells}) == 1:
        of_cells = [_sigma_of_cell(report, cell) for cell in dict.fromkeys(series.cell for series in report.bias)]
        return of_cells + [fits_of_cell(report, cell) for cell in dict.fromkeys(fit.cell for fit in report.position)]
    tables = []
    for model in dict.fromkeys(cell.model for cell in report.cells):
        for arm in (each.name for each in report.arms):
            tables += [*_sigma_by_dataset(report, model, arm), *fits_by_dataset(report, model, arm)]
    return tables


def _sigma_by_dataset(report: Report, model: str, arm: str) -> list[str]:
    cells: LayerCells = {}
    for series in report.bias:
        if series.cell.model == model and series.arm == arm and series.quantity == "sigma" and series.is_learned:
            text = mean_sd(series.final_mean, series.final_sd, 2)
            cells.setdefault(layer_name(series), {})[series.cell.dataset] = text
    what = r"$\sigma$ after the last epoch (tokens) by layer"
    caption = rf"{what}, {escape(arm)}, {escape(model)}: mean $\pm$ sd over seeds."
    return layer_tables(report, cells, caption, label(report, "sigma", model, arm))


def _sigma_of_cell(report: Report, cell: Cell) -> str:
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
