r"""Layers x data sets as LaTeX tables: what each layer learned, data sets side by side."""

from collections.abc import Mapping, Sequence

from orchestrator.report.content.report import Report
from orchestrator.report.words.latex_text import breakable, footer, table

_DATASETS_PER_TABLE = 5
LayerCells = dict[str, dict[str, str]]
"""Layer -> data set -> what the table shows."""


def layer_tables(report: Report, cells: LayerCells, caption: str, name: str) -> list[str]:
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
