"""A finished trial's weights as a file to take away."""

from pathlib import Path

from orchestrator.errors import WeightsNotFoundError
from orchestrator.status import TrialStatus
from orchestrator.store.tables import TrialRow
from orchestrator.stored.files import reach_trial_file
from trainers.config import TrialConfig
from trainers.errors import TrainerError
from trainers.result import TrialResult
from trainers.training.files import BEST_WEIGHTS, CHECKPOINT


def write_weights(row: TrialRow, storage: Path, file: Path) -> None:
    """Write the weights of the trial's best epoch, as `trainers.exported_weights` has them.

    Raises:
        WeightsNotFoundError: says why there are none.
    """
    name = f"{row.cell}/{row.arm}/seed{row.seed}"
    if row.status != TrialStatus.SUCCEEDED or row.result is None:
        raise WeightsNotFoundError(f"trial {name} is {row.status}; weights are exported of trials that have succeeded")
    result = TrialResult.model_validate_json(row.result)
    if result.best_epoch is None:
        raise WeightsNotFoundError(f"trial {name} has trained nothing (0 epochs): its model is as it started")
    found = reach_trial_file(row, storage, BEST_WEIGHTS)
    if isinstance(found, str):
        # A trial of an earlier version has them in its last checkpoint.
        earlier = reach_trial_file(row, storage, CHECKPOINT)
        if isinstance(earlier, str):
            raise WeightsNotFoundError(f"the weights of trial {name} are not there (removed to save space?): {found}")
        found = earlier
    # Torch takes seconds and most of a gigabyte, and a service may never export anything.
    from trainers.exported_weights import export_weights

    try:
        export_weights(found.parent, TrialConfig.model_validate_json(row.config), result, file)
    except TrainerError as error:
        raise WeightsNotFoundError(f"the weights of trial {name} can't be exported: {error}") from error
