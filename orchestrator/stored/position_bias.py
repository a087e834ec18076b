"""Position biases that trials have stored as arrays: read where the files can be reached, and told where not."""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.report import TrialRecord
from orchestrator.report.content.position_bias import TrialViews
from orchestrator.statistics.pairing import TrialKey
from orchestrator.store.tables import TrialRow
from orchestrator.stored.files import UNREADABLE_ARRAYS, of_confirm_trials, reach_trial_file
from orchestrator.stored.trials import StoredTrial
from trainers.analyses.bias_maps import BIAS_MAPS, read_views


def views_of(trials: Sequence[StoredTrial], storage: Path | None) -> dict[TrialKey, TrialViews | str]:
    """What query tokens see in every succeeded confirm trial with a position bias, or why it can't be read.

    Args:
        trials: one entry for each.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
    """
    return of_confirm_trials(trials, storage, has=has_views, read=read_trial_views)


def has_views(trial: TrialRecord) -> bool:
    """Whether the trial found a position bias."""
    if trial.result and trial.result.learned_bias:
        return True
    return not trial.config.attention_bias.is_none


def read_trial_views(row: TrialRow, storage: Path | None) -> TrialViews | str:
    """What one trial's query tokens see, or why that can't be read."""
    file = reach_trial_file(row, storage, BIAS_MAPS)
    if isinstance(file, str):
        return file
    try:
        views = read_views(file)
    except UNREADABLE_ARRAYS as error:
        return f"{file.name} is not what a trial writes: {error}"
    return views or f"{file.name} has no view from a token: an older version wrote it"
