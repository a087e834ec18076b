"""What can go wrong while one trial trains, or while a model is analysed.

    TrainerError
    |- DocumentError          a file or body can't be read as JSON or YAML
    |- ConfigError            the config can't be trained as written (unsupported model, wrong grid, ...)
    |  |- OwnCodeError           code of the user's own is not there, breaks, or gives what does not fit
    |- DataError              a data folder or file is missing, corrupt, or not what the config says
    |- NonFiniteLossError     the loss became NaN or infinite
    |- CommandError           a training script of the user's own failed, hung, or wrote no numbers that count
    |- GpuMemoryError         the GPU is too small for a batch
    |- CheckpointError        a checkpoint can't be read, or belongs to another trial
    |- StorageNotSharedError  a node sees another storage, or none, where all must see one
    |- OtherVersionError      a node has other code than that which the trial was planned with
    |- AnalysisError          a model or map can't be analysed as asked
    |  |- NoReceptiveFieldError   there is none: its gradient is zero, or what rounding leaves of zero
    |- MissingPackageError    a package that only some configs need is not installed

    ReadingStoppedError       whoever asked what a data set holds does not wait for the answer any more
    InterruptedTrainingError  somebody asked the training to stop, and it did: no error of the trial, it can go on

Each class has a stable `code`; a message says what was wrong, where, and what would be right.
"""

from trainers.program import shown


class TrainerError(Exception):
    """Base of all errors that this package raises on purpose."""

    code = "trainer_error"

    def __init__(self, message: str) -> None:
        # It may name a file whose name is not UTF-8, and goes into databases and JSON.
        super().__init__(shown(message))


class InterruptedTrainingError(Exception):
    """The training has stopped because it was asked to; its message says from where it goes on."""


class ReadingStoppedError(Exception):
    """Whoever asked what a data set holds does not wait for the answer any more."""


class DocumentError(TrainerError):
    """What a user wrote can't be read as JSON or YAML; the message says where."""

    code = "document_invalid"


class ConfigError(TrainerError):
    """The trial can't be trained as its config says."""

    code = "config_invalid"


class OwnCodeError(ConfigError):
    """Code of the user's own is not there, breaks, or gives what does not fit its place.

    Attributes:
        field: of the trial's config that names it (`None`: not told).
    """

    code = "own_code_invalid"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class DataError(TrainerError):
    """The data are missing, corrupt or not what the config says."""

    code = "data_invalid"


class CommandError(TrainerError):
    """A training script of the user's own failed, took too long, or wrote no numbers that count."""

    code = "command_failed"


class GpuMemoryError(TrainerError):
    """The trial, alone on its GPU, does not fit into its memory: it would not at the next try either."""

    code = "gpu_memory"


class CheckpointError(TrainerError):
    """A checkpoint can't be read or belongs to another trial."""

    code = "checkpoint_invalid"


class StorageNotSharedError(TrainerError):
    """A node sees another storage, or none, where all must see one."""

    code = "storage_not_shared"


class OtherVersionError(TrainerError):
    """A node has other code than that which the trial was planned with."""

    code = "other_version"


class AnalysisError(TrainerError):
    """The analysis can't be done as asked: an unsuitable model, or a map with nothing in it."""

    code = "analysis_invalid"


class NoReceptiveFieldError(AnalysisError):
    """The pixels have no measurable influence on what is looked at: there is no map, and nothing to fit."""

    code = "no_receptive_field"


class MissingPackageError(TrainerError):
    """A package that only some configs need is not installed."""

    code = "package_missing"


class NonFiniteLossError(TrainerError):
    """The loss, or another metric, became NaN or infinite.

    Attributes:
        loss: what it became.
        epoch: epoch (from 0) in which it happened.
        step: optimizer step (from 0, over the whole training) in which it happened.
        split: `training`, or `validation` (after the epoch's last step).
        name: `loss`, or which metric of the split it was.
    """

    code = "loss_not_finite"

    def __init__(self, *, loss: float, epoch: int, step: int, split: str = "training", name: str = "loss") -> None:
        self.loss, self.epoch, self.step, self.split, self.name = loss, epoch, step, split, name
        super().__init__(
            f"the {split} {name} became {loss} in epoch {epoch}, step {step}; "
            "a lower learning rate, warm-up or gradient clipping usually helps"
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by keyword arguments (Ray sends errors between processes)."""
        return _rebuild_non_finite, (self.loss, self.epoch, self.step, self.split, self.name)


def _rebuild_non_finite(loss: float, epoch: int, step: int, split: str, name: str) -> NonFiniteLossError:
    return NonFiniteLossError(loss=loss, epoch=epoch, step=step, split=split, name=name)
