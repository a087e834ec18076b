"""Receptive fields that trials have stored as arrays: read where the files can be reached, and told where not."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.report.field_content import Array, TrialMaps
from orchestrator.statistics.pairing import TrialKey
from orchestrator.store.tables import TrialRow
from orchestrator.stored_files import UNREADABLE_ARRAYS, of_confirm_trials, reach_trial_file
from trainers.analyses.study import GRADIENT_SUM, GRID, MAPS
from trainers.config import TrialConfig

_NAME = re.compile(r"(initial|final)/(?P<row>\d+)_(?P<column>\d+)")
_SUM_TOLERANCE = 1e-3
"""Trials write float32: the sum of their maps is 1 within rounding."""


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
            maps = {name: arrays[name].astype(np.float64, casting="same_kind") for name in names}
    except UNREADABLE_ARRAYS as error:
        return f"{file.name} is not what a trial writes: {error}"
    if not maps:
        return f"{file.name} is not what a trial writes: it holds no map"
    for name, values in maps.items():
        if fault := _fault(name, values, (height, width)):
            return f"{file.name} is not what a trial writes: {fault}"
    if len({values.shape for values in maps.values()}) > 1:
        return f"{file.name} is not what a trial writes: its maps differ in size"
    return TrialMaps((height, width), maps)


def _fault(name: str, values: Array, grid: tuple[int, int]) -> str:
    """What is wrong with a map; empty if nothing."""
    match = _NAME.fullmatch(name)
    if match is None or values.ndim != 2:
        return f"it holds {name!r} of shape {values.shape}"
    if int(match["row"]) >= grid[0] or int(match["column"]) >= grid[1]:
        return f"it holds {name!r} on a grid of {grid[0]} x {grid[1]} tokens"
    # `not` around the whole: NaN compares as false.
    if not (values.size and values.min() >= 0 and abs(values.sum() - 1) <= _SUM_TOLERANCE):
        return f"{name!r} is not a share of a whole: it should hold numbers from 0 that add up to 1"
    return ""
