"""Images of which one arm of a pair says another class than the other, where their predictions can be read."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from orchestrator.store.tables import TrialRow
from orchestrator.stored.files import UNREADABLE_ARRAYS, reach_trial_file
from trainers.tasks.evidence import EVIDENCE_FILE, read_class_names


class Kind(StrEnum):
    """How both trials disagree."""

    ONLY_TREATMENT = "only-treatment"
    """The treatment is right, the control is not."""
    ONLY_CONTROL = "only-control"
    BOTH_WRONG = "both-wrong"
    """They are wrong in different ways."""


class Disagreement(NamedTuple):
    """One image."""

    place: int
    """In the whole data set."""
    label: str
    """What it is."""
    control: str
    """What the control says."""
    treatment: str
    control_confidence: float
    """Softmax probability of that class."""
    treatment_confidence: float


class Disagreements(NamedTuple):
    """All of one pair, by kind."""

    num_images: int
    """Images that both scored."""
    images: Mapping[Kind, tuple[Disagreement, ...]]


def disagreements_of(control: TrialRow, treatment: TrialRow, storage: Path | None) -> Disagreements | str:
    """Test images on which both trials of a pair disagree, or why that can't be told.

    Args:
        control: a trial that has succeeded.
        treatment: its partner.
        storage: folder of the trials' folders (`None`: it can't be reached from here).
    """
    files = [reach_trial_file(row, storage, EVIDENCE_FILE) for row in (control, treatment)]
    for file in files:
        if isinstance(file, str):
            return file
    paths = [file for file in files if isinstance(file, Path)]
    try:
        names = read_class_names(paths[0])
        return _compared(names, *(_test_arrays(path) for path in paths))
    except KeyError:
        return "these trials give no class to a whole test image"
    except UNREADABLE_ARRAYS as error:
        return f"the predictions can't be read: {error}"


_Arrays = Mapping[str, npt.NDArray[Any]]


def _test_arrays(file: Path) -> _Arrays:
    with np.load(file) as arrays:
        return {name: arrays[f"test_{name}"] for name in ("index", "label", "predicted", "confidence")}


def _compared(names: tuple[str, ...], control: _Arrays, treatment: _Arrays) -> Disagreements:
    places, first, second = np.intersect1d(control["index"], treatment["index"], return_indices=True)
    label, ours, theirs = control["label"][first], control["predicted"][first], treatment["predicted"][second]
    masks = {
        Kind.ONLY_TREATMENT: (theirs == label) & (ours != label),
        Kind.ONLY_CONTROL: (ours == label) & (theirs != label),
        Kind.BOTH_WRONG: (ours != label) & (theirs != label) & (ours != theirs),
    }
    images = {
        kind: tuple(
            Disagreement(
                place=int(places[i]),
                label=names[label[i]],
                control=names[ours[i]],
                treatment=names[theirs[i]],
                control_confidence=float(control["confidence"][first[i]]),
                treatment_confidence=float(treatment["confidence"][second[i]]),
            )
            for i in np.flatnonzero(mask)
        )
        for kind, mask in masks.items()
    }
    return Disagreements(len(places), images)
