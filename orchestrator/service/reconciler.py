"""The reconciler: compares what is wanted with what is, and takes one step, again and again.

Level-triggered: a tick looks at rows and at Ray, and remembers nothing that a restart would miss. It may die between
any two lines, and two may run at once: every change of rows is checked again under the row's lock, a job is submitted
under an id that only one job can have, and the lease merely saves the double work.
"""

import logging
import os
import shlex
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from orchestrator.errors import OrchestratorError, RayUnavailableError, StateLostError, StoreError
from orchestrator.logs import about
from orchestrator.service.decision import Action, Limits, OpenAttempt, Seen, decide, end_of, spent_on
from orchestrator.service.janitor import forget_passing_rows, remove_leftovers
from orchestrator.service.jobs import Job, JobStatus, RayJobs
from orchestrator.service.observation import Found, look
from orchestrator.service.state_folders import StateFolders
from orchestrator.settings import Settings
from orchestrator.sightings import Sightings
from orchestrator.status import AttemptEnd, ExperimentStatus, TrialStatus
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
from orchestrator.store.tables import ExperimentRow
from orchestrator.store.trials import cancel_open_trials, reopen_trials
from orchestrator.tracking.trackers import trackers_on

LEASE = "reconciler"
"""Name of the lease of the one that leads."""
LEASE_SECONDS = 30.0
_HOLDER_CHARS = 128
"""Of a holder's name that the database takes."""
_JANITOR_PAUSE_SECONDS = 3600.0
_KEYS_KEPT_SECONDS = 7 * 24 * 3600.0
_STOP_AGAIN_SECONDS = 15.0
_START_PATIENCE_SECONDS = 60.0
"""How long others wait for a driver that is starting."""
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
            clock: monotonic seconds; all that is judged by its age is judged by it.
            folders: of the service: nothing is started once they are gone (`None`: nobody removes them).
        """
        self._folders = folders
        self.has_looked = threading.Event()
        """Set when the first tick is over, however it went."""
        self._database, self._jobs, self._settings, self._clock = database, jobs, settings, clock
        self._holder = f"{socket.gethostname()}:{os.getpid()} ({uuid.uuid4().hex[:12]})"[-_HOLDER_CHARS:]
        self._limits = Limits(
            settings.max_driver_attempts,
            settings.heartbeat_timeout_seconds,
            settings.driver_start_timeout_seconds,
            settings.cancel_grace_seconds,
        )
        self._sightings = Sightings(clock)
        self._lease_renewed_at: float | None = None
        self._cleaned_at: float | None = None
        self._cluster: str | RayUnavailableError | _NotAsked | None = _NotAsked()
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
                self._complain(f"a bug in the reconciler: {error!r}", with_traceback=True)
            else:
                self._complain("")
            self.has_looked.set()
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
            StoreError: the database does not answer, or nobody can write.
            RayUnavailableError: Ray does not answer; what needs no Ray was done.
        """
        try:
            if not self._lead():
                return False
            self._clean_up()
        except StoreError:
            self._stop_who_blocks()
            raise
        unavailable: RayUnavailableError | None = None
        self._cluster = _NotAsked()
        found = look(self._database)
        self._sightings.begin_look({one.id for one in found})
        room = self._room(found)
        for one in found:
            try:
                self._reconcile(one, room)
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
                release(session, LEASE, self._holder)
            self._lease_renewed_at = None

    # ---- seeing ----

    def _room(self, found: Sequence[Found]) -> "_Room":
        starting = [one for one in found if one.status is ExperimentStatus.STARTING and one.is_open]
        ages = [self._sightings.seconds(one.id, "start", one.attempt) for one in starting]
        return _Room(
            num_slots=self._settings.max_concurrent_experiments - sum(one.is_open for one in found),
            is_starting=any(age < _START_PATIENCE_SECONDS for age in ages),
        )

    def _see(self, one: Found, job: Job | None) -> Seen:
        return Seen(
            status=one.status,
            attempt=self._open_attempt(one, job) if one.is_open else None,
            ends=one.ends,
            last_end=one.last_end,
            ended_seconds=self._sightings.seconds(one.id, "end", None if one.is_open else one.attempt),
            cancelling_seconds=self._sightings.seconds(one.id, "cancel", one.cancel_requested_at),
        )

    def _open_attempt(self, one: Found, job: Job | None) -> OpenAttempt:
        status = None if job is None else job.status
        # Long in Ray's queue is no silence: before the first word, time counts from the job's last change.
        heard = one.heard_at or status
        return OpenAttempt(
            job=status,
            is_heard=one.heard_at is not None,
            silent_seconds=self._sightings.seconds(one.id, "silence", (one.attempt, heard)),
            lost_its_head=job is not None
            and one.cluster is not None
            and self._ask_cluster() not in (None, one.cluster),
        )

    def _ask_cluster(self) -> str | None:
        """Once a tick: a thousand vain questions to a Ray that is away would outlast the lease."""
        if isinstance(self._cluster, _NotAsked):
            try:
                self._cluster = self._jobs.cluster()
            except RayUnavailableError as error:
                self._cluster = error
        if isinstance(self._cluster, RayUnavailableError):
            raise self._cluster
        return self._cluster

    # ---- acting ----

    def _reconcile(self, one: Found, room: "_Room") -> None:
        """One step for one experiment."""
        job = self._jobs.find(one.job_id) if one.is_open and one.job_id is not None else None
        seen = self._see(one, job)
        match decide(seen, self._limits):
            case Action.BEGIN:
                self._begin(one, room)
            case Action.SUBMIT:
                self._submit(one, one.attempt)
            case Action.STOP:
                self._stop(one)
            case Action.REPLACE:
                self._replace(one, self._end_of(one, seen, job), self._cause_of_death(one, job))
            case Action.GIVE_UP:
                self._give_up(one)
            case Action.CANCEL:
                self._finish_cancel(one)
            case Action.WAIT:
                pass

    def _begin(self, one: Found, room: "_Room") -> None:
        if room.num_slots <= 0:
            self._explain(one, f"waits: {self._settings.max_concurrent_experiments} experiments run already")
            return
        if room.is_starting:
            self._explain(one, "waits: another driver is starting")
            return
        try:
            if self._folders is not None:
                self._folders.check()
        except StateLostError as error:
            self._explain(one, f"waits: {error}")
            return
        try:
            # An attempt that can't be submitted would only be in the way.
            cluster = self._ask_cluster()
        except RayUnavailableError as error:
            self._explain(one, f"waits for Ray: {error}")
            raise
        with self._database.write() as session:
            row = get_experiment(session, one.id, lock=True)
            if row.status != ExperimentStatus.QUEUED or row.attempt != one.attempt:
                # Another leader was faster.
                room.is_starting = True
                return
            number = begin_attempt(session, one.id, job_id_of(one.id, row.attempt + 1), cluster)
            move(session, one.id, ExperimentStatus.STARTING, f"driver attempt {number}")
        room.num_slots, room.is_starting = room.num_slots - 1, True
        self._submit(one, number)

    def _submit(self, one: Found, attempt: int) -> None:
        # `exec`: Ray's SIGTERM reaches the driver itself, not a shell.
        command = (self._settings.ray_python, "-m", "orchestrator", *_drive_arguments(one.id, attempt))
        try:
            self._settings.write_driver_secrets()
        except PermissionError as error:
            with self._database.write() as session:
                cancel_open_trials(session, one.id, reason="the experiment failed")
                move(
                    session,
                    one.id,
                    ExperimentStatus.FAILED,
                    f"the service's user may not write its drivers' secrets ({error}): give that user the right, or "
                    "name a "
                    f"folder of its own (SIGMALAB_STORAGE), then `sigmalab resume {one.id}`",
                )
            return
        except OSError as error:
            self._explain(one, f"waits: the storage can't be written: {error.strerror or error}")
            return
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
            _log.warning("experiment %s: stopping job %s", one.id, one.job_id, extra=about(one.id, one.attempt))
            self._jobs.stop(one.job_id)

    def _stop_who_blocks(self) -> None:
        """End the driver that stands still while it holds SQLite's write lock: by a read and Ray, as nobody can write.

        No other one, however silent: those that live can't say so now.
        """
        writer = self._database.find_writer()
        if writer is None or not writer.is_stopped:
            return
        for one in look(self._database):
            if (
                one.is_open
                and one.job_id is not None
                and _drive_arguments(one.id, one.attempt) == writer.arguments[-4:]
            ):
                _log.warning("%s is stopped and holds the database's write lock", writer.words)
                self._stop(one)

    def _replace(self, one: Found, end: AttemptEnd, cause: str) -> None:
        with self._database.write() as session:
            row = get_experiment(session, one.id, lock=True)
            if row.status != one.status or row.attempt != one.attempt:
                return
            # One that ended its attempt itself has said why.
            end_attempt(session, one.id, one.attempt, end, cause)
            reopen_trials(session, one.id, (TrialStatus.RUNNING,))
            spent = spent_on(_ends_of(row), self._limits.max_attempts)
            if spent is not None:
                self._fail(session, row, spent, cause)
            elif one.status is not ExperimentStatus.QUEUED:
                move(session, one.id, ExperimentStatus.QUEUED, f"starts again: {cause}")
        ids = about(one.id, one.attempt)
        _log.warning("experiment %s: attempt %d is dead: %s", one.id, one.attempt, cause, extra=ids)

    def _give_up(self, one: Found) -> None:
        with self._database.write() as session:
            row = get_experiment(session, one.id, lock=True)
            spent = spent_on(_ends_of(row), self._limits.max_attempts)
            if row.status == ExperimentStatus.QUEUED and row.attempt == one.attempt and spent is not None:
                attempt = newest_attempt(session, one.id)
                self._fail(session, row, spent, attempt.error if attempt is not None else "")

    def _fail(self, session: Session, row: ExperimentRow, spent: AttemptEnd, cause: str) -> None:
        cancel_open_trials(session, row.id, reason="the experiment failed")
        times = f"{row.attempt_ends[spent]} attempts"
        reason = f"gave up after {times} without progress (`sigmalab resume {row.id}` goes on): {cause}"
        move(session, row.id, ExperimentStatus.FAILED, reason)

    def _end_of(self, one: Found, seen: Seen, job: Job | None) -> AttemptEnd:
        if seen.attempt is None:
            return AttemptEnd.TERMINATED
        was_stopped = one.job_id in self._stopped_at
        return end_of(seen.attempt, was_stopped=was_stopped, exit_code=None if job is None else job.exit_code)

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
        if not one.is_open:
            is_told = one.last_end is AttemptEnd.TERMINATED
            return f"{name} was told to terminate" if is_told else f"{name} ended without a result"
        if job is None:
            return f"{name} (started by hand) is silent; {silence}"
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
        if self._lease_renewed_at is not None and now - self._lease_renewed_at < LEASE_SECONDS / 3:
            return True
        with self._database.write() as session:
            token = try_acquire(session, LEASE, self._holder, LEASE_SECONDS)
        self._lease_renewed_at = None if token is None else now
        return token is not None

    def _clean_up(self) -> None:
        now = self._clock()
        if self._cleaned_at is not None and now - self._cleaned_at < _JANITOR_PAUSE_SECONDS:
            return
        with self._database.write() as session:
            forget_old_keys(session, _KEYS_KEPT_SECONDS)
            trackers = [kind.name for kind in trackers_on(self._settings)]
            forget_passing_rows(session, self._settings.retention_days, trackers)
        remove_leftovers(self._database, self._settings.home, self._settings.effective_storage)
        self._cleaned_at = now

    def _complain(self, complaint: str, *, with_traceback: bool = False) -> None:
        """Log a change of complaints, not every repetition."""
        if complaint and complaint != self._complaint:
            _log.warning("%s", complaint, exc_info=with_traceback)
        self._complaint = complaint


@dataclass
class _Room:
    """What this tick may still begin."""

    num_slots: int
    is_starting: bool
    """Drivers start one after another: on a busy head two at once take more than twice as long."""


class _NotAsked:
    """In this tick."""


def _drive_arguments(experiment_id: str, attempt: int) -> tuple[str, ...]:
    """The end of a driver's command line."""
    return ("drive", experiment_id, "--attempt", str(attempt))


def _ends_of(row: ExperimentRow) -> dict[AttemptEnd, int]:
    return {AttemptEnd(end): times for end, times in row.attempt_ends.items()}


def job_id_of(experiment_id: str, attempt: int) -> str:
    """Ray's submission id of a driver attempt."""
    return f"exp-{experiment_id}-a{attempt}"
