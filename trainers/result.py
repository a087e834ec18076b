"""What a trial says: one report an epoch, one result at its end."""

from trainers.strict import StrictModel


class EpochReport(StrictModel):
    """What every epoch reports, as one flat mapping.

    Keys: `train/loss`, `val/loss`, `val/top1`, `val/top5` (fractions, 0 to 1), `lr`, `images_per_second`,
    `data_wait_fraction`, and per layer `sigma/00`, `amplitude/00` (zero-padded layer number; tokens; per head
    `sigma/00_head0`). Sigma is reported as its absolute value.
    """

    epoch: int
    """Epoch that has just ended, from 0."""
    metrics: dict[str, float]
    """Named scalars of this epoch."""
    seconds: float
    """Wall time of this epoch, validation included."""


class TrialResult(StrictModel):
    """What a finished trial leaves behind."""

    epochs: list[EpochReport]
    """One report per epoch, in order."""
    best_epoch: int
    """Epoch with the best validation accuracy (the first one, if several are equal)."""
    metrics: dict[str, float]
    """`best_val/...` at the best epoch, `test/...` there (only if the config asks for the test split), and the
    last epoch's values under their own keys."""
    predictions_file: str | None
    """File of per-image predictions (npz), relative to the trial's storage folder."""
    training_seconds: float
    """Wall time of all epochs, over all attempts."""
    provenance: dict[str, str]
    """Device, versions, data fingerprint, number of workers."""
