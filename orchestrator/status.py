"""The statuses of experiments and trials, and which may follow which."""

from enum import StrEnum


class ExperimentStatus(StrEnum):
    """Life of an experiment; the last three are final."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows (but for `extend`, which queues a finished experiment again)."""
        return self in _FINAL_EXPERIMENT


class TrialStatus(StrEnum):
    """Life of a trial within one experiment; the last four are final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PRUNED = "pruned"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows (but for a retry in a later attempt of the driver)."""
        return self not in (TrialStatus.PENDING, TrialStatus.RUNNING)


class Phase(StrEnum):
    """`search` chooses params on validation; `confirm` scores test with fresh seeds."""

    SEARCH = "search"
    CONFIRM = "confirm"


_FINAL_EXPERIMENT = frozenset({ExperimentStatus.SUCCEEDED, ExperimentStatus.FAILED, ExperimentStatus.CANCELLED})

ALLOWED_MOVES: dict[ExperimentStatus, frozenset[ExperimentStatus]] = {
    ExperimentStatus.QUEUED: frozenset(
        {ExperimentStatus.STARTING, ExperimentStatus.CANCELLED, ExperimentStatus.FAILED}
    ),
    # Back to queued: the driver died and another attempt is due.
    ExperimentStatus.STARTING: frozenset(
        {
            ExperimentStatus.QUEUED,
            ExperimentStatus.RUNNING,
            ExperimentStatus.CANCELLING,
            ExperimentStatus.FAILED,
        }
    ),
    ExperimentStatus.RUNNING: frozenset(
        {
            ExperimentStatus.QUEUED,
            ExperimentStatus.CANCELLING,
            ExperimentStatus.SUCCEEDED,
            ExperimentStatus.FAILED,
        }
    ),
    ExperimentStatus.CANCELLING: frozenset({ExperimentStatus.CANCELLED, ExperimentStatus.FAILED}),
    # Only `extend` wakes a finished experiment.
    ExperimentStatus.SUCCEEDED: frozenset({ExperimentStatus.QUEUED}),
    ExperimentStatus.FAILED: frozenset({ExperimentStatus.QUEUED}),
    ExperimentStatus.CANCELLED: frozenset({ExperimentStatus.QUEUED}),
}
