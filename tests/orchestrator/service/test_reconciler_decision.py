"""The reconciler's decision: a table of what is seen and what follows, and rules that hold for everything seen."""

import itertools

import pytest

from orchestrator.service.decision import Action, Limits, OpenAttempt, Seen, decide, end_of, pause_seconds
from orchestrator.service.jobs import JobStatus
from orchestrator.status import AttemptEnd, ExperimentStatus

LIMITS = Limits(max_attempts=3, heartbeat_timeout_seconds=60.0, start_timeout_seconds=600.0, cancel_grace_seconds=20.0)
QUEUED, STARTING, RUNNING, CANCELLING, *_ = ExperimentStatus
PENDING_JOB, RUNNING_JOB, STOPPED_JOB, SUCCEEDED_JOB, FAILED_JOB, LOST_JOB = JobStatus

TERMINATED, HEAD_LOST, UNHEARD, CRASHED, SILENT = list(AttemptEnd)[1:]


def attempt(job: JobStatus | None, *, silent: float = 1.0, is_heard: bool = True, lost: bool = False) -> OpenAttempt:
    return OpenAttempt(job=job, is_heard=is_heard, silent_seconds=silent, lost_its_head=lost)


def unheard(job: JobStatus | None, silent: float = 1.0, *, lost: bool = False) -> OpenAttempt:
    return attempt(job, silent=silent, is_heard=False, lost=lost)


def seen(
    status: ExperimentStatus,
    open_attempt: OpenAttempt | None,
    *,
    ends: dict[AttemptEnd, int] | None = None,
    last: AttemptEnd | None = None,
    ended: float = 900.0,
    cancel: float = 0.0,
) -> Seen:
    return Seen(status, open_attempt, ends or {}, last, ended, cancel)


TABLE = [
    ("a new experiment begins", seen(QUEUED, None, ended=0.0), Action.BEGIN),
    ("one that is extended, too", seen(QUEUED, None, last=AttemptEnd.DONE, ended=0.0), Action.BEGIN),
    ("a crashed driver is followed after a pause", seen(QUEUED, None, ends={CRASHED: 1}, last=CRASHED, ended=0.5),
     Action.WAIT),
    ("the pause is over", seen(QUEUED, None, ends={CRASHED: 1}, last=CRASHED, ended=1.5), Action.BEGIN),
    ("the second pause is longer", seen(QUEUED, None, ends={CRASHED: 2}, last=CRASHED, ended=1.5), Action.WAIT),
    ("each cause has its pause", seen(QUEUED, None, ends={CRASHED: 2, SILENT: 1}, last=SILENT, ended=1.5),
     Action.BEGIN),
    ("after progress there is none", seen(QUEUED, None, ends={}, last=CRASHED, ended=0.0), Action.BEGIN),
    ("no attempt is left", seen(QUEUED, None, ends={CRASHED: 3}, last=CRASHED), Action.GIVE_UP),
    ("each cause has its budget", seen(QUEUED, None, ends={CRASHED: 2, SILENT: 2}, last=SILENT), Action.BEGIN),
    ("being told to terminate costs nothing", seen(QUEUED, None, ends={TERMINATED: 99}, last=TERMINATED), Action.BEGIN),
    ("nor does a head that goes down", seen(QUEUED, None, ends={HEAD_LOST: 99}, last=HEAD_LOST), Action.BEGIN),
    ("nor a slow start", seen(QUEUED, None, ends={UNHEARD: 99}, last=UNHEARD), Action.BEGIN),
    ("which is not tried again soon", seen(QUEUED, None, ends={UNHEARD: 99}, last=UNHEARD, ended=299.0), Action.WAIT),
    ("the service died before it submitted", seen(STARTING, unheard(LOST_JOB)), Action.SUBMIT),
    ("the job waits for Ray", seen(STARTING, unheard(PENDING_JOB, 900.0)), Action.WAIT),
    ("the job has just started", seen(STARTING, unheard(RUNNING_JOB, 30.0)), Action.WAIT),
    ("a slow start is no silence", seen(STARTING, unheard(RUNNING_JOB, 599.0)), Action.WAIT),
    ("it never says a word", seen(STARTING, unheard(RUNNING_JOB, 601.0)), Action.STOP),
    ("it can't be submitted", seen(STARTING, unheard(LOST_JOB, 601.0)), Action.REPLACE),
    ("the head restarted before its first word", seen(STARTING, unheard(LOST_JOB, lost=True)), Action.REPLACE),
    ("all is well", seen(RUNNING, attempt(RUNNING_JOB)), Action.WAIT),
    ("it hangs", seen(RUNNING, attempt(RUNNING_JOB, silent=61.0)), Action.STOP),
    ("Ray forgot a job that lives", seen(RUNNING, attempt(LOST_JOB)), Action.WAIT),
    ("Ray forgot a job that is silent", seen(RUNNING, attempt(LOST_JOB, silent=61.0)), Action.REPLACE),
    ("the head restarted", seen(RUNNING, attempt(LOST_JOB, silent=0.0, lost=True)), Action.REPLACE),
    ("the head restarted and lies", seen(RUNNING, attempt(RUNNING_JOB, silent=0.0, lost=True)), Action.STOP),
    ("the driver crashed a moment ago", seen(RUNNING, attempt(FAILED_JOB)), Action.REPLACE),
    ("somebody stopped the job", seen(RUNNING, attempt(STOPPED_JOB)), Action.REPLACE),
    ("it ended without a final status", seen(RUNNING, attempt(SUCCEEDED_JOB)), Action.REPLACE),
    ("it ended its attempt only", seen(RUNNING, None, ends={TERMINATED: 1}, last=TERMINATED), Action.REPLACE),
    ("a driver by hand is left alone", seen(RUNNING, attempt(None, silent=59.0)), Action.WAIT),
    ("a driver by hand that is starting, too", seen(STARTING, unheard(None, 599.0)), Action.WAIT),
    ("a driver by hand is silent", seen(RUNNING, attempt(None, silent=61.0)), Action.REPLACE),
    ("the driver may end politely", seen(CANCELLING, attempt(RUNNING_JOB), cancel=19.0), Action.WAIT),
    ("the driver does not end", seen(CANCELLING, attempt(RUNNING_JOB), cancel=21.0), Action.STOP),
    ("the job still waits for Ray", seen(CANCELLING, unheard(PENDING_JOB), cancel=21.0), Action.STOP),
    ("the stopped job has ended", seen(CANCELLING, attempt(STOPPED_JOB), cancel=25.0), Action.CANCEL),
    ("cancelled before the job was there", seen(CANCELLING, unheard(LOST_JOB)), Action.CANCEL),
    ("a driver by hand is asked only", seen(CANCELLING, attempt(None), cancel=900.0), Action.WAIT),
    ("a driver by hand is gone", seen(CANCELLING, attempt(None, silent=61.0), cancel=70.0), Action.CANCEL),
    ("nothing is left to wait for", seen(CANCELLING, None), Action.CANCEL),
]  # fmt: skip


@pytest.mark.parametrize(("what", "see", "action"), TABLE, ids=[row[0] for row in TABLE])
def test_decisions(what: str, see: Seen, action: Action) -> None:
    assert decide(see, LIMITS) is action


EVERYTHING = [
    Seen(status, open_attempt, ends, last, ended, cancel)
    for status, ends, last, ended, cancel in itertools.product(
        (QUEUED, STARTING, RUNNING, CANCELLING),
        ({}, {CRASHED: 3}),
        (None, CRASHED, UNHEARD),
        (0.0, 900.0),
        (0.0, 900.0),
    )
    for open_attempt in [
        None,
        *(
            OpenAttempt(job, is_heard, silent, lost)
            for job, is_heard, silent, lost in itertools.product(
                (None, *JobStatus), (False, True), (0.0, 100.0, 900.0), (False, True)
            )
        ),
    ]
]


def test_no_attempt_begins_while_another_is_open() -> None:
    assert not [one for one in EVERYTHING if one.attempt and decide(one, LIMITS) is Action.BEGIN]


def test_an_attempt_is_replaced_only_when_it_is_known_to_be_dead() -> None:
    for one in EVERYTHING:
        if one.attempt is not None and decide(one, LIMITS) is Action.REPLACE:
            job, is_heard, silent, lost = one.attempt
            is_silent = silent > (LIMITS.heartbeat_timeout_seconds if is_heard else LIMITS.start_timeout_seconds)
            is_gone = is_silent or (lost and job is JobStatus.LOST)
            assert (job is not None and job.is_terminal) or (job in (None, JobStatus.LOST) and is_gone)


def test_a_cancelled_experiment_never_starts_anything() -> None:
    decided = {decide(one, LIMITS) for one in EVERYTHING if one.status is CANCELLING}
    assert decided == {Action.WAIT, Action.STOP, Action.CANCEL}


def test_only_jobs_are_stopped() -> None:
    stopped = [one.attempt for one in EVERYTHING if decide(one, LIMITS) is Action.STOP]
    assert {one.job for one in stopped} == {JobStatus.PENDING, JobStatus.RUNNING}


def test_pauses_grow_up_to_a_bound_of_each_cause() -> None:
    assert [pause_seconds(CRASHED, times) for times in (0, 1, 2, 3, 99)] == [0.0, 1.0, 2.0, 4.0, 60.0]
    assert [pause_seconds(end, 99) for end in AttemptEnd] == [0.0, 30.0, 60.0, 300.0, 60.0, 60.0]


ENDS = [
    ("it crashed", attempt(FAILED_JOB), False, 1, CRASHED),
    ("it was killed, by want of memory say", attempt(FAILED_JOB), False, -9, CRASHED),
    ("it ended well, without a result", attempt(SUCCEEDED_JOB), False, 0, CRASHED),
    ("it crashed at its first import", unheard(FAILED_JOB), False, 1, CRASHED),
    ("Ray never started its process", unheard(FAILED_JOB), False, None, UNHEARD),
    ("a signal told it to end before it listened", unheard(FAILED_JOB), False, -15, TERMINATED),
    ("its shell says the same", attempt(FAILED_JOB), False, 143, TERMINATED),
    ("somebody stopped its job", attempt(STOPPED_JOB), False, None, TERMINATED),
    ("we stopped it for its silence", attempt(STOPPED_JOB), True, None, SILENT),
    ("we stopped it as it never spoke", unheard(STOPPED_JOB), True, None, UNHEARD),
    ("its head is gone", attempt(LOST_JOB, lost=True), False, None, HEAD_LOST),
    ("its head kept the table", attempt(FAILED_JOB, lost=True), True, None, HEAD_LOST),
    ("Ray forgot it", attempt(LOST_JOB, silent=61.0), False, None, HEAD_LOST),
    ("it could not be submitted", unheard(LOST_JOB, 601.0), False, None, UNHEARD),
    ("by hand, and silent", attempt(None, silent=61.0), False, None, SILENT),
]


@pytest.mark.parametrize(("what", "dead", "was_stopped", "exit_code", "end"), ENDS, ids=[row[0] for row in ENDS])
def test_why_an_attempt_is_over(
    what: str, dead: OpenAttempt, was_stopped: bool, exit_code: int | None, end: AttemptEnd
) -> None:
    assert end_of(dead, was_stopped=was_stopped, exit_code=exit_code) is end


def test_only_what_may_be_the_experiments_own_doing_is_spent_of_its_budget() -> None:
    assert {end for end in AttemptEnd if end.counts} == {CRASHED, SILENT}
