"""Position biases that trials have stored as arrays: read where the files can be reached, and told where not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.report.bias_content import TrialViews
from orchestrator.report.bias_views import VIEW_NAME
from orchestrator.statistics.pairing import TrialKey
from orchestrator.store.tables import TrialRow
from orchestrator.stored_files import UNREADABLE_ARRAYS, of_confirm_trials, reach_trial_file
from trainers.analyses.study import BIAS_MAPS
from trainers.config import TrialConfig
from trainers.models import GaussianBias, PermutedGaussianBias
from trainers.result import TrialResult

_VIEWS = "query/"


def views_of(rows: Sequence[TrialRow], storage: Path | None) -> dict[TrialKey, TrialViews | str]:
    """What query tokens see in every succeeded confirm trial with a position bias, or why it can't be read.

    Args:
        rows: one row per confirm trial.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
    """
    return of_confirm_trials(rows, storage, has=has_views, read=read_views)


def has_views(row: TrialRow) -> bool:
    """Whether the trial found a position bias."""
    if row.result and TrialResult.model_validate_json(row.result).learned_bias:
        return True
    return isinstance(TrialConfig.model_validate_json(row.config).attention_bias, GaussianBias | PermutedGaussianBias)


def read_views(row: TrialRow, storage: Path | None) -> TrialViews | str:
    """What one trial's query tokens see, without the rest of its file; or why that can't be read."""
    file = reach_trial_file(row, storage, BIAS_MAPS)
    if isinstance(file, str):
        return file
    try:
        with np.load(file) as arrays:
            names = [name for name in arrays.files if name.startswith(_VIEWS)]
            views = {
                name.removeprefix(_VIEWS): arrays[name].astype(np.float32, casting="same_kind", copy=False)
                for name in names
            }
    except UNREADABLE_ARRAYS as error:
        return f"{file.name} is not what a trial writes: {error}"
    for name, values in views.items():
        if not values.size or not VIEW_NAME.fullmatch(name) or values.ndim != (2 if name.startswith("absolute") else 3):
            return f"{file.name} is not what a trial writes: it holds {_VIEWS}{name} of shape {values.shape}"
    return views or f"{file.name} has no view from a token: an older version wrote it"
