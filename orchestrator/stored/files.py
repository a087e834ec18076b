"""Where the files of a stored trial may lie; a report does without them where they can't be reached."""

import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from orchestrator.planning.hardware import Hardware, trial_folder
from orchestrator.report import TrialRecord
from orchestrator.statistics.pairing import TrialKey
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.tables import TrialRow
from orchestrator.stored.trials import StoredTrial

Arrays = TypeVar("Arrays")

UNREADABLE_ARRAYS = (
    OSError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy raises for an `.npz` that is empty, cut short, altered on the disk, or holds something else."""


def of_confirm_trials(
    trials: Sequence[StoredTrial],
    storage: Path | None,
    *,
    has: Callable[[TrialRecord], bool],
    read: Callable[[TrialRow, Path | None], Arrays | str],
) -> dict[TrialKey, Arrays | str]:
    """What every succeeded confirm trial has stored, or why it can't be read.

    Args:
        trials: one entry for each.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
        has: whether a trial has such a file at all.
        read: reads it.
    """
    return {
        (row.cell, row.arm, row.seed): read(row, storage)
        for row, record in trials
        if record.phase is Phase.CONFIRM and record.status is TrialStatus.SUCCEEDED and has(record)
    }


def find_trial_file(row: TrialRow, storage: Path | None, name: str, *, hardware: Hardware | None = None) -> Path | None:
    """A file of the trial: in its own folder or (with `reuse: never`) in the one below its experiment's.

    Args:
        row: the trial.
        storage: folder of the trials' folders (`None`: it can't be reached from here).
        name: the file's name, such as `predictions.npz`.
        hardware: what a trial without a result was to run on.
    """
    if storage is None:
        return None
    folder = trial_folder(row.identity, row.hardware or (hardware.key if hardware else ""))
    owners = [row.experiment_id, *([row.reused_from] if row.reused_from else [])]
    places = (storage / folder / name, *(storage / owner / folder / name for owner in owners))
    return next((place for place in places if place.is_file()), None)


def reach_trial_file(row: TrialRow, storage: Path | None, name: str) -> Path | str:
    """The same, or why it can't be reached."""
    if storage is None or not storage.is_dir():
        return f"the storage folder ({storage or 'none is set'}) can't be reached from here"
    return find_trial_file(row, storage, name) or f"no {name} in the trial's folder under {storage}"
