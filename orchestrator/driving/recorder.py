"""Ray Tune's callback that writes down what trials do: the only writer of trial rows while Tune runs.

Every report is written once: a re-executed epoch changes nothing, and what a dead driver could not hear of is taken
from the result at the end. A stale attempt stops the driver instead of writing.
"""

import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray.exceptions import RayError, RayTaskError
from ray.tune import Callback
from ray.tune.experiment import Trial
from sqlalchemy.orm import Session

from orchestrator.driving.node_faults import NodeFaultError
from orchestrator.driving.trainable import ALIKE, ERROR, REPORT, RESULT, STORAGE, UNEQUAL
from orchestrator.driving.watch import StopReason, Watch
from orchestrator.driving.work import Ending, OpenTrial
from orchestrator.errors import StaleAttemptError
from orchestrator.logs import about
from orchestrator.status import TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.trials import fail_trial, get_trial, prune_trial, start_trial, succeed_trial
from trainers.counted import counted
from trainers.errors import TrainerError
from trainers.program import shown
from trainers.result import EpochReport, TrialResult

ROW_ID = "row_id"
"""Key of a Tune trial's config: which row it stands for."""

_log = logging.getLogger(__name__)


class NotKept:
    """Tune pickles all that it is given, for a restore that never comes: there is nothing to keep."""

    def __getstate__(self) -> dict[str, object]:
        return {}


class Recorder(NotKept, Callback):
    """Life: `expect` before a trial is handed to Tune; Tune calls the rest, in its own thread."""

    def __init__(
        self,
        database: Database,
        attempt: int,
        watch: Watch,
        on_ended: Callable[[OpenTrial, Ending], None],
        say: Callable[[str], None] = _log.info,
        on_storage: Callable[[str], None] = _log.info,
    ) -> None:
        """Nothing is written yet.

        Args:
            database: where to write.
            attempt: number of this driver attempt.
            watch: told if the attempt is stale.
            on_ended: called when a trial's row is final.
            say: told what was found of the arms' starts.
            on_storage: told what is wrong with the storage, in words, and with none when it can be written again.
        """
        super().__init__()
        self._database, self._attempt, self._watch, self._on_ended = database, attempt, watch, on_ended
        self._say, self._on_storage = say, on_storage
        self._waiting: dict[int, str] = {}
        self._trouble = ""
        self._trials: dict[int, OpenTrial] = {}
        self._recorded: dict[int, set[int]] = {}

    @property
    def waits_for_storage(self) -> bool:
        """Whether a trial waits until it can write: another one would, too."""
        return bool(self._waiting)

    def expect(self, trial: OpenTrial) -> None:
        """Tune will train this trial."""
        self._trials[trial.row_id] = trial
        self._recorded[trial.row_id] = set()

    def taken_over(self, trial: OpenTrial) -> None:
        """A finished training stands in for a trial; its row says so already."""
        with self._database.read() as session:
            row = get_trial(session, trial.row_id)
        self._end(trial, Ending(TrialStatus(row.status), row.final_metrics, row.error))

    # ---- what Tune calls ----

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """An execution begins: the first or a retry."""
        with self._writing() as session:
            start_trial(session, self._open(trial).row_id, self._attempt)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: object
    ) -> None:
        """An epoch ended, or the training did, or the scheduler has just stopped it."""
        open_trial = self._open(trial)
        if REPORT in result:
            # Popped: Tune keeps the last result of every trial in memory.
            report = EpochReport.model_validate_json(result.pop(REPORT))
            with self._writing() as session:
                self._record(session, open_trial, report)
            if result.get("done"):
                self._prune(open_trial, report)
        elif RESULT in result:
            self._succeed(open_trial, TrialResult.model_validate_json(result.pop(RESULT)))
        elif ERROR in result:
            self._fail(open_trial, result.pop(ERROR))
        elif UNEQUAL in result:
            self._fail(open_trial, result.pop(UNEQUAL), has_unequal_arms=True)
        elif ALIKE in result:
            self._say(result.pop(ALIKE))
        elif STORAGE in result:
            self._wait(open_trial, result.pop(STORAGE))

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """An execution was lost, another one follows."""
        of_trial = about(trial=self._open(trial).row_id)
        _log.warning("%s is tried again: %s", self._open(trial).name, _cause(trial), extra=of_trial)
        self._wait(self._open(trial), "")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """The last execution was lost, too."""
        times = trial.run_metadata.num_failures
        self._fail(self._open(trial), f"lost {counted(times, 'time')}, given up: {_cause(trial)}")

    # ---- rows ----

    def _open(self, trial: Trial) -> OpenTrial:
        return self._trials[trial.config[ROW_ID]]

    def _record(self, session: Session, trial: OpenTrial, report: EpochReport) -> None:
        record_epoch(session, trial.row_id, report, datetime.now(UTC), self._attempt)
        self._recorded[trial.row_id].add(report.epoch)

    def _succeed(self, trial: OpenTrial, result: TrialResult) -> None:
        facts = result.provenance
        try:
            # The worker has asked this before it began, unless it is of a version that does not.
            trial.planned.require(trial=facts["trial"], code=facts["code_version"], data=facts["data_fingerprint"])
        except TrainerError as error:
            self._fail(trial, f"its result does not count: {error} [{error.code}]")
            return
        with self._writing() as session:
            for report in result.epochs:
                if report.epoch not in self._recorded[trial.row_id]:
                    self._record(session, trial, report)
            succeed_trial(session, trial.row_id, result, self._attempt)
        self._end(trial, Ending(TrialStatus.SUCCEEDED, result.metrics))

    def _fail(self, trial: OpenTrial, error: str, *, has_unequal_arms: bool = False) -> None:
        # Of any library, and about any file: rows and JSON take UTF-8 only.
        error = shown(f"arm {trial.arm}, seed {trial.seed}: {error}")
        with self._writing() as session:
            fail_trial(session, trial.row_id, error, self._attempt)
        self._end(trial, Ending(TrialStatus.FAILED, {}, error, has_unequal_arms))

    def _prune(self, trial: OpenTrial, report: EpochReport) -> None:
        reason = f"stopped early after {counted(report.epoch + 1, 'epoch')}: other candidates were ahead"
        with self._writing() as session:
            prune_trial(session, trial.row_id, reason, self._attempt)
        self._end(trial, Ending(TrialStatus.PRUNED, {}, reason))

    def _wait(self, trial: OpenTrial, trouble: str) -> None:
        """A trial waits for the storage, or (no trouble) goes on."""
        self._waiting.pop(trial.row_id, None)
        if trouble:
            self._waiting[trial.row_id] = trouble
        told = next(iter(self._waiting.values()), "")
        if told != self._trouble:
            self._trouble = told
            self._on_storage(told)

    def _end(self, trial: OpenTrial, ending: Ending) -> None:
        self._wait(trial, "")
        if self._watch.reason is not StopReason.STALE:
            self._on_ended(trial, ending)

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        try:
            with self._database.write() as session:
                yield session
        except StaleAttemptError as error:
            _log.warning("%s", error)
            self._watch.stop(StopReason.STALE)


def last_error(trial: Trial) -> Exception | None:
    """What ended a trial's last execution (`None`: nothing did, or it can't be told)."""
    # Where Tune has just put it; `get_pickled_error` looks where it will be copied to.
    file = trial.pickled_error_file
    if file is None or not Path(file).exists():
        return None
    error = pickle.loads(Path(file).read_bytes())  # noqa: S301 (Tune's own file, a moment old)
    cause = error.cause if isinstance(error, RayTaskError) else error
    return cause if isinstance(cause, Exception) else None


def _cause(trial: Trial) -> str:
    """Why an execution was lost, in one line."""
    error = last_error(trial)
    if isinstance(error, NodeFaultError):
        return str(error)
    if error is not None and not isinstance(error, RayError):
        return repr(error)
    lines = [line.strip() for line in str(error or trial.get_error() or "").splitlines() if line.strip()]
    return lines[0] if lines else "no reason is known"
