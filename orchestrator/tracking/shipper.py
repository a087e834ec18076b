"""The loop from the store to MLflow. Runs in the API and in every driver; a lease lets one of them work.

Nothing waits for it: while MLflow is away rows pile up in the store, and when it is back they are sent with their
original times.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient

from orchestrator.errors import StoreError
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.leases import release, try_acquire
from orchestrator.store.tables import ExperimentRow, TrialRow
from orchestrator.tracking.client import (
    TrackerRefusedError,
    TrackerUnavailableError,
    ensure_experiment,
    has_experiment,
    open_client,
    translated_errors,
)
from orchestrator.tracking.links import chart_link
from orchestrator.tracking.outbox import (
    backlog,
    experiments_with_work,
    forget_tracking,
    set_mlflow_experiment,
    trials_with_work,
)
from orchestrator.tracking.patience import Patience
from orchestrator.tracking.summary_run import SummaryRuns, all_runs
from orchestrator.tracking.trial_run import TrialRuns

LEASE = "shipper"
_LEASE_SECONDS = 30.0
_IDLE_SECONDS = 1.0
_PROGRESS_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 30.0

_log = logging.getLogger(__name__)


class _TurnOverError(Exception):
    """Another shipper has the lease, or the caller's time is up."""


class Shipper:
    """Sends unshipped rows to one MLflow server.

    Life: `run(stop)` in a thread of its own until `stop` is set; at the end of a program `drain`, which waits until
    nothing is left. One shipper may be used from several threads; they take turns.
    """

    def __init__(
        self, database: Database, tracking_uri: str, *, link: str | None = None, storage: Path | None = None
    ) -> None:
        """Nothing is sent yet.

        Args:
            database: holds the rows.
            tracking_uri: the server.
            link: the server as people's browsers reach it (`None`: the same).
            storage: folder of the trials' folders, for maps and per-image predictions (`None`: reports do without).
        """
        self._database = database
        self._link = link or tracking_uri
        self._storage = storage
        self._client: MlflowClient = open_client(tracking_uri)
        self._holder = f"shipper-{secrets.token_hex(8)}"
        self._turn = threading.Lock()
        self._is_over: Callable[[], bool] = lambda: False
        self._shipped = 0
        self._lease_renewed_at = -_LEASE_SECONDS
        self._patience = Patience()
        # Experiments that are known to be on this server.
        self._checked: set[str] = set()
        self._progress_shown_at: dict[str, float] = {}

    def ship_once(self, is_over: Callable[[], bool] = lambda: False) -> int:
        """Send all that is waiting; nothing if another shipper is at work.

        Args:
            is_over: asked before every trial; once it is true the rest stays where it is.

        Returns:
            Number of metric values, closed runs and summaries.

        Raises:
            TrackerUnavailableError: MLflow does not answer; what was sent until then is noted.
            StoreError: the database does not answer.
        """
        with self._turn:
            self._is_over = is_over
            with self._database.read() as session:
                experiments = experiments_with_work(session)
            self._shipped = 0
            try:
                for experiment in experiments:
                    with self._defects_postponed(experiment.id):
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
                        _log.warning("MLflow gets nothing for now, rows wait in the store: %s", error)
                    pause = min(_LONGEST_PAUSE_SECONDS, max(_IDLE_SECONDS, 2 * pause))
                stop.wait(pause)
        finally:
            self._give_lease_back()

    def drain(self, timeout_seconds: float) -> bool:
        """Ship until nothing is left, for so long at most; gives whether MLflow has everything."""
        deadline = time.monotonic() + timeout_seconds
        pause = threading.Event()
        try:
            while True:
                try:
                    self.ship_once(lambda: time.monotonic() >= deadline)
                    with self._database.read() as session:
                        if backlog(session).is_empty:
                            return True
                except TrackerUnavailableError as error:
                    _log.info("MLflow does not answer: %s", error)
                if time.monotonic() >= deadline:
                    return False
                pause.wait(min(0.2, max(0.0, deadline - time.monotonic())))
        finally:
            self._give_lease_back()

    # ---- one experiment ----

    def _ship_experiment(self, experiment: ExperimentRow) -> None:
        with self._database.read() as session:
            trials = trials_with_work(session, experiment.id)
        trials = [trial for trial in trials if self._patience.may_try(_name(trial))]
        has_summary_work = self._wants_summary(experiment, has_trials=bool(trials))
        if not (trials or has_summary_work) or not self._patience.may_try(experiment.id):
            return
        self._hold_lease()
        try:
            with translated_errors():
                mlflow_id = self._mlflow_experiment(experiment)
                known_runs = self._known_runs(experiment, trials, mlflow_id)
            runs = TrialRuns(self._client, self._database, experiment, mlflow_id, self._storage)
            for trial in trials:
                self._shipped += self._ship_trial(runs, trial, known_runs)
            if has_summary_work:
                with translated_errors():
                    self._shipped += self._ship_summary(experiment, mlflow_id, known_runs)
        except TrackerRefusedError as error:
            self._after_refusal(experiment, experiment.id, error)
        else:
            self._patience.forget(experiment.id)

    def _ship_trial(self, runs: TrialRuns, trial: TrialRow, known_runs: dict[str, str]) -> int:
        """One trial; if MLflow refuses it the others go on.

        Raises:
            TrackerRefusedError: the run or the experiment is not on the server, which concerns all trials.
            TrackerUnavailableError: the server does not answer.
        """
        self._hold_lease()
        num_shipped = 0
        with self._defects_postponed(_name(trial)):
            try:
                with translated_errors():
                    shipped = runs.ship(trial, known_runs)
            except TrackerRefusedError as error:
                if error.is_missing:
                    raise
                pause = self._patience.postpone(_name(trial))
                _log.warning("MLflow refused trial %s, again in %.0f s: %s", trial.id, pause, error)
            else:
                self._patience.forget(_name(trial))
                num_shipped = shipped.metrics + shipped.closed
        return num_shipped

    def _wants_summary(self, experiment: ExperimentRow, *, has_trials: bool) -> bool:
        if experiment.summary_shipped or experiment.status == ExperimentStatus.QUEUED:
            return False
        if ExperimentStatus(experiment.status).is_final:
            return True
        if experiment.id not in self._progress_shown_at:
            return True
        # While it runs, its deltas follow the trials, but not at every epoch.
        return has_trials and time.monotonic() >= self._progress_shown_at[experiment.id] + _PROGRESS_SECONDS

    def _ship_summary(self, experiment: ExperimentRow, mlflow_id: str, known_runs: dict[str, str]) -> int:
        self._hold_lease()
        summary = SummaryRuns(self._client, self._database, experiment, mlflow_id, self._storage)
        if ExperimentStatus(experiment.status).is_final:
            self._progress_shown_at.pop(experiment.id, None)
            return int(summary.ship_end(known_runs, chart_link(self._link, mlflow_id, experiment.id)))
        summary.ship_progress(known_runs)
        self._progress_shown_at[experiment.id] = time.monotonic()
        return 0

    def _mlflow_experiment(self, experiment: ExperimentRow) -> str:
        """Id of the MLflow experiment on this server; made if it is not there."""
        known = experiment.mlflow_experiment_id
        if known is not None:
            if experiment.id in self._checked or has_experiment(self._client, known, experiment.name):
                self._checked.add(experiment.id)
                return known
            raise TrackerRefusedError(f"MLflow has no experiment {known}", is_missing=True)
        mlflow_id = ensure_experiment(self._client, experiment.name)
        with self._database.write() as session:
            set_mlflow_experiment(session, experiment.id, mlflow_id)
        self._checked.add(experiment.id)
        return mlflow_id

    def _known_runs(self, experiment: ExperimentRow, trials: list[TrialRow], mlflow_id: str) -> dict[str, str]:
        """Runs that are on the server, if any run has to be made: an earlier shipper may have died after making it."""
        if experiment.summary_run_id is not None and all(trial.run_id is not None for trial in trials):
            return {}
        return dict(all_runs(self._client, mlflow_id, experiment.id))

    def _after_refusal(self, experiment: ExperimentRow, name: str, error: TrackerRefusedError) -> None:
        if not error.is_missing:
            pause = self._patience.postpone(name)
            _log.warning("MLflow refused experiment %s, again in %.0f s: %s", experiment.id, pause, error)
            return
        _log.warning("MLflow does not know experiment %s any more, all of it is sent again: %s", experiment.id, error)
        self._patience.postpone(name)
        self._checked.discard(experiment.id)
        with self._database.write() as session:
            forget_tracking(session, experiment.id)

    @contextmanager
    def _defects_postponed(self, name: str) -> Iterator[None]:
        """What can't be shipped as it is (another version wrote it, say) must not hold up everything else."""
        try:
            yield
        except (_TurnOverError, TrackerUnavailableError, TrackerRefusedError, StoreError):
            raise
        except Exception:  # noqa: BLE001 (a loop over everybody's rows: one that raises would end it for all)
            pause = self._patience.postpone(name)
            _log.exception("%s can't be sent to MLflow, again in %.0f s", name, pause)

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
            token = try_acquire(session, LEASE, self._holder, _LEASE_SECONDS)
        if token is None:
            raise _TurnOverError
        self._lease_renewed_at = time.monotonic()

    def _give_lease_back(self) -> None:
        with self._turn:
            self._lease_renewed_at = -_LEASE_SECONDS
            try:
                with self._database.write() as session:
                    release(session, LEASE, self._holder)
            except StoreError as error:
                _log.info("the shipper's lease runs out by itself: %s", error)


def _name(trial: TrialRow) -> str:
    return f"trial {trial.id}"
