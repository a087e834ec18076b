"""Receptive fields that trials have stored as arrays: read where the files can be reached, and told where not."""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.report import TrialRecord
from orchestrator.statistics.pairing import TrialKey
from orchestrator.store.tables import TrialRow
from orchestrator.stored.files import UNREADABLE_ARRAYS, of_confirm_trials, reach_trial_file
from orchestrator.stored.trials import StoredTrial
from trainers.analyses.field_maps import FIELD_MAPS, TrialMaps, read_field_maps
from trainers.analyses.receptive_field_in_trial import receptive_field_in


def maps_of(trials: Sequence[StoredTrial], storage: Path | None) -> dict[TrialKey, TrialMaps | str]:
    """The maps of every succeeded confirm trial that was asked for them, or why they can't be read.

    Args:
        trials: one entry for each.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
    """
    return of_confirm_trials(trials, storage, has=asks_for_maps, read=read_trial_maps)


def asks_for_maps(trial: TrialRecord) -> bool:
    """Whether the trial was to look at its receptive field."""
    return receptive_field_in(trial.config.analyses) is not None


def read_trial_maps(row: TrialRow, storage: Path | None) -> TrialMaps | str:
    """One trial's maps, or why there are none."""
    file = reach_trial_file(row, storage, FIELD_MAPS)
    if isinstance(file, str):
        return file
    try:
        return read_field_maps(file)
    except UNREADABLE_ARRAYS as error:
        return f"{file.name} is not what a trial writes: {error}"
