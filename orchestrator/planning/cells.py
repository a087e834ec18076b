"""The cells of a spec: their labels, and which cell patches each of them takes."""

from collections.abc import Sequence
from typing import NamedTuple

from orchestrator.labels import LABELLED
from orchestrator.planning.composition import PatchSource
from orchestrator.planning.findings import Findings
from orchestrator.spec.complaints import suggestion
from orchestrator.spec.experiment import CellPatch, ExperimentSpec
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
    """All cells, model by model, under the user's labels or automatic ones.

    Two models (or data sets) with one label get `-2`, `-3`, ... behind it in the order of the spec; listing the very
    same one twice, and a cell patch that selects nothing, are problems.
    """
    _find_twins([model.model_dump_json() for model in spec.models], "models", "model", findings)
    _find_twins([dataset.model_dump_json() for dataset in spec.datasets], "datasets", "data set", findings)
    models = _named("models", [model.label for model in spec.models], spec.model_labels, findings)
    datasets = _named("datasets", [dataset.label for dataset in spec.datasets], spec.dataset_labels, findings)
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


def _named(field: str, automatic: list[str], given: Sequence[str | None], findings: Findings) -> list[str]:
    """The user's label where there is one, else the automatic one; a label that another one bears is a problem."""
    if given and len(given) != len(automatic):
        findings.add(
            f"/{LABELLED[field]}", f"it names {len(given)} of {len(automatic)} {field}; `null` stands for no label"
        )
        given = ()
    wanted = [label or own for label, own in zip(given or automatic, automatic, strict=True)]
    for i, label in enumerate(given):
        others = [j for j, other in enumerate(wanted) if other == label and j != i]
        if label is not None and others:
            findings.add(f"/{field}/{i}/label", f"/{field}/{others[0]} is called `{label}` too; cells need two names")
    return labels_of(wanted)


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
