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
        """Whether nothing follows (but for `extend` and `resume`, which queue an ended experiment again)."""
        return self in _FINAL_EXPERIMENT


class AttemptEnd(StrEnum):
    """Why an attempt of an experiment's driver is over."""

    DONE = "done"
    """The experiment has ended with it."""
    TERMINATED = "terminated"
    """Told to end: preempted, stopped with the service, or its job was stopped by somebody."""
    HEAD_LOST = "head_lost"
    """Ray's head went down, and the job with it."""
    UNHEARD = "unheard"
    """Never said a word: a slow start, or none."""
    CRASHED = "crashed"
    """Its process ended by itself, without a result."""
    SILENT = "silent"
    """Was heard of, then no more."""

    @property
    def counts(self) -> bool:
        """Whether it is spent of the budget: it may be the experiment's own doing, and happen again for ever."""
        return self in (AttemptEnd.CRASHED, AttemptEnd.SILENT)


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
    # Only `extend` and `resume` wake an experiment that has ended.
    ExperimentStatus.SUCCEEDED: frozenset({ExperimentStatus.QUEUED}),
    ExperimentStatus.FAILED: frozenset({ExperimentStatus.QUEUED}),
    ExperimentStatus.CANCELLED: frozenset({ExperimentStatus.QUEUED}),
}
