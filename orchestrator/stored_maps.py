"""Receptive fields that trials have stored as arrays: read where the files can be reached, and told where not."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.report.field_content import TrialMaps
from orchestrator.statistics.pairing import TrialKey
from orchestrator.store.tables import TrialRow
from orchestrator.stored_files import UNREADABLE_ARRAYS, of_confirm_trials, reach_trial_file
from trainers.analyses.study import GRADIENT_SUM, GRID, MAPS
from trainers.config import TrialConfig

_NAME = re.compile(r"(initial|final)/\d+_\d+")


def maps_of(rows: Sequence[TrialRow], storage: Path | None) -> dict[TrialKey, TrialMaps | str]:
    """The maps of every succeeded confirm trial that was asked for them, or why they can't be read.

    Args:
        rows: one row per confirm trial.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
    """
    return of_confirm_trials(rows, storage, has=asks_for_maps, read=read_maps)


def asks_for_maps(row: TrialRow) -> bool:
    """Whether the trial was to look at its receptive field."""
    analyses = TrialConfig.model_validate_json(row.config).analyses
    return any(analysis.kind == "receptive_field" for analysis in analyses)


def read_maps(row: TrialRow, storage: Path | None) -> TrialMaps | str:
    """One trial's maps, or why there are none."""
    file = reach_trial_file(row, storage, MAPS)
    if isinstance(file, str):
        return file
    try:
        with np.load(file) as arrays:
            height, width = (int(length) for length in arrays[GRID])
            names = [name for name in arrays.files if name != GRID and not name.startswith(f"{GRADIENT_SUM}/")]
            maps = {name: arrays[name].astype(np.float64) for name in names}
    except UNREADABLE_ARRAYS as error:
        return f"{file.name} is not what a trial writes: {error}"
    for name, values in maps.items():
        if not _NAME.fullmatch(name) or values.ndim != 2:
            return f"{file.name} is not what a trial writes: it holds {name!r} of shape {values.shape}"
    if not maps:
        return f"{file.name} is not what a trial writes: it holds no map"
    return TrialMaps((height, width), maps)
