"""The reconciler's decision: a table of what is seen and what follows, and rules that hold for everything seen."""

import itertools

import pytest

from orchestrator.service.decision import Action, Limits, OpenAttempt, Seen, decide, pause_seconds
from orchestrator.service.jobs import JobStatus
from orchestrator.status import ExperimentStatus

LIMITS = Limits(max_attempts=3, heartbeat_timeout_seconds=60.0, cancel_grace_seconds=20.0)
QUEUED, STARTING, RUNNING, CANCELLING, *_ = ExperimentStatus
PENDING_JOB, RUNNING_JOB, STOPPED_JOB, SUCCEEDED_JOB, FAILED_JOB, LOST_JOB = JobStatus


def attempt(
    job: JobStatus | None, *, heard: float | None = 1.0, began: float = 100.0, unheard: float = 0.0
) -> OpenAttempt:
    return OpenAttempt(job=job, heard_seconds_ago=heard, began_seconds_ago=began, running_unheard_seconds=unheard)


def seen(
    status: ExperimentStatus,
    open_attempt: OpenAttempt | None,
    *,
    used: int = 1,
    ended: float | None = None,
    cancel: float | None = None,
) -> Seen:
    return Seen(status, open_attempt, used, ended, cancel)


TABLE = [
    ("a new experiment begins", seen(QUEUED, None, used=0), Action.BEGIN),
    ("a dead driver is followed after a pause", seen(QUEUED, None, ended=0.5), Action.WAIT),
    ("the pause is over", seen(QUEUED, None, ended=1.5), Action.BEGIN),
    ("the second pause is longer", seen(QUEUED, None, used=2, ended=1.5), Action.WAIT),
    ("no attempt is left", seen(QUEUED, None, used=3, ended=900.0), Action.GIVE_UP),
    ("the service died before it submitted", seen(STARTING, attempt(LOST_JOB, heard=None, began=1.0)), Action.SUBMIT),
    ("the job waits for Ray", seen(STARTING, attempt(PENDING_JOB, heard=None, began=900.0)), Action.WAIT),
    ("the job has just started", seen(STARTING, attempt(RUNNING_JOB, heard=None, unheard=30.0)), Action.WAIT),
    ("it never says a word", seen(STARTING, attempt(RUNNING_JOB, heard=None, unheard=61.0)), Action.STOP),
    ("it is lost and never said a word", seen(STARTING, attempt(LOST_JOB, heard=None)), Action.REPLACE),
    ("all is well", seen(RUNNING, attempt(RUNNING_JOB)), Action.WAIT),
    ("it hangs, or Ray's status lies", seen(RUNNING, attempt(RUNNING_JOB, heard=61.0)), Action.STOP),
    ("the head restarted, the driver lives", seen(RUNNING, attempt(LOST_JOB)), Action.WAIT),
    ("the head restarted, the driver is silent", seen(RUNNING, attempt(LOST_JOB, heard=61.0)), Action.REPLACE),
    ("the driver crashed a moment ago", seen(RUNNING, attempt(FAILED_JOB)), Action.REPLACE),
    ("somebody stopped the job", seen(RUNNING, attempt(STOPPED_JOB)), Action.REPLACE),
    ("it ended without a final status", seen(RUNNING, attempt(SUCCEEDED_JOB)), Action.REPLACE),
    ("it ended its attempt only", seen(RUNNING, None), Action.REPLACE),
    ("a driver by hand is left alone", seen(RUNNING, attempt(None, heard=59.0)), Action.WAIT),
    ("a driver by hand that is starting, too", seen(STARTING, attempt(None, heard=None, began=59.0)), Action.WAIT),
    ("a driver by hand is silent", seen(RUNNING, attempt(None, heard=61.0)), Action.REPLACE),
    ("the driver may end politely", seen(CANCELLING, attempt(RUNNING_JOB), cancel=19.0), Action.WAIT),
    ("the driver does not end", seen(CANCELLING, attempt(RUNNING_JOB), cancel=21.0), Action.STOP),
    ("the job still waits for Ray", seen(CANCELLING, attempt(PENDING_JOB, heard=None), cancel=21.0), Action.STOP),
    ("the stopped job has ended", seen(CANCELLING, attempt(STOPPED_JOB), cancel=25.0), Action.CANCEL),
    ("cancelled before the job was there", seen(CANCELLING, attempt(LOST_JOB, heard=None), cancel=0.0), Action.CANCEL),
    ("a driver by hand is asked only", seen(CANCELLING, attempt(None), cancel=900.0), Action.WAIT),
    ("a driver by hand is gone", seen(CANCELLING, attempt(None, heard=61.0), cancel=70.0), Action.CANCEL),
    ("nothing is left to wait for", seen(CANCELLING, None, cancel=0.0), Action.CANCEL),
]


@pytest.mark.parametrize(("what", "see", "action"), TABLE, ids=[row[0] for row in TABLE])
def test_decisions(what: str, see: Seen, action: Action) -> None:
    assert decide(see, LIMITS) is action


EVERYTHING = [
    Seen(status, open_attempt, used, ended, cancel)
    for status, used, ended, cancel in itertools.product(
        (QUEUED, STARTING, RUNNING, CANCELLING), (0, 1, 3), (None, 0.0, 900.0), (None, 0.0, 900.0)
    )
    for open_attempt in [
        None,
        *(
            OpenAttempt(job, heard, began, unheard)
            for job, heard, began, unheard in itertools.product(
                (None, *JobStatus), (None, 0.0, 900.0), (0.0, 900.0), (0.0, 900.0)
            )
        ),
    ]
]


def test_no_attempt_begins_while_another_is_open() -> None:
    assert not [one for one in EVERYTHING if one.attempt and decide(one, LIMITS) is Action.BEGIN]


def test_an_attempt_is_replaced_only_when_it_is_known_to_be_dead() -> None:
    for one in EVERYTHING:
        if one.attempt is not None and decide(one, LIMITS) is Action.REPLACE:
            job, heard, began, _ = one.attempt
            is_silent = (began if heard is None else heard) > LIMITS.heartbeat_timeout_seconds
            assert (job is not None and job.is_terminal) or (job in (None, JobStatus.LOST) and is_silent)


def test_a_cancelled_experiment_never_starts_anything() -> None:
    decided = {decide(one, LIMITS) for one in EVERYTHING if one.status is CANCELLING}
    assert decided == {Action.WAIT, Action.STOP, Action.CANCEL}


def test_only_jobs_are_stopped() -> None:
    stopped = [one.attempt for one in EVERYTHING if decide(one, LIMITS) is Action.STOP]
    assert {one.job for one in stopped} == {JobStatus.PENDING, JobStatus.RUNNING}


def test_pauses_grow_to_half_a_minute() -> None:
    assert [pause_seconds(used) for used in (0, 1, 2, 3, 9)] == [0.0, 1.0, 2.0, 4.0, 30.0]
