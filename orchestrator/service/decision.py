"""What the reconciler does about one experiment, as a pure function of what it sees.

The rule behind all of it: attempt n+1 begins only when attempt n is known to be dead. It is, if Ray says that its job
has ended, if Ray has lost the job with its head, or if Ray has lost it otherwise and the driver has been silent for too
long. A driver that was started by hand has no job: only its silence tells. (Should a driver wake up that was taken for
dead, the store refuses its writes.)

How long something has been so is measured by the reconciler's own clock (`sightings.py`), never by differences of
wall clocks, which jump.
"""

import signal
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from orchestrator.service.jobs import JobStatus
from orchestrator.status import AttemptEnd, ExperimentStatus


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
    is_heard: bool
    """Whether it has ever said that it lives."""
    silent_seconds: float
    """How long nothing was heard, or how long its job has been where it is without a word."""
    lost_its_head: bool = False
    """Whether Ray's head is another one than that which got the job."""


class Seen(NamedTuple):
    """One experiment, as it is."""

    status: ExperimentStatus
    attempt: OpenAttempt | None
    """`None`: no attempt is open."""
    ends: Mapping[AttemptEnd, int]
    """How attempts have ended since the last progress."""
    last_end: AttemptEnd | None
    """How the newest attempt ended (`None`: there was none, or it is open)."""
    ended_seconds: float
    """How long it has been over."""
    cancelling_seconds: float
    """How long the end has been asked for."""


class Limits(NamedTuple):
    """What of the settings matters here."""

    max_attempts: int
    heartbeat_timeout_seconds: float
    start_timeout_seconds: float
    cancel_grace_seconds: float


_LONGEST_PAUSE_SECONDS = {AttemptEnd.DONE: 0.0, AttemptEnd.TERMINATED: 30.0, AttemptEnd.UNHEARD: 300.0}
"""Between two attempts; a start that takes too long is not helped by another one soon."""
_LONGEST_OTHER_PAUSE_SECONDS = 60.0


def decide(seen: Seen, limits: Limits) -> Action:
    """The next step."""
    if seen.attempt is None:
        return _without_attempt(seen, limits)
    if _is_dead(seen.attempt, limits) or _never_started(seen.attempt, seen.status):
        return Action.CANCEL if seen.status is ExperimentStatus.CANCELLING else Action.REPLACE
    if seen.attempt.job is JobStatus.LOST and not seen.attempt.is_heard:
        return Action.SUBMIT
    if seen.attempt.job in (JobStatus.PENDING, JobStatus.RUNNING) and _must_stop(seen, seen.attempt, limits):
        return Action.STOP
    return Action.WAIT


def pause_seconds(end: AttemptEnd, times: int) -> float:
    """Wait before the next attempt, after so many in vain that ended so: 1, 2, 4, ... seconds, with an upper bound."""
    longest = _LONGEST_PAUSE_SECONDS.get(end, _LONGEST_OTHER_PAUSE_SECONDS)
    return 0.0 if times == 0 else min(longest, 2.0 ** (min(times, 20) - 1))


def spent_on(ends: Mapping[AttemptEnd, int], max_attempts: int) -> AttemptEnd | None:
    """The way to end of which there were as many attempts in vain as there may be (`None`: go on)."""
    return next((end for end, times in ends.items() if end.counts and times >= max_attempts), None)


def end_of(attempt: OpenAttempt, *, was_stopped: bool, exit_code: int | None) -> AttemptEnd:
    """How a dead attempt ended.

    Args:
        attempt: as it is seen, dead.
        was_stopped: whether we stopped its job, because it was silent.
        exit_code: of its job's process, if Ray knows it.
    """
    if attempt.lost_its_head:
        return AttemptEnd.HEAD_LOST
    if attempt.job is None or was_stopped:
        return AttemptEnd.SILENT if attempt.is_heard else AttemptEnd.UNHEARD
    if attempt.job is JobStatus.LOST:
        return AttemptEnd.HEAD_LOST if attempt.is_heard else AttemptEnd.UNHEARD
    if attempt.job is JobStatus.FAILED and exit_code is None and not attempt.is_heard:
        # Ray never got to starting its process.
        return AttemptEnd.UNHEARD
    if attempt.job is JobStatus.STOPPED or exit_code in _TERMINATED_EXIT_CODES:
        return AttemptEnd.TERMINATED
    return AttemptEnd.CRASHED


_TERMINATED_EXIT_CODES = (-signal.SIGTERM, 128 + signal.SIGTERM)
"""As `subprocess` and as shells say it: SIGTERM came before the driver could end by itself."""


def _without_attempt(seen: Seen, limits: Limits) -> Action:
    if seen.status is ExperimentStatus.CANCELLING:
        return Action.CANCEL
    if seen.status is not ExperimentStatus.QUEUED:
        # The driver ended its attempt, but not the experiment.
        return Action.REPLACE
    if spent_on(seen.ends, limits.max_attempts) is not None:
        return Action.GIVE_UP
    if seen.last_end is not None and seen.ended_seconds < pause_seconds(seen.last_end, seen.ends.get(seen.last_end, 0)):
        return Action.WAIT
    return Action.BEGIN


def _is_dead(attempt: OpenAttempt, limits: Limits) -> bool:
    if attempt.job is JobStatus.LOST and attempt.lost_its_head:
        return True
    if attempt.job is not None and attempt.job is not JobStatus.LOST:
        return attempt.job.is_terminal
    return _is_silent(attempt, limits)


def _never_started(attempt: OpenAttempt, status: ExperimentStatus) -> bool:
    """Cancelled between the attempt's row and its job."""
    return status is ExperimentStatus.CANCELLING and attempt.job is JobStatus.LOST and not attempt.is_heard


def _must_stop(seen: Seen, attempt: OpenAttempt, limits: Limits) -> bool:
    if seen.status is ExperimentStatus.CANCELLING:
        # The driver has seen the request by now, or never will.
        return seen.cancelling_seconds > limits.cancel_grace_seconds
    if attempt.lost_its_head:
        # A head that kept its table says RUNNING of a dead driver until the job is touched.
        return True
    # Ray itself gives up on a job that can't start; else it hangs.
    return attempt.job is not JobStatus.PENDING and _is_silent(attempt, limits)


def _is_silent(attempt: OpenAttempt, limits: Limits) -> bool:
    longest = limits.heartbeat_timeout_seconds if attempt.is_heard else limits.start_timeout_seconds
    return attempt.silent_seconds > longest
