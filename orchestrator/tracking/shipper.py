"""The loop from the store to a tracker. Runs in the API and in every driver; a lease lets one of them work.

Nothing waits for it: while a tracker is away rows pile up in the store, and when it is back they are sent with their
original times.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import StoreError
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.leases import release, try_acquire
from orchestrator.store.tracking import EXPERIMENT
from orchestrator.tracking.outbox import OpenExperiment, OpenTrial, Outbox
from orchestrator.tracking.summary_run import SummaryRuns
from orchestrator.tracking.tracker import Tracker, TrackerRefusedError, TrackerUnavailableError
from orchestrator.tracking.trial_run import TrialRuns

_LEASE_SECONDS = 30.0
_IDLE_SECONDS = 1.0
_PROGRESS_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 30.0

_log = logging.getLogger(__name__)


class _TurnOverError(Exception):
    """Another shipper has the lease, or the caller's time is up."""


class Shipper:
    """Sends unshipped rows to one tracker.

    Life: `run(stop)` in a thread of its own until `stop` is set; at the end of a program `drain`, which waits until
    nothing is left. One shipper may be used from several threads; they take turns.
    """

    def __init__(self, database: Database, tracker: Tracker, *, storage: Path | None = None) -> None:
        """Nothing is sent yet.

        Args:
            database: holds the rows.
            tracker: where they go.
            storage: folder of the trials' folders, for maps and per-image predictions (`None`: reports do without).
        """
        self._database = database
        self._tracker = tracker
        self._outbox = Outbox(tracker.name)
        self._storage = storage
        self._lease = f"shipper-{tracker.name}"
        self._holder = f"shipper-{secrets.token_hex(8)}"
        self._turn = threading.Lock()
        self._is_over: Callable[[], bool] = lambda: False
        self._shipped = 0
        self._lease_renewed_at = -_LEASE_SECONDS
        self._progress_shown_at: dict[str, float] = {}

    def ship_once(self, is_over: Callable[[], bool] = lambda: False) -> int:
        """Send all that is waiting; nothing if another shipper is at work.

        Args:
            is_over: asked before every trial; once it is true the rest stays where it is.

        Returns:
            Number of metric values, closed runs and summaries.

        Raises:
            TrackerUnavailableError: the tracker does not answer; what was sent until then is noted.
            StoreError: the database does not answer.
        """
        with self._turn:
            self._is_over = is_over
            with self._database.read() as session:
                experiments = self._outbox.experiments_with_work(session)
            self._shipped = 0
            try:
                for experiment in experiments:
                    with self._defects_postponed(experiment.row.id):
                        self._ship_experiment(experiment)
            except _TurnOverError:
                _log.debug("another shipper is at work, or there is no time left")
            return self._shipped

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop` is set; an outage only makes it slower."""
        pause = _IDLE_SECONDS
        try:
            while not stop.is_set():
                try:
                    shipped = self.ship_once(stop.is_set)
                    pause = 0.0 if shipped else _IDLE_SECONDS
                except (TrackerUnavailableError, StoreError) as error:
                    if pause <= _IDLE_SECONDS:
                        _log.warning("%s gets nothing for now, rows wait in the store: %s", self._tracker.title, error)
                    pause = min(_LONGEST_PAUSE_SECONDS, max(_IDLE_SECONDS, 2 * pause))
                stop.wait(pause)
        finally:
            self._give_lease_back()

    def drain(self, timeout_seconds: float) -> bool:
        """Ship until nothing is left, for so long at most; gives whether the tracker has everything."""
        deadline = time.monotonic() + timeout_seconds
        pause = threading.Event()
        try:
            while True:
                try:
                    self.ship_once(lambda: time.monotonic() >= deadline)
                    with self._database.read() as session:
                        if self._outbox.backlog(session).is_empty:
                            return True
                except TrackerUnavailableError as error:
                    _log.info("%s does not answer: %s", self._tracker.title, error)
                if time.monotonic() >= deadline:
                    return False
                pause.wait(min(0.2, max(0.0, deadline - time.monotonic())))
        finally:
            self._give_lease_back()

    # ---- one experiment ----

    def _ship_experiment(self, experiment: OpenExperiment) -> None:
        with self._database.read() as session:
            trials = self._outbox.trials_with_work(session, experiment.row.id)
        has_summary_work = self._wants_summary(experiment, has_trials=bool(trials))
        if not (trials or has_summary_work):
            return
        self._hold_lease()
        try:
            group = self._group_of(experiment)
            runs = TrialRuns(self._tracker, self._database, experiment.row, group, self._storage)
            for trial in trials:
                self._shipped += self._ship_trial(runs, trial)
            if has_summary_work:
                self._shipped += self._ship_summary(experiment, group)
        except TrackerRefusedError as error:
            self._after_refusal(experiment.row.id, error)
        else:
            if experiment.is_refused:
                with self._database.write() as session:
                    self._outbox.forgive(session, experiment.row.id)

    def _ship_trial(self, runs: TrialRuns, trial: OpenTrial) -> int:
        """One trial; if the tracker refuses it the others go on.

        Raises:
            TrackerRefusedError: the tracker does not have the run or what holds it, which concerns all trials.
            TrackerUnavailableError: the tracker does not answer.
        """
        self._hold_lease()
        row, num_shipped = trial.row, 0
        with self._defects_postponed(row.experiment_id, row.id):
            try:
                shipped = runs.ship(trial)
            except TrackerRefusedError as error:
                if error.is_missing:
                    raise
                pause = self._postpone(row.experiment_id, row.id)
                _log.warning("%s refused trial %s, again in %.0f s: %s", self._tracker.title, row.id, pause, error)
            else:
                num_shipped = shipped.metrics + shipped.closed
        return num_shipped

    def _wants_summary(self, experiment: OpenExperiment, *, has_trials: bool) -> bool:
        row = experiment.row
        if experiment.is_told or row.status == ExperimentStatus.QUEUED:
            return False
        if ExperimentStatus(row.status).is_final:
            return True
        if row.id not in self._progress_shown_at:
            return True
        # While it runs, its deltas follow the trials, but not at every epoch.
        return has_trials and time.monotonic() >= self._progress_shown_at[row.id] + _PROGRESS_SECONDS

    def _ship_summary(self, experiment: OpenExperiment, group: str) -> int:
        self._hold_lease()
        row = experiment.row
        summary = SummaryRuns(self._tracker, self._database, experiment, group, self._storage)
        if ExperimentStatus(row.status).is_final:
            self._progress_shown_at.pop(row.id, None)
            return int(summary.ship_end())
        summary.ship_progress()
        self._progress_shown_at[row.id] = time.monotonic()
        return 0

    def _group_of(self, experiment: OpenExperiment) -> str:
        """What holds the experiment's runs; made if it is not there."""
        row = experiment.row
        group = self._tracker.ensure_group(row.id, row.name, experiment.group_id)
        if group != experiment.group_id:
            with self._database.write() as session:
                self._outbox.set_group(session, row.id, group)
        return group

    # ---- what was refused ----

    def _after_refusal(self, experiment_id: str, error: TrackerRefusedError) -> None:
        title = self._tracker.title
        if error.is_missing:
            _log.warning("%s does not have experiment %s, all of it is sent again: %s", title, experiment_id, error)
            with self._database.write() as session:
                self._outbox.forget(session, experiment_id)
        pause = self._postpone(experiment_id)
        if not error.is_missing:
            _log.warning("%s refused experiment %s, again in %.0f s: %s", title, experiment_id, pause, error)

    def _postpone(self, experiment_id: str, trial_id: int = EXPERIMENT) -> float:
        with self._database.write() as session:
            return self._outbox.postpone(session, experiment_id, trial_id)

    @contextmanager
    def _defects_postponed(self, experiment_id: str, trial_id: int = EXPERIMENT) -> Iterator[None]:
        """What can't be shipped as it is (another version wrote it, say) must not hold up everything else."""
        try:
            yield
        except (_TurnOverError, TrackerUnavailableError, TrackerRefusedError, StoreError):
            raise
        except Exception:  # noqa: BLE001 (a loop over everybody's rows: one that raises would end it for all)
            pause = self._postpone(experiment_id, trial_id)
            name = f"trial {trial_id}" if trial_id else experiment_id
            _log.exception("%s can't be sent to %s, again in %.0f s", name, self._tracker.title, pause)

    # ---- the lease ----

    def _hold_lease(self) -> None:
        """Take or renew the lease.

        Raises:
            _TurnOverError: another shipper has it, or the caller's time is up.
        """
        if self._is_over():
            raise _TurnOverError
        if time.monotonic() < self._lease_renewed_at + _LEASE_SECONDS / 3:
            return
        with self._database.write() as session:
            token = try_acquire(session, self._lease, self._holder, _LEASE_SECONDS)
        if token is None:
            raise _TurnOverError
        self._lease_renewed_at = time.monotonic()

    def _give_lease_back(self) -> None:
        with self._turn:
            self._lease_renewed_at = -_LEASE_SECONDS
            try:
                with self._database.write() as session:
                    release(session, self._lease, self._holder)
            except StoreError as error:
                _log.info("the shipper's lease runs out by itself: %s", error)
