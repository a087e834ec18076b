"""The driver: takes an experiment from its rows to its end. A Ray job, or a process started by hand.

    rows of the plan -> search phase (cell by cell, side by side) -> chosen params -> confirm phase in pair order

It may die between any two lines. The next attempt starts from the rows: what has ended stays, what was running goes
on from its checkpoint.
"""

import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from orchestrator.capacity import refusal
from orchestrator.driving.allocating import allocated_reach, allocation_told
from orchestrator.driving.beginning import with_arms
from orchestrator.driving.claiming import Claims
from orchestrator.driving.cluster import capacity, connect
from orchestrator.driving.ending import end_experiment
from orchestrator.driving.failure_streak import FailureStreak
from orchestrator.driving.looking import next_reach, told
from orchestrator.driving.node_faults import NodeFaults
from orchestrator.driving.phases import ConfirmPhase, SearchPhase, open_confirm_trials
from orchestrator.driving.progress import PairProgress, Say
from orchestrator.driving.recorder import Recorder
from orchestrator.driving.reuse import Reuse
from orchestrator.driving.storage_faults import Patience, storage_trouble
from orchestrator.driving.tuning import Engine, run_trials
from orchestrator.driving.waiting import WaitingNote
from orchestrator.driving.watch import StopReason, Watch
from orchestrator.driving.work import Ending, OpenTrial, Work
from orchestrator.errors import SpecError, StaleAttemptError, StatusConflictError
from orchestrator.kept_code import code_at, with_code
from orchestrator.planning.expansion import CellArm, Expansion
from orchestrator.planning.hardware import Hardware
from orchestrator.search.space import Params
from orchestrator.settings import Settings
from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.looks import PlannedLooks
from orchestrator.statistics.two_stage import TwoStages
from orchestrator.status import AttemptEnd, ExperimentStatus, Phase, TrialStatus
from orchestrator.store.codes import changes_of_code
from orchestrator.store.database import Database
from orchestrator.store.experiments import (
    avoid_node,
    chosen_params,
    end_attempt,
    get_experiment,
    move,
    set_chosen_params,
    set_reached,
    set_storage_trouble,
)
from orchestrator.store.trials import fail_trial, summaries_of
from orchestrator.stored.report import compare_rows
from orchestrator.stored.spec import stored_spec
from orchestrator.stored.trials import newest_of_each
from orchestrator.tracking.shipper import Shipper
from orchestrator.tracking.trackers import trackers_on
from trainers.counted import counted
from trainers.fence import Fence, fenced
from trainers.runtime import Runtime
from trainers.storage_token import TOKENS, StorageToken

_DRAIN_SECONDS = 30.0
"""How long a driver stays for the trackers after its experiment has ended; the rest waits for the next shipper."""

_TERMINATED = "the driver was told to terminate"

_log = logging.getLogger(__name__)


class _ExperimentFailedError(Exception):
    """The experiment can't go on; the message is its reason."""


def run_experiment(
    database: Database,
    settings: Settings,
    experiment_id: str,
    attempt: int,
    *,
    on_progress: Say | None = None,
    on_signal: StopReason = StopReason.TERMINATED,
) -> ExperimentStatus:
    """Run an experiment to its end, or until it is cancelled, replaced or told to terminate.

    Args:
        database: holds the experiment; the attempt has begun there.
        settings: where trials and Ray keep their files.
        experiment_id: its id.
        attempt: number of this attempt.
        on_progress: gets one line of text after another.
        on_signal: what SIGTERM and SIGINT mean: `TERMINATED` if somebody starts another attempt, else `CANCELLED`.

    Returns:
        The experiment's status afterwards; not final if another attempt is to go on.

    Raises:
        StoreError: the database does not answer.
        ConnectionError: there is no Ray cluster where there should be one.
    """
    say = on_progress or _log.info
    try:
        driver = _Driver(database, settings, experiment_id, attempt, say)
    except StatusConflictError as error:
        # Another attempt would read the same.
        status, _ = end_experiment(database, experiment_id, attempt, ExperimentStatus.FAILED, str(error))
        say(f"experiment {experiment_id} {status}: {error}")
        return status
    try:
        driver.run(on_signal)
    except StaleAttemptError as error:
        say(f"this attempt is over: {error}")
    with database.read() as session:
        return ExperimentStatus(get_experiment(session, experiment_id).status)


class _StoppedWaitingError(Exception):
    """The driver is to stop."""


class _Driver:
    """One attempt."""

    def __init__(self, database: Database, settings: Settings, experiment_id: str, attempt: int, say: Say) -> None:
        self.say = say
        self._database, self._settings = database, settings
        self._experiment_id, self._attempt = experiment_id, attempt
        with database.read() as session:
            row = get_experiment(session, experiment_id)
        self._digest, self._spec = row.digest, stored_spec(row)
        self._chosen = chosen_params(row)
        self._storage_trouble = ""
        self._faults, self._streak = NodeFaults(), FailureStreak(settings.max_equal_failures)
        self._unequal = ""
        self._reuse = Reuse(
            database,
            experiment_id,
            attempt,
            is_own_only=self._spec.reuse == "never",
            hardware=Hardware.asked_for(self._spec.resources),
        )
        self._claims = Claims(self._reuse, silence_seconds=settings.heartbeat_timeout_seconds, say=say)

    def run(self, on_signal: StopReason) -> None:
        heartbeat_seconds = self._settings.heartbeat_seconds
        with (
            Watch(self._database, self._experiment_id, self._attempt, heartbeat_seconds=heartbeat_seconds) as watch,
            self._shipping(watch),
            ExitStack() as code,
        ):
            try:
                self._begin()
                self._enter_code(code)
                expansion = self._expand()
                self._progress = PairProgress(
                    self._database, self._experiment_id, self._attempt, self._spec, expansion.cells, self.say
                )
                # Known now, so that watchers see how much there is, and what need not be trained at all.
                self._reuse_confirmed(expansion, expansion.first_reach)
                connect()
                with _stopped_by_signals(watch, on_signal):
                    self._search(expansion, watch)
                    self._confirm(expansion, watch)
            except _ExperimentFailedError as error:
                self._end(ExperimentStatus.FAILED, str(error))
                return
            self._finish(watch)

    # ---- steps ----

    def _begin(self) -> None:
        with self._database.write() as session:
            if get_experiment(session, self._experiment_id, lock=True).status == ExperimentStatus.STARTING:
                move(session, self._experiment_id, ExperimentStatus.RUNNING, attempt=self._attempt)

    def _enter_code(self, stack: ExitStack) -> None:
        try:
            # Whoever took the experiment in has seen to it that this code may run.
            stack.enter_context(with_code(self._spec, self._settings.effective_storage, roots=None, keep=True))
        except SpecError as error:
            raise _ExperimentFailedError(f"the experiment can't be run here: {error}") from error

    def _expand(self) -> Expansion:
        try:
            with fenced(Fence(self._settings.data_roots)):
                expansion = Expansion(self._spec, data_root=self._settings.effective_data_root)
        except SpecError as error:
            raise _ExperimentFailedError(f"the experiment can't be run here: {error}") from error
        if expansion.digest != self._digest:
            with self._database.read() as session:
                changes = changes_of_code(session, self._experiment_id)
            what = f"the code differs ({changes})" if changes else "the code or the data differ"
            raise _ExperimentFailedError(
                f"{what} from what the experiment was submitted with (digest {self._digest}, "
                f"here {expansion.digest}); one table must not mix the two: submit the spec again, with the service "
                "and "
                "the cluster on the same code"
            )
        return expansion

    def _require_room(self) -> None:
        why_not = refusal(self._spec.resources, capacity())
        if why_not is not None:
            raise _ExperimentFailedError(why_not)

    def _reuse_confirmed(self, expansion: Expansion, reach: Mapping[CellArm, int] | None) -> list[OpenTrial]:
        """Plan confirm trials as far as their params are known; gives those that remain to be trained."""
        planned = expansion.confirm_trials(self._chosen, reach)
        open_trials = open_confirm_trials(self._database, self._experiment_id, self._attempt, planned)
        remaining = self._reuse.apply(open_trials)
        if len(remaining) < len(open_trials):
            self.say(f"reused {counted(len(open_trials) - len(remaining), 'finished trial')}")
        return remaining

    def _search(self, expansion: Expansion, watch: Watch) -> None:
        work = SearchPhase(expansion, self._reuse, chosen=self._chosen.keys())
        if not work.searches:
            return
        self.say(f"search phase: {counted(len(work.searches), 'search', 'searches')} on the validation split")
        self._train(work, watch, Phase.SEARCH)
        if work.num_reused:
            self.say(f"search phase: reused {counted(work.num_reused, 'finished trial')}")
        if watch.reason is not None:
            return
        for (cell, arm), search in work.searches.items():
            params = search.choose()
            if params is None:
                first = search.failures[0] if search.failures else "none was trained with all its seeds"
                raise _ExperimentFailedError(
                    f"the search of arm {arm} in cell {cell} has no result: none of "
                    f"{counted(search.num_proposed, 'candidate')} succeeded; the first reason: {first}"
                )
            self._choose((cell, arm), params)

    def _choose(self, key: CellArm, params: Params) -> None:
        cell, arm = key
        with self._database.write() as session:
            set_chosen_params(session, self._experiment_id, cell, arm, params, self._attempt)
        self._chosen[key] = params
        self.say(f"search: chose {params} for {arm} in {cell}")

    def _confirm(self, expansion: Expansion, watch: Watch) -> None:
        if watch.reason is not None:
            return
        reach = expansion.first_reach
        self._confirm_until(expansion, reach, watch)
        while reach is not None and watch.reason is None:
            reach = self._look(expansion, reach)
            if reach is not None:
                self._confirm_until(expansion, reach, watch)

    def _confirm_until(self, expansion: Expansion, reach: Mapping[CellArm, int] | None, watch: Watch) -> None:
        """Train so many seeds of each cell and arm (`None`: all)."""
        remaining = self._reuse_confirmed(expansion, reach)
        with self._database.read() as session:
            self._progress.know(summaries_of(session, self._experiment_id, Phase.CONFIRM))
        self.say(
            f"confirm phase: {counted(len(remaining), 'trial')} to train, "
            f"{self._progress.num_complete}/{self._progress.num_pairs} pairs complete"
        )
        if reach == expansion.first_reach:
            planned = expansion.confirm_trials(self._chosen, reach)
            # Arms of several commits can't be built in one process, nor be expected to start alike.
            if not self._spec.task.runs_itself and all(arm.code is None for arm in self._spec.arms):
                remaining = with_arms(remaining, planned, self._spec.control.name)
        self._train(ConfirmPhase(remaining), watch, Phase.CONFIRM)
        if watch.reason is None:
            self._settle_twins(remaining)

    def _look(self, expansion: Expansion, reach: Mapping[CellArm, int]) -> dict[CellArm, int] | None:
        """Look at the pairs so far: how far each cell and arm goes on (`None`: the last look is over)."""
        looks, allocation = self._spec.planned_looks, self._spec.allocation
        if allocation is not None:
            return self._allocate(expansion, reach, allocation) if reach == expansion.first_reach else None
        assert looks is not None
        with self._database.read() as session:
            rows = newest_of_each(summaries_of(session, self._experiment_id, Phase.CONFIRM))
        comparisons = compare_rows(self._spec, expansion.cells, rows, PlannedLooks(looks), reach)
        newest = max(reach.values())
        for comparison in comparisons:
            if comparison.num_planned_pairs == newest:
                self.say(told(comparison, looks))
        further = next_reach(looks, comparisons, reach, num_seeds=len(self._spec.seeds))
        if further is None:
            self._progress.plan(sum(comparison.num_planned_pairs for comparison in comparisons))
        return further

    def _allocate(
        self, expansion: Expansion, reach: Mapping[CellArm, int], allocation: Allocation
    ) -> dict[CellArm, int] | None:
        """Share out the pairs that are left by the sds of the first ones (`None`: none are left)."""
        with self._database.read() as session:
            rows = newest_of_each(summaries_of(session, self._experiment_id, Phase.CONFIRM))
        # A driver that takes over finds later seeds, too: what decides are the first ones alone.
        comparisons = compare_rows(self._spec, expansion.cells, rows, TwoStages(allocation.first), reach)
        further = allocated_reach(allocation, comparisons, reach)
        for comparison in comparisons:
            self.say(allocation_told(comparison, further))
        return None if further == dict(reach) else further

    def _settle_twins(self, trials: list[OpenTrial]) -> None:
        """What was trained once ends everywhere it was asked for."""
        with self._database.read() as session:
            rows = {row.id: row for row in summaries_of(session, self._experiment_id, Phase.CONFIRM)}
        twins = [trial for trial in trials if not TrialStatus(rows[trial.row_id].status).is_final]
        errors = {row.identity: row.error for row in rows.values() if row.status == TrialStatus.FAILED}
        for trial in self._reuse.apply(twins):
            with self._database.write() as session:
                fail_trial(session, trial.row_id, errors[trial.identity], self._attempt)

    def _train(self, work: Work, watch: Watch, phase: Phase) -> None:
        if work.is_exhausted or watch.reason is not None:
            return
        # Not before: where finished trials stand in for all, any cluster will do.
        self._require_room()

        def on_ended(trial: OpenTrial, ending: Ending) -> None:
            work.trial_ended(trial, ending)
            self._progress.trial_ended(trial, ending)
            self._claims.release(trial)
            self._streak.note(ending)
            if ending.has_unequal_arms:
                # Other cells may have pairs already.
                self._unequal = f"in {trial.cell}, {ending.error}"
                watch.stop(StopReason.UNEQUAL)
            if self._streak.is_over:
                watch.stop(StopReason.FAILING)

        token = self._leave_token(watch)
        if token is None:
            return
        recorder = Recorder(self._database, self._attempt, watch, on_ended, self.say, self._tell_of_storage)
        try:
            with WaitingNote(self._database, self._experiment_id, self._attempt, self._spec.resources):
                run_trials(work, recorder, watch, self._engine(phase, token))
        finally:
            with suppress(OSError):
                token.remove()

    def _leave_token(self, watch: Watch) -> StorageToken | None:
        """What trials must find on the storage, once it can be written (`None`: somebody stopped the driver first)."""
        storage, patience = self._settings.effective_storage, Patience()

        def on_waiting(trouble: str) -> None:
            self._tell_of_storage(trouble)
            if watch.reason is not None:
                raise _StoppedWaitingError

        while watch.reason is None:
            try:
                storage.mkdir(mode=0o700, parents=True, exist_ok=True)
                token = StorageToken.write(storage / TOKENS / self._experiment_id)
            except PermissionError as error:
                raise _ExperimentFailedError(
                    f"the storage {storage} can't be written by the driver's user ({error}): give that user the "
                    "right, or "
                    f"name a folder of its own (SIGMALAB_STORAGE), then `sigmalab resume {self._experiment_id}`"
                ) from error
            except OSError as error:
                trouble = storage_trouble(error, storage) or f"the storage {storage} can't be written: {error.strerror}"
            else:
                self._tell_of_storage("")
                return token
            with suppress(_StoppedWaitingError):
                patience.wait(storage, trouble, on_waiting)
        return None

    def _tell_of_storage(self, trouble: str) -> None:
        if trouble == self._storage_trouble:
            return
        self._storage_trouble = trouble
        self.say(f"waits: {trouble}" if trouble else "goes on: the storage can be written again")
        try:
            with self._database.write() as session:
                set_storage_trouble(session, self._experiment_id, trouble, self._attempt)
        except StaleAttemptError as error:
            _log.warning("%s", error)

    def _engine(self, phase: Phase, token: StorageToken) -> Engine:
        storage, resources = self._settings.effective_storage, self._spec.resources
        runtime = Runtime(
            # A folder of its own: nothing of another experiment may be taken up by accident.
            storage=storage / self._experiment_id if self._reuse.is_own_only else storage,
            checkpoint_minutes=self._settings.checkpoint_minutes,
            data_root=self._settings.effective_data_root,
            storage_token=token,
            umask=self._settings.umask,
            silence_seconds=3600 * self._settings.trial_silence_hours,
            data_roots=self._settings.data_roots,
            device="cuda" if resources.gpus_per_worker > 0 else "cpu",
            loader_workers=resources.loader_workers,
            image_cache_gib=resources.image_cache_gib,
            limit_seconds=60 * resources.limit_minutes,
            num_threads=max(1, int(resources.cpus_per_worker)),
            gpu_share=min(1.0, resources.gpus_per_worker or 1.0),
        )
        folder = self._settings.home.absolute() / "ray" / f"{self._experiment_id}-a{self._attempt}-{phase}"
        codes = {arm.name: code_at(self._spec, storage, arm.name) for arm in self._spec.arms}
        return Engine(
            resources, self._spec.max_trial_attempts, runtime, codes, folder, self._claims, self._faults, self._avoid
        )

    def _avoid(self, node: str, why: str) -> None:
        self.say(f"node {node} gets no more trials, because they fail there at once: {why}")
        try:
            with self._database.write() as session:
                avoid_node(session, self._experiment_id, node, why, self._attempt)
        except StaleAttemptError as error:
            # The watch finds out that this attempt must stop.
            _log.warning("%s", error)

    # ---- the end ----

    def _finish(self, watch: Watch) -> None:
        match watch.reason:
            case StopReason.STALE:
                self.say("this attempt has been replaced; nothing more is written")
            case StopReason.TERMINATED:
                with self._database.write() as session:
                    end_attempt(session, self._experiment_id, self._attempt, AttemptEnd.TERMINATED, _TERMINATED)
                self.say("terminated; another attempt goes on from here")
            case StopReason.CANCELLED:
                self._end(ExperimentStatus.CANCELLED, "cancelled")
            case StopReason.FAILING:
                self._end(
                    ExperimentStatus.FAILED,
                    f"stopped after {self._settings.max_equal_failures} trials in a row failed with the same error "
                    "(fix its cause, then "
                    f"`sigmalab resume {self._experiment_id} --retry`): {self._streak.error}",
                )
            case StopReason.UNEQUAL:
                self._end(
                    ExperimentStatus.FAILED,
                    f"stopped {self._unequal} (fix the cause, then `sigmalab resume {self._experiment_id} --retry`)",
                )
            case None:
                self._conclude()

    def _conclude(self) -> None:
        with self._database.read() as session:
            rows = summaries_of(session, self._experiment_id, Phase.CONFIRM)
        if self._spec.has_stages:
            with self._database.write() as session:
                set_reached(session, self._experiment_id, self._progress.num_pairs, len(rows), self._attempt)
        self._progress.know(rows)
        if any(not TrialStatus(row.status).is_final for row in rows):
            raise RuntimeError("Ray Tune ended before all trials had ended")  # another attempt goes on
        failed = [row for row in rows if row.status == TrialStatus.FAILED]
        missing = self._progress.num_pairs - self._progress.num_complete
        if failed and self._progress.num_succeeded == 0:
            self._end(ExperimentStatus.FAILED, f"{_all_of(len(failed))} failed; the first error: {failed[0].error}")
        elif failed and self._progress.num_complete == 0:
            self._end(
                ExperimentStatus.FAILED,
                f"no pair is complete: {counted(len(failed), 'trial')} failed; the first error: {failed[0].error}",
            )
        elif missing:
            are = "is" if missing == 1 else "are"
            because = f"{counted(len(failed), 'trial')} failed"
            reason = f"{missing} of {counted(self._progress.num_pairs, 'pair')} {are} incomplete: {because}"
            self._end(ExperimentStatus.SUCCEEDED, reason)
        else:
            self._end(ExperimentStatus.SUCCEEDED, self._ended_by_plan())

    def _ended_by_plan(self) -> str:
        """Whether looks have saved pairs."""
        longest = self._spec.num_pairs
        reached = self._progress.num_pairs
        return f"ended by planned looks after {reached} of at most {longest} pairs" if reached < longest else ""

    def _end(self, status: ExperimentStatus, reason: str) -> None:
        status, reason = end_experiment(self._database, self._experiment_id, self._attempt, status, reason)
        self.say(f"experiment {self._experiment_id} {status}" + (f": {reason}" if reason else ""))

    @contextmanager
    def _shipping(self, watch: Watch) -> Iterator[None]:
        """Send rows to the trackers meanwhile, and for a bounded time afterwards."""
        settings, stop = self._settings, threading.Event()
        shippers = {
            kind.title: Shipper(self._database, kind.open(settings), storage=settings.effective_storage)
            for kind in trackers_on(settings)
        }
        threads = [
            threading.Thread(target=shipper.run, args=(stop,), name=f"shipper to {title}", daemon=True)
            for title, shipper in shippers.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        # One that is told to terminate has no time; the next attempt ships the rest.
        if shippers and watch.reason is not StopReason.TERMINATED:
            self._drain(shippers)

    def _drain(self, shippers: Mapping[str, Shipper]) -> None:
        """All at once: a tracker that is away takes no time from the others."""
        with ThreadPoolExecutor(len(shippers), thread_name_prefix="drain") as pool:
            is_drained = pool.map(lambda shipper: shipper.drain(_DRAIN_SECONDS), shippers.values())
            for title, has_everything in zip(shippers, is_drained, strict=True):
                if not has_everything:
                    self.say(f"{title} does not have everything yet; the rows wait in the store")


@contextmanager
def _stopped_by_signals(watch: Watch, reason: StopReason) -> Iterator[None]:
    """SIGTERM (Ray sends it to a job that is stopped) and Ctrl-C stop the driver cleanly."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signal_number: int, frame: FrameType | None) -> None:
        watch.stop(reason)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _all_of(num_trials: int) -> str:
    return "the only trial" if num_trials == 1 else f"all {num_trials} trials"
