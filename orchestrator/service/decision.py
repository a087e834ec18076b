"""What the reconciler does about one experiment, as a pure function of what it sees.

The rule behind all of it: attempt n+1 begins only when attempt n is known to be dead. It is, if Ray says that its job
has ended, or if Ray has lost the job and the driver has been silent for too long. A driver that was started by hand
has no job: only its silence tells. (Should a driver wake up that was taken for dead, the store refuses its writes.)
"""

from enum import StrEnum
from typing import NamedTuple

from orchestrator.service.jobs import JobStatus
from orchestrator.status import ExperimentStatus


class Action(StrEnum):
    """One step towards what is wanted."""

    WAIT = "wait"
    """All is as it should be, or will be by itself."""
    BEGIN = "begin"
    """Start the next attempt."""
    SUBMIT = "submit"
    """The attempt's row is there, its job is not: submit it (again)."""
    STOP = "stop"
    """End the attempt's job."""
    REPLACE = "replace"
    """The attempt is dead: queue the experiment again, or give up."""
    GIVE_UP = "give_up"
    """No attempt is left."""
    CANCEL = "cancel"
    """Nothing runs any more and the end was asked for."""


class OpenAttempt(NamedTuple):
    """The attempt that has not ended, as far as rows know."""

    job: JobStatus | None
    """What Ray says (`None`: started by hand)."""
    heard_seconds_ago: float | None
    """Age of the last heartbeat (`None`: there was none yet)."""
    began_seconds_ago: float
    """Age of the attempt's row."""
    running_unheard_seconds: float
    """How long its job has been seen running without any heartbeat (0: it has one, or does not run)."""


class Seen(NamedTuple):
    """One experiment, as it is."""

    status: ExperimentStatus
    attempt: OpenAttempt | None
    """`None`: no attempt is open."""
    attempts_used: int
    """Attempts in this round."""
    ended_seconds_ago: float | None
    """Age of the end of the newest attempt of this round (`None`: there was none)."""
    cancel_seconds_ago: float | None
    """Age of the request to cancel (`None`: none)."""


class Limits(NamedTuple):
    """What of the settings matters here."""

    max_attempts: int
    heartbeat_timeout_seconds: float
    cancel_grace_seconds: float


LONGEST_PAUSE_SECONDS = 30.0
"""Between two attempts."""


def decide(seen: Seen, limits: Limits) -> Action:
    """The next step."""
    if seen.attempt is None:
        return _without_attempt(seen, limits)
    if _is_dead(seen.attempt, limits) or _never_started(seen.attempt, seen.status):
        return Action.CANCEL if seen.status is ExperimentStatus.CANCELLING else Action.REPLACE
    if seen.attempt.job is JobStatus.LOST and seen.attempt.heard_seconds_ago is None:
        return Action.SUBMIT
    if seen.attempt.job in (JobStatus.PENDING, JobStatus.RUNNING) and _must_stop(seen, seen.attempt, limits):
        return Action.STOP
    return Action.WAIT


def pause_seconds(attempts_used: int) -> float:
    """Wait before the next attempt: none before the first, then 1, 2, 4, ... seconds."""
    return 0.0 if attempts_used == 0 else min(LONGEST_PAUSE_SECONDS, 2.0 ** (attempts_used - 1))


def _without_attempt(seen: Seen, limits: Limits) -> Action:
    if seen.status is ExperimentStatus.CANCELLING:
        return Action.CANCEL
    if seen.status is not ExperimentStatus.QUEUED:
        # The driver ended its attempt, but not the experiment.
        return Action.REPLACE
    if seen.attempts_used >= limits.max_attempts:
        return Action.GIVE_UP
    if seen.ended_seconds_ago is not None and seen.ended_seconds_ago < pause_seconds(seen.attempts_used):
        return Action.WAIT
    return Action.BEGIN


def _is_dead(attempt: OpenAttempt, limits: Limits) -> bool:
    if attempt.job is not None and attempt.job is not JobStatus.LOST:
        return attempt.job.is_terminal
    silent_seconds = attempt.began_seconds_ago if attempt.heard_seconds_ago is None else attempt.heard_seconds_ago
    return silent_seconds > limits.heartbeat_timeout_seconds


def _never_started(attempt: OpenAttempt, status: ExperimentStatus) -> bool:
    """Cancelled between the attempt's row and its job."""
    return status is ExperimentStatus.CANCELLING and attempt.job is JobStatus.LOST and attempt.heard_seconds_ago is None


def _must_stop(seen: Seen, attempt: OpenAttempt, limits: Limits) -> bool:
    if seen.status is ExperimentStatus.CANCELLING and seen.cancel_seconds_ago is not None:
        # The driver has seen the request by now, or never will.
        return seen.cancel_seconds_ago > limits.cancel_grace_seconds
    if attempt.job is JobStatus.PENDING:
        # Ray itself gives up on a job that can't start.
        return False
    # It hangs; or the head was restarted and says RUNNING of a dead driver until the job is touched.
    silent_seconds = attempt.running_unheard_seconds if attempt.heard_seconds_ago is None else attempt.heard_seconds_ago
    return silent_seconds > limits.heartbeat_timeout_seconds
