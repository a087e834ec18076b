"""The reconciler: compares what is wanted with what is, and takes one step, again and again.

Level-triggered: a tick looks at rows and at Ray, and remembers nothing that a restart would miss. It may die between
any two lines, and two may run at once: every change of rows is checked again under the row's lock, a job is submitted
under an id that only one job can have, and the lease merely saves the double work.
"""

import logging
import shlex
import threading
import time
import uuid
from collections.abc import Callable

from orchestrator.errors import OrchestratorError, RayUnavailableError, StateLostError, StoreError
from orchestrator.service.decision import Action, Limits, OpenAttempt, Seen, decide
from orchestrator.service.jobs import Job, JobStatus, RayJobs
from orchestrator.service.observation import Found, age, look
from orchestrator.service.state_folders import StateFolders
from orchestrator.settings import Settings
from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import (
    begin_attempt,
    end_attempt,
    get_experiment,
    move,
    newest_attempt,
    set_reason,
)
from orchestrator.store.idempotency import forget_old_keys
from orchestrator.store.leases import release, try_acquire
from orchestrator.store.trials import cancel_open_trials, reopen_trials

_LEASE = "reconciler"
_LEASE_SECONDS = 30.0
_JANITOR_PAUSE_SECONDS = 3600.0
_KEYS_KEPT_SECONDS = 7 * 24 * 3600.0
_STOP_AGAIN_SECONDS = 15.0
_LOG_TAIL_CHARS = 1500

_log = logging.getLogger(__name__)


class Reconciler:
    """Starts drivers, replaces dead ones, ends cancelled ones. Life: `run` in a thread, or `tick` by hand."""

    def __init__(
        self,
        database: Database,
        jobs: RayJobs,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        folders: StateFolders | None = None,
    ) -> None:
        """Nothing is read or started yet.

        Args:
            database: the truth.
            jobs: Ray.
            settings: limits, and what drivers are told.
            clock: seconds, for pauses of this process; ages of rows come from the database's clock.
            folders: of the service: nothing is started once they are gone (`None`: nobody removes them).
        """
        self._folders = folders
        self._database, self._jobs, self._settings, self._clock = database, jobs, settings, clock
        self._holder = f"reconciler-{uuid.uuid4().hex}"
        self._limits = Limits(
            settings.max_driver_attempts, settings.heartbeat_timeout_seconds, settings.cancel_grace_seconds
        )
        self._lease_renewed_at: float | None = None
        self._cleaned_at: float | None = None
        self._ray_is_away: RayUnavailableError | None = None
        self._running_unheard_since: dict[str, float] = {}
        self._stopped_at: dict[str, float] = {}
        self._complaint = ""

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set; whatever goes wrong is logged, and tried again."""
        while not stop.is_set():
            try:
                self.tick()
            except OrchestratorError as error:
                self._complain(str(error))
            except Exception as error:  # noqa: BLE001 (the top of a thread: a service without it would look healthy)
                self._complain(f"the reconciler has a defect: {error!r}", with_traceback=True)
            else:
                self._complain("")
            stop.wait(self._settings.reconcile_interval_seconds)
        try:
            self.resign()
        except StoreError as error:
            _log.warning("the reconciler's lease runs out by itself: %s", error)

    def tick(self) -> bool:
        """Look at every experiment that has not ended and take one step for each.

        Returns:
            Whether this reconciler has the lease (else it did nothing).

        Raises:
            StoreError: the database does not answer.
            RayUnavailableError: Ray does not answer; what needs no Ray was done.
        """
        if not self._lead():
            return False
        self._clean_up()
        unavailable: RayUnavailableError | None = None
        self._ray_is_away = None
        found = look(self._database)
        num_slots = self._settings.max_concurrent_experiments - sum(one.is_open for one in found)
        for one in found:
            try:
                num_slots -= self._reconcile(one, num_slots)
            except RayUnavailableError as error:
                # Queued experiments can still be cancelled, and so on: look at all of them.
                unavailable = error
        if unavailable is not None:
            raise unavailable
        return True

    def resign(self) -> None:
        """Give the lease back, so that another process need not wait for its end."""
        if self._lease_renewed_at is not None:
            with self._database.write() as session:
                release(session, _LEASE, self._holder)
            self._lease_renewed_at = None

    # ---- seeing ----

    def _open_attempt(self, one: Found, job: Job | None) -> OpenAttempt | None:
        began = age(one.now, one.began_at)
        if not one.is_open or began is None:
            return None
        unheard = 0.0
        if one.job_id is not None:
            if one.heard_at is None and job is not None and job.status is JobStatus.RUNNING:
                unheard = self._clock() - self._running_unheard_since.setdefault(one.job_id, self._clock())
            else:
                self._running_unheard_since.pop(one.job_id, None)
        return OpenAttempt(
            job=None if job is None else job.status,
            heard_seconds_ago=age(one.now, one.heard_at),
            began_seconds_ago=began,
            running_unheard_seconds=unheard,
        )

    # ---- acting ----

    def _reconcile(self, one: Found, num_slots: int) -> int:
        """One step for one experiment; gives the number of slots (0 or 1) that it took."""
        job = self._jobs.find(one.job_id) if one.is_open and one.job_id is not None else None
        seen = Seen(
            status=one.status,
            attempt=self._open_attempt(one, job),
            attempts_used=one.attempts_used,
            ended_seconds_ago=age(one.now, one.attempt_ended_at) if one.attempts_used else None,
            cancel_seconds_ago=age(one.now, one.cancel_requested_at),
        )
        match decide(seen, self._limits):
            case Action.BEGIN:
                return self._begin(one, num_slots)
            case Action.SUBMIT:
                self._submit(one, one.attempt)
            case Action.STOP:
                self._stop(one)
            case Action.REPLACE:
                self._replace(one, self._cause_of_death(one, job))
            case Action.GIVE_UP:
                self._give_up(one)
            case Action.CANCEL:
                self._finish_cancel(one)
            case Action.WAIT:
                pass
        return 0

    def _begin(self, one: Found, num_slots: int) -> int:
        if num_slots <= 0:
            self._explain(one, f"waits: {self._settings.max_concurrent_experiments} experiments run already")
            return 0
        try:
            if self._folders is not None:
                self._folders.check()
        except StateLostError as error:
            self._explain(one, f"waits: {error}")
            return 0
        try:
            # An attempt that can't be submitted would count against the budget.
            self._check_ray()
        except RayUnavailableError as error:
            self._explain(one, f"waits for Ray: {error}")
            raise
        with self._database.write() as session:
            row = get_experiment(session, one.id, lock=True)
            if row.status != ExperimentStatus.QUEUED or row.attempt != one.attempt:
                return 0
            number = begin_attempt(session, one.id, job_id_of(one.id, row.attempt + 1))
            move(session, one.id, ExperimentStatus.STARTING, f"driver attempt {number}")
        self._submit(one, number)
        return 1

    def _check_ray(self) -> None:
        """Ask until it does not answer: a thousand vain questions in one tick would outlast the lease."""
        if self._ray_is_away is not None:
            raise self._ray_is_away
        try:
            self._jobs.check()
        except RayUnavailableError as error:
            self._ray_is_away = error
            raise

    def _submit(self, one: Found, attempt: int) -> None:
        # `exec`: Ray's SIGTERM reaches the driver itself, not a shell.
        command = (self._settings.ray_python, "-m", "orchestrator", "drive", one.id, "--attempt", str(attempt))
        try:
            self._jobs.submit(
                job_id_of(one.id, attempt),
                f"exec {shlex.join(command)}",
                self._settings.driver_environment(),
                working_dir=self._settings.ray_working_dir,
            )
        except RayUnavailableError as error:
            self._explain(one, f"driver attempt {attempt} could not be submitted: {error}")
            raise

    def _stop(self, one: Found) -> None:
        assert one.job_id is not None
        asked_at = self._stopped_at.get(one.job_id)
        if asked_at is None or self._clock() - asked_at > _STOP_AGAIN_SECONDS:
            self._stopped_at[one.job_id] = self._clock()
            _log.warning("experiment %s: stopping job %s", one.id, one.job_id)
            self._jobs.stop(one.job_id)

    def _replace(self, one: Found, cause: str) -> None:
        with self._database.write() as session:
            row = get_experiment(session, one.id, lock=True)
            if row.status != one.status or row.attempt != one.attempt:
                return
            end_attempt(session, one.id, one.attempt, cause)
            reopen_trials(session, one.id, (TrialStatus.RUNNING,))
            if one.attempts_used >= self._settings.max_driver_attempts:
                cancel_open_trials(session, one.id, reason="the experiment failed")
                move(session, one.id, ExperimentStatus.FAILED, f"gave up after {one.attempts_used} attempts: {cause}")
            elif one.status is not ExperimentStatus.QUEUED:
                move(session, one.id, ExperimentStatus.QUEUED, f"starts again: {cause}")
        _log.warning("experiment %s: attempt %d is dead: %s", one.id, one.attempt, cause)

    def _give_up(self, one: Found) -> None:
        with self._database.write() as session:
            row = get_experiment(session, one.id, lock=True)
            if row.status == ExperimentStatus.QUEUED and row.attempt == one.attempt:
                cancel_open_trials(session, one.id, reason="the experiment failed")
                attempt = newest_attempt(session, one.id)
                cause = attempt.error if attempt is not None else ""
                move(session, one.id, ExperimentStatus.FAILED, f"gave up after {one.attempts_used} attempts: {cause}")

    def _finish_cancel(self, one: Found) -> None:
        with self._database.write() as session:
            row = get_experiment(session, one.id, lock=True)
            if row.status == ExperimentStatus.CANCELLING and row.attempt == one.attempt:
                cancel_open_trials(session, one.id)
                move(session, one.id, ExperimentStatus.CANCELLED, "cancelled")

    def _cause_of_death(self, one: Found, job: Job | None) -> str:
        """Why the attempt is over, with the end of its log: what a person needs to act."""
        silence = f"it was last heard of at {one.heard_at or one.began_at:%H:%M:%S} UTC"
        name = f"driver attempt {one.attempt}"
        if job is None:
            return f"{name} ended without a result" if not one.is_open else f"{name} (by hand) is silent; {silence}"
        if job.status is JobStatus.LOST:
            return f"{name} is lost: Ray no longer knows its job, and {silence}"
        ending = "ended without a result" if job.status is JobStatus.SUCCEEDED else f"ended: {job.message}"
        tail = self._log_tail(one.job_id or "")
        return f"{name} {ending}" + (f"\nEnd of its log:\n{tail}" if tail else "")

    def _log_tail(self, job_id: str) -> str:
        try:
            log = self._jobs.logs(job_id)
        except RayUnavailableError as error:
            return f"(not readable: {error})"
        # A killed writer may leave NUL characters, which PostgreSQL refuses.
        return (log or "").replace("\0", "").strip()[-_LOG_TAIL_CHARS:]

    def _explain(self, one: Found, reason: str) -> None:
        if one.reason != reason:
            with self._database.write() as session:
                if not ExperimentStatus(get_experiment(session, one.id, lock=True).status).is_final:
                    set_reason(session, one.id, reason)

    # ---- housekeeping ----

    def _lead(self) -> bool:
        now = self._clock()
        if self._lease_renewed_at is not None and now - self._lease_renewed_at < _LEASE_SECONDS / 3:
            return True
        with self._database.write() as session:
            token = try_acquire(session, _LEASE, self._holder, _LEASE_SECONDS)
        self._lease_renewed_at = None if token is None else now
        return token is not None

    def _clean_up(self) -> None:
        now = self._clock()
        if self._cleaned_at is not None and now - self._cleaned_at < _JANITOR_PAUSE_SECONDS:
            return
        with self._database.write() as session:
            forget_old_keys(session, _KEYS_KEPT_SECONDS)
        self._cleaned_at = now

    def _complain(self, complaint: str, *, with_traceback: bool = False) -> None:
        """Log a change of complaints, not every repetition."""
        if complaint and complaint != self._complaint:
            _log.warning("%s", complaint, exc_info=with_traceback)
        self._complaint = complaint


def job_id_of(experiment_id: str, attempt: int) -> str:
    """Ray's submission id of a driver attempt."""
    return f"exp-{experiment_id}-a{attempt}"
