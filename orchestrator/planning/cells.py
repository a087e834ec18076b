"""The cells of a spec: their labels, and which cell patches each of them takes."""

from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.planning.composition import PatchSource
from orchestrator.planning.findings import Findings
from orchestrator.problems import suggestion
from orchestrator.spec import CellPatch, ExperimentSpec
from orchestrator.statistics.comparison import Cell


class SpecCell(NamedTuple):
    """One cell, and what of the spec makes it."""

    cell: Cell
    """Its labels."""
    model_index: int
    """Place of its model in the spec."""
    dataset_index: int
    """Place of its data set in the spec."""
    patches: tuple[PatchSource, ...]
    """Cell patches that select it, in their order."""


def cells_of(spec: ExperimentSpec, findings: Findings) -> list[SpecCell]:
    """All cells, model by model.

    Two models (or data sets) with one label get `-2`, `-3`, ... behind it in the order of the spec; listing the very
    same one twice, and a cell patch that selects nothing, are problems.
    """
    _find_twins([model.model_dump_json() for model in spec.models], "models", "model", findings)
    _find_twins([dataset.model_dump_json() for dataset in spec.datasets], "datasets", "data set", findings)
    models = labels_of([model.label for model in spec.models])
    datasets = labels_of([dataset.label for dataset in spec.datasets])
    for i, patch in enumerate(spec.cell_patches):
        _find_stray(f"/cell_patches/{i}/model", patch.model, models, findings)
        _find_stray(f"/cell_patches/{i}/dataset", patch.dataset, datasets, findings)
    return [
        SpecCell(
            Cell(model=model, dataset=dataset),
            i,
            j,
            tuple(
                PatchSource(f"/cell_patches/{k}/patch", patch.patch)
                for k, patch in enumerate(spec.cell_patches)
                if _selects(patch, model, dataset)
            ),
        )
        for i, model in enumerate(models)
        for j, dataset in enumerate(datasets)
    ]


def labels_of(wanted: Sequence[str]) -> list[str]:
    """The labels, made different from each other by `-2`, `-3`, ... where necessary."""
    labels: list[str] = []
    for label in wanted:
        candidate, number = label, 1
        while candidate in labels or (number > 1 and candidate in wanted):
            number += 1
            candidate = f"{label}-{number}"
        labels.append(candidate)
    return labels


def _selects(patch: CellPatch, model: str, dataset: str) -> bool:
    return patch.model in (None, model) and patch.dataset in (None, dataset)


def _find_twins(texts: Sequence[str], field: str, noun: str, findings: Findings) -> None:
    for i, text in enumerate(texts):
        first = texts.index(text)
        if first != i:
            findings.add(f"/{field}/{i}", f"this {noun} is listed already, at /{field}/{first}")


def _find_stray(pointer: str, label: str | None, labels: Sequence[str], findings: Findings) -> None:
    if label is not None and label not in labels:
        findings.add(pointer, f"no cell has the label `{label}`{suggestion(label, labels)}")
