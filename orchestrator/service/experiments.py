"""What users ask of the service: submit, look, compare, cancel, resume, extend. Rows only; nothing is started here."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session

from orchestrator.errors import IdempotencyInFlightError, Problem, SpecError, StatusConflictError
from orchestrator.kept_code import with_code
from orchestrator.planning.cost import Cost
from orchestrator.planning.expansion import Expansion
from orchestrator.planning.hardware import Hardware
from orchestrator.planning.plan import Plan
from orchestrator.report import Report
from orchestrator.service.extension import extension_cost
from orchestrator.service.jobs import RayJobs
from orchestrator.service.maps import Maps
from orchestrator.service.pair import PairTrials, read_pair
from orchestrator.service.preview import preview
from orchestrator.service.readiness import check_readiness
from orchestrator.service.room import with_room
from orchestrator.service.row_views import (
    driver_condition,
    event_view,
    experiment_view,
    nodes_condition,
    storage_condition,
    tracking_condition,
    trial_view,
    trials_condition,
)
from orchestrator.service.state_folders import StateFolders
from orchestrator.service.unplanned import unplanned
from orchestrator.service.views import (
    Condition,
    EventView,
    ExperimentPage,
    ExperimentView,
    Origin,
    Standing,
    Submission,
    TrialView,
)
from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from orchestrator.statistics.comparison import Comparison
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.codes import changes_of_code
from orchestrator.store.database import Database
from orchestrator.store.events import events_after, last_event_id
from orchestrator.store.experiments import (
    EXTENDED,
    RESUMED,
    chosen_params,
    get_experiment,
    insert_experiment,
    list_experiments,
    move,
    newest_attempt,
    open_twin,
    request_cancel,
    seconds_since_heartbeat,
    update_spec,
)
from orchestrator.store.figures import Figures, operating_figures
from orchestrator.store.idempotency import find_replay, keep_key
from orchestrator.store.progress import count_complete_pairs, count_trials, expected_end
from orchestrator.store.tables import ExperimentRow, TrialRow
from orchestrator.store.telemetry import Curves, metrics_of
from orchestrator.store.tracking import count_unshipped, groups_of, runs_of
from orchestrator.store.trials import (
    cancel_open_trials,
    get_trial_of,
    plan_trials,
    reopen_trials,
    summaries_of,
)
from orchestrator.stored.disagreements import Disagreements, disagreements_of
from orchestrator.stored.logs import read_log
from orchestrator.stored.report import comparisons_of, read_experiment, report_of
from orchestrator.stored.spec import stored_arm_labels, stored_spec
from orchestrator.stored.weights import write_weights
from orchestrator.tracking.mlflow.links import NAME as MLFLOW
from orchestrator.tracking.mlflow.links import chart_link
from orchestrator.tracking.trackers import trackers_on
from trainers.config import TrialConfig, canonical_json
from trainers.counted import counted
from trainers.data.picture import picture
from trainers.fence import fenced
from trainers.result import TrialResult

IsCancelled = Callable[[], bool]
"""Tells whether nobody waits for an answer any more."""


def _never() -> bool:
    return False


class Experiments:
    """The use cases behind the HTTP interface; may be called from any number of threads.

    Every method that takes an id raises ExperimentNotFoundError; every method raises StoreError if the database does
    not answer.
    """

    def __init__(self, database: Database, settings: Settings, folders: StateFolders | None = None) -> None:
        """Nothing is read yet.

        Args:
            database: the truth.
            settings: the deployment's environment.
            folders: of a running service: nothing is accepted once they are gone (`None`: only plans are made).
        """
        self._database = database
        self._folders = folders
        self._settings = settings
        self._jobs = RayJobs(settings.ray_dashboard_url, settings.ray_auth_token)
        self._keys_in_flight: set[str] = set()
        self._keys_guard = threading.Lock()

    # ---- before anything runs ----

    def submit(self, spec: ExperimentSpec, *, idempotency_key: str | None = None, body: bytes = b"") -> ExperimentView:
        """Hand in an experiment, whatever runs; see `hand_in`."""
        return self.hand_in(spec, idempotency_key=idempotency_key, body=body).view

    def hand_in(
        self,
        spec: ExperimentSpec,
        *,
        idempotency_key: str | None = None,
        body: bytes = b"",
        unless_running: bool = False,
        is_cancelled: IsCancelled = _never,
    ) -> Submission:
        """Validate everything, then store the experiment with all its known trials, in one transaction.

        Args:
            spec: the question.
            idempotency_key: the same key with the same body gives the first call's experiment again.
            body: what the client sent (empty: the canonical spec is what counts).
            unless_running: if an experiment of the same digest is on its way already, give that one; a key then
                stands for it.
            is_cancelled: asked while data are read; nothing is stored once nobody waits.

        Raises:
            ReadingStoppedError: nobody waits for it any more.
            SpecError: with all problems.
            IdempotencyConflictError: the key came back with another body.
            IdempotencyInFlightError: the first call with this key is still at work in this process.
        """
        if idempotency_key is None:
            stored = self._store(spec, unless_running=unless_running, is_cancelled=is_cancelled)
        else:
            with self._alone_with(idempotency_key):
                stored = self._store_once(
                    spec,
                    idempotency_key,
                    body or canonical_json(spec).encode(),
                    unless_running=unless_running,
                    is_cancelled=is_cancelled,
                )
        return Submission(self.get(stored.id), stored.origin)

    def plan(self, spec: ExperimentSpec, is_cancelled: IsCancelled = _never) -> Plan:
        """What the spec would do, take and show. Nothing is written.

        Raises:
            SpecError: with all problems.
            ReadingStoppedError: nobody waits for it any more.
        """
        with self._own_code(spec, keep=False), fenced(self._settings.service_fence(is_cancelled)):
            plan = preview(spec, self._database, data_root=self._settings.effective_data_root)
        return with_room(plan, spec.resources, self._jobs)

    # ---- looking ----

    def get(self, experiment_id: str) -> ExperimentView:
        """Where an experiment stands."""
        with self._database.read() as session:
            row = get_experiment(session, experiment_id)
            counts = count_trials(session, [experiment_id])[experiment_id]
            pairs_complete = count_complete_pairs(session, [experiment_id])[experiment_id]
            attempt = newest_attempt(session, experiment_id)
            age = None if attempt is None else seconds_since_heartbeat(session, attempt)
            # Millions of values may wait for a tracker that is not on: nobody asks then.
            num_unshipped = {
                kind.title: count_unshipped(session, kind.name, experiment_id) for kind in trackers_on(self._settings)
            }
            end = expected_end(session, row)
            links = self._links_to_mlflow(session, [experiment_id])
        conditions = (
            driver_condition(row, attempt, age, self._settings.heartbeat_timeout_seconds),
            trials_condition(counts),
            nodes_condition(row),
            storage_condition(row),
            tracking_condition(num_unshipped),
        )
        return experiment_view(
            row,
            counts,
            pairs_complete,
            conditions=conditions,
            labels=stored_arm_labels(row),
            expected_end=end,
            mlflow_url=links.get(experiment_id),
        )

    def standing(self, experiment_id: str) -> Standing:
        """Where an experiment stands, without counting its trials."""
        with self._database.read() as session:
            row = get_experiment(session, experiment_id)
            return Standing(ExperimentStatus(row.status), row.reason, row.attempt, row.updated_at)

    def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        status: ExperimentStatus | None = None,
        search: str = "",
    ) -> ExperimentPage:
        """Experiments, newest first.

        Args:
            limit: most of them.
            cursor: `next_cursor` of the page before.
            status: only these.
            search: text in the name or the question, or how the id begins (empty: all).
        """
        with self._database.read() as session:
            rows = list_experiments(session, limit=limit + 1, before_id=cursor, status=status, search=search)
            ids = [row.id for row in rows[:limit]]
            counts, pairs = count_trials(session, ids), count_complete_pairs(session, ids)
            ends = {row.id: expected_end(session, row) for row in rows[:limit]}
            links = self._links_to_mlflow(session, ids)
        items = tuple(
            experiment_view(row, counts[row.id], pairs[row.id], expected_end=ends[row.id], mlflow_url=links.get(row.id))
            for row in rows[:limit]
        )
        return ExperimentPage(items=items, next_cursor=ids[-1] if len(rows) > limit else None)

    def spec(self, experiment_id: str) -> ExperimentSpec:
        """The question, as it was submitted (and extended)."""
        with self._database.read() as session:
            return stored_spec(get_experiment(session, experiment_id))

    def trials(
        self,
        experiment_id: str,
        *,
        phase: Phase | None = None,
        status: TrialStatus | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> tuple[TrialView, ...]:
        """Trials, in plan order.

        Args:
            experiment_id: its id.
            phase: only this one.
            status: only these.
            after: the last id of the page before.
            limit: most of them (`None`: all).
        """
        with self._database.read() as session:
            get_experiment(session, experiment_id)
            runs = runs_of(session, MLFLOW, experiment_id)
            rows = summaries_of(session, experiment_id, phase, status=status, after_id=after, limit=limit)
            return tuple(trial_view(row, runs.get(row.id)) for row in rows)

    def events(self, experiment_id: str, after: int = 0, limit: int = 1000) -> tuple[EventView, ...]:
        """What happened after the event with this id."""
        with self._database.read() as session:
            get_experiment(session, experiment_id)
            return tuple(event_view(row) for row in events_after(session, experiment_id, after, limit))

    def version_of(self, experiment_id: str) -> tuple[str | int | None, ...]:
        """Changes with whatever a report of the experiment tells."""
        with self._database.read() as session:
            row = get_experiment(session, experiment_id)
            last = last_event_id(session, experiment_id)
            link = self._links_to_mlflow(session, [experiment_id]).get(experiment_id)
        # Links to MLflow come without an event.
        return (row.digest, last, row.status, row.reason, link, row.updated_at.isoformat())

    def pairs_version_of(self, experiment_id: str) -> tuple[str | int | None, ...]:
        """Changes with whatever comparisons and answers tell: a trial's end does, a further epoch does not."""
        with self._database.read() as session:
            row = get_experiment(session, experiment_id)
            counts = count_trials(session, [experiment_id])[experiment_id]
            link = self._links_to_mlflow(session, [experiment_id]).get(experiment_id)
        ended = (counts.known, counts.done, counts.failed, counts.cancelled)
        return (row.digest, row.status, row.reason, row.attempt, link, *ended)

    def last_event(self, experiment_id: str) -> int:
        """Id of what happened last (0: nothing yet)."""
        with self._database.read() as session:
            get_experiment(session, experiment_id)
            return last_event_id(session, experiment_id)

    def comparisons(self, experiment_id: str) -> tuple[Comparison, ...]:
        """Effect, interval, p and verdict for every cell and treatment; a preview while the experiment runs."""
        with self._database.read() as session:
            row = get_experiment(session, experiment_id)
            return comparisons_of(session, row)

    def report(self, experiment_id: str, *, with_maps: bool = True) -> Report:
        """Comparisons, what was learned, exclusions, provenance; a preview while the experiment runs.

        Args:
            experiment_id: its id.
            with_maps: whether to read the trials' maps, which takes long; else the report says nothing of them.
        """
        with self._database.read() as session:
            stored = read_experiment(session, experiment_id)
            links = self._links_to_mlflow(session, [experiment_id])
        return report_of(
            stored,
            mlflow_url=links.get(experiment_id),
            storage=self._settings.effective_storage,
            with_maps=with_maps,
        )

    def pair(self, experiment_id: str, *, cell: str, treatment: str, seed: int) -> PairTrials:
        """Both trials of one seed, side by side.

        Args:
            experiment_id: its id.
            cell: key of the cell.
            treatment: name of the arm.
            seed: the replicate.
        """
        with self._database.read() as session:
            control = stored_spec(get_experiment(session, experiment_id)).control.name
            return read_pair(session, experiment_id, cell=cell, control=control, treatment=treatment, seed=seed)

    def disagreements(self, experiment_id: str, control: int, treatment: int) -> Disagreements | str:
        """Test images on which two succeeded trials of a pair disagree, or why that can't be told.

        Args:
            experiment_id: its id.
            control: id of a trial.
            treatment: id of the other.

        Raises:
            TrialNotFoundError: the experiment has no such trial.
        """
        with self._database.read() as session:
            rows = [get_trial_of(session, experiment_id, trial) for trial in (control, treatment)]
        if any(row.status != TrialStatus.SUCCEEDED for row in rows):
            return "both trials must have succeeded before their predictions can be compared"
        return disagreements_of(rows[0], rows[1], self._settings.effective_storage)

    def picture(self, experiment_id: str, trial_id: int, place: int) -> bytes:
        """A scored image of a trial as PNG, as its model gets it.

        Raises:
            TrialNotFoundError: the experiment has no such trial.
            DataError: the data can't be reached or have changed, or no scored image has this place.
        """
        with self._database.read() as session:
            row = get_trial_of(session, experiment_id, trial_id)
        config = TrialConfig.model_validate_json(row.config)
        scored = None if row.result is None else TrialResult.model_validate_json(row.result).provenance
        with fenced(self._settings.service_fence(_never)):
            return picture(
                config,
                self._settings.effective_data_root,
                place,
                fingerprint=None if scored is None else scored.get("data_fingerprint"),
            )

    def curves(self, experiment_id: str, trial_id: int) -> Curves:
        """Metric -> (epoch, value) of a trial so far; of a reused one, those of the trial that stands in for it.

        Raises:
            TrialNotFoundError: the experiment has no such trial.
        """
        with self._database.read() as session:
            row = get_trial_of(session, experiment_id, trial_id)
            if row.result is None:
                return metrics_of(session, trial_id)
            result = TrialResult.model_validate_json(row.result)
        curves: Curves = {}
        for report in result.epochs:
            for name, value in report.metrics.items():
                curves.setdefault(name, []).append((report.epoch, value))
        return curves

    def maps(self, experiment_id: str) -> Maps:
        """Mean receptive fields and position biases, without the rest of the report."""
        return Maps(self._database, experiment_id, self._settings.effective_storage)

    def logs(self, experiment_id: str) -> str:
        """What the newest driver wrote.

        Raises:
            RayUnavailableError: Ray, which keeps the log, does not answer.
        """
        with self._database.read() as session:
            get_experiment(session, experiment_id)
            attempt = newest_attempt(session, experiment_id)
        if attempt is None:
            return "no driver has been started yet\n"
        if attempt.job_id is None:
            return "the driver was started by hand; it writes to its own terminal\n"
        log = self._jobs.logs(attempt.job_id)
        return f"Ray no longer knows the job {attempt.job_id}\n" if log is None else log

    def trial_log(self, experiment_id: str, trial_id: int) -> str:
        """What a trial's own processes wrote, execution after execution; of a reused trial, those that trained it.

        Raises:
            TrialNotFoundError: the experiment has no such trial.
        """
        with self._database.read() as session:
            row = get_trial_of(session, experiment_id, trial_id)
            hardware = Hardware.asked_for(stored_spec(get_experiment(session, experiment_id)).resources)
        if row.started_at is None and row.reused_from is None:
            return "this trial has not started yet\n"
        storage = self._settings.effective_storage
        log = read_log(row, storage, hardware)
        return f"this trial's folder under {storage} holds no log\n" if log is None else log

    def write_trial_weights(self, experiment_id: str, trial_id: int, file: Path) -> None:
        """Write the weights of a finished trial's best epoch: safetensors, in timm's names, with a note in the header.

        Raises:
            TrialNotFoundError: the experiment has no such trial.
            WeightsNotFoundError: says why it has no weights.
        """
        with self._database.read() as session:
            row = get_trial_of(session, experiment_id, trial_id)
        write_weights(row, self._settings.effective_storage, file)

    def figures(self) -> Figures:
        """What operators watch."""
        with self._database.read() as session:
            return operating_figures(session, [kind.name for kind in trackers_on(self._settings)])

    def readiness(self) -> dict[str, Condition]:
        """Whether the state is there, and the database, Ray and the trackers answer, each with its reason."""
        return check_readiness(self._folders, self._database, self._jobs, self._settings)

    # ---- changing one's mind ----

    def cancel(self, experiment_id: str) -> ExperimentView:
        """Ask for the end: at once if nothing has started, else as soon as the driver has seen it.

        Raises:
            StatusConflictError: it has already ended.
        """
        with self._database.write() as session:
            # Trials first: the `end` of a queued experiment is its last event.
            if get_experiment(session, experiment_id, lock=True).status == ExperimentStatus.QUEUED:
                cancel_open_trials(session, experiment_id)
            request_cancel(session, experiment_id)
        return self.get(experiment_id)

    def resume(self, experiment_id: str, *, retry: bool = False, is_cancelled: IsCancelled = _never) -> ExperimentView:
        """Go on with an experiment that failed or was cancelled; what is done stays done.

        Args:
            experiment_id: its id.
            retry: whether failed trials are tried again, too.
            is_cancelled: asked while data are read.

        Raises:
            StatusConflictError: it has not ended, nothing is missing, or the code or data are no longer the same.
        """
        self._check_folders()
        with self._database.read() as session:
            row = get_experiment(session, experiment_id)
            _refuse_open(experiment_id, ExperimentStatus(row.status), "resumed")
            trials = summaries_of(session, experiment_id)
        _refuse_complete(row, trials, retry=retry)
        with self._own_code(stored_spec(row)) as spec:
            is_the_same = self._expand(spec, is_cancelled).digest == row.digest
            with self._database.read() as session:
                changes = "" if is_the_same else changes_of_code(session, experiment_id)
        if not is_the_same:
            what = f"the code differs ({changes})" if changes else "the code or the data differ"
            raise StatusConflictError(
                f"{what} from what experiment {experiment_id} was submitted with; one table must not mix the two: "
                "submit the "
                "spec again"
            )
        reopened = (TrialStatus.CANCELLED, TrialStatus.RUNNING, *((TrialStatus.FAILED,) if retry else ()))
        with self._database.write() as session:
            locked = get_experiment(session, experiment_id, lock=True)
            _refuse_open(experiment_id, ExperimentStatus(locked.status), "resumed")
            if locked.digest != row.digest:
                raise StatusConflictError(f"experiment {experiment_id} was extended by somebody else just now")
            reopen_trials(session, experiment_id, reopened)
            reason = f"{RESUMED} with failed trials" if retry else RESUMED
            move(session, experiment_id, ExperimentStatus.QUEUED, reason)
        return self.get(experiment_id)

    def extend(self, experiment_id: str, seeds: Sequence[int], is_cancelled: IsCancelled = _never) -> ExperimentView:
        """Add seeds to an experiment that has ended, and queue it again; what is done stays done.

        Where they lead from one planned look to another, with nothing ended in between, the looks go on as planned.
        Else the plan is left: seeds that no trial has reached are forgotten, and intervals will be any-time ones.

        Raises:
            StatusConflictError: it has not ended, or the code or data are no longer those of its trials, be these
                searched or confirmed, finished or open.
            SpecError: a seed is already there, or is one of a search's.
        """
        self._check_folders()
        with self._database.read() as session:
            row = get_experiment(session, experiment_id)
            _refuse_open(experiment_id, ExperimentStatus(row.status))
            rows = summaries_of(session, experiment_id)
        reached = {trial.seed for trial in rows if trial.phase == Phase.CONFIRM}
        longer = _with_seeds(stored_spec(row), seeds, reached)
        with self._own_code(longer) as spec:
            self._extend(row, rows, spec, seeds, is_cancelled)
        return self.get(experiment_id)

    def _extend(
        self,
        row: ExperimentRow,
        rows: Sequence[TrialRow],
        spec: ExperimentSpec,
        seeds: Sequence[int],
        is_cancelled: IsCancelled,
    ) -> None:
        experiment_id, chosen = row.id, chosen_params(row)
        expansion = self._expand(spec, is_cancelled)
        others = unplanned(expansion, chosen, rows)
        if others:
            with self._database.read() as session:
                versions = {trial.code for trial in others if trial.code is not None}
                changes = changes_of_code(session, experiment_id, versions)
            what = f"of the code ({changes})" if changes else "of the code or on other data"
            raise StatusConflictError(
                f"experiment {experiment_id} has trials by another version {what}; one table must not mix the two: "
                "submit the spec again with all seeds"
            )
        with self._database.write() as session:
            locked = get_experiment(session, experiment_id, lock=True)
            _refuse_open(experiment_id, ExperimentStatus(locked.status))
            if locked.digest != row.digest:
                raise StatusConflictError(f"experiment {experiment_id} was extended by somebody else just now")
            update_spec(session, locked, spec, expansion.digest, expansion.data_found)
            if spec.planned_looks is None:
                plan_trials(session, experiment_id, expansion.confirm_trials(chosen))
            reopen_trials(session, experiment_id, (TrialStatus.CANCELLED, TrialStatus.RUNNING))
            added = ", ".join(map(str, seeds))
            move(session, experiment_id, ExperimentStatus.QUEUED, f"{EXTENDED} {added}")

    def cost_of_extension(self, experiment_id: str, seeds: Sequence[int], is_cancelled: IsCancelled = _never) -> Cost:
        """What `extend` by these seeds would take. Nothing is written.

        Raises:
            StatusConflictError: it has not ended.
            SpecError: a seed is already there, or is one of a search's.
        """
        with self._database.read() as session:
            row = get_experiment(session, experiment_id)
            _refuse_open(experiment_id, ExperimentStatus(row.status))
            rows = summaries_of(session, experiment_id)
        reached = {trial.seed for trial in rows if trial.phase == Phase.CONFIRM}
        with self._own_code(_with_seeds(stored_spec(row), seeds, reached)) as spec:
            return extension_cost(self._expand(spec, is_cancelled), chosen_params(row), rows)

    # ---- inside ----

    def _links_to_mlflow(self, session: Session, experiment_ids: Sequence[str]) -> dict[str, str]:
        """Experiment -> its charts, where anything is there yet."""
        uri = self._settings.mlflow_link
        if uri is None:
            return {}
        groups = groups_of(session, MLFLOW, experiment_ids)
        return {experiment_id: chart_link(uri, group, experiment_id) for experiment_id, group in groups.items()}

    def _check_folders(self) -> None:
        if self._folders is not None:
            self._folders.check()

    def _own_code(self, spec: ExperimentSpec, *, keep: bool = True) -> AbstractContextManager[ExperimentSpec]:
        return with_code(spec, self._settings.effective_storage, roots=self._settings.allow_code, keep=keep)

    def _expand(self, spec: ExperimentSpec, is_cancelled: IsCancelled) -> Expansion:
        with fenced(self._settings.service_fence(is_cancelled)):
            return Expansion(spec, data_root=self._settings.effective_data_root)

    def _store_once(
        self, spec: ExperimentSpec, key: str, body: bytes, *, unless_running: bool, is_cancelled: IsCancelled
    ) -> "_Stored":
        with self._database.read() as session:
            replay = find_replay(session, key, body)
        if replay is not None:
            return _Stored(replay, Origin.REPLAY)
        try:
            return self._store(spec, key, body, unless_running=unless_running, is_cancelled=is_cancelled)
        except _KeyTakenError:
            # Another process was faster; its experiment is committed by now.
            with self._database.read() as session:
                replay = find_replay(session, key, body)
            if replay is None:
                raise
            return _Stored(replay, Origin.REPLAY)

    def _store(
        self,
        spec: ExperimentSpec,
        key: str | None = None,
        body: bytes = b"",
        *,
        unless_running: bool,
        is_cancelled: IsCancelled,
    ) -> "_Stored":
        self._check_folders()
        with self._own_code(spec) as pinned:
            return self._store_pinned(pinned, key, body, unless_running=unless_running, is_cancelled=is_cancelled)

    def _store_pinned(
        self, spec: ExperimentSpec, key: str | None, body: bytes, *, unless_running: bool, is_cancelled: IsCancelled
    ) -> "_Stored":
        expansion = self._expand(spec, is_cancelled)
        trials = expansion.confirm_trials({}, expansion.first_reach)
        with self._database.write() as session:
            twin = open_twin(session, expansion.digest) if unless_running else None
            experiment_id = twin or insert_experiment(session, spec, expansion.digest, expansion.data_found).id
            if key is not None and not keep_key(session, key, body, experiment_id):
                raise _KeyTakenError(key)
            if twin is None:
                plan_trials(session, experiment_id, trials)
            return _Stored(experiment_id, Origin.NEW if twin is None else Origin.TWIN)

    @contextmanager
    def _alone_with(self, key: str) -> Iterator[None]:
        with self._keys_guard:
            if key in self._keys_in_flight:
                raise IdempotencyInFlightError(
                    f"the first request with the Idempotency-Key {key!r} is not answered yet; try again in a second"
                )
            self._keys_in_flight.add(key)
        try:
            yield
        finally:
            with self._keys_guard:
                self._keys_in_flight.remove(key)


class _Stored(NamedTuple):
    id: str
    origin: Origin


class _KeyTakenError(Exception):
    """Rolls the insert back."""


def _with_seeds(spec: ExperimentSpec, seeds: Sequence[int], reached: Collection[int]) -> ExperimentSpec:
    """The spec with more seeds, validated as a whole.

    Args:
        spec: the spec so far.
        seeds: new ones.
        reached: seeds that have trials.

    Raises:
        SpecError: no seed, a repeated one, one that is already there, or one of a search's.
    """
    if not seeds:
        raise SpecError([Problem("/seeds", "no seed is given; name at least one new one")])
    if spec.allocation is not None:
        message = (
            "the pairs of this experiment were shared out by plan, and adding some would void its intervals: plan a "
            "larger `total` before it runs"
        )
        raise SpecError([Problem("/seeds", message)])
    present = sorted(set(seeds) & set(spec.seeds))
    if present:
        raise SpecError([Problem("/seeds", f"seeds {present} are already part of the experiment; name new ones")])
    document = spec.model_dump(mode="json")
    looks = spec.planned_looks
    if looks is None or (set(spec.seeds) <= set(reached) and len(spec.seeds) + len(seeds) in looks.at):
        return parse_spec({**document, "seeds": [*spec.seeds, *seeds]})
    kept = [seed for seed in spec.seeds if seed in reached]
    return parse_spec({**document, "seeds": [*kept, *seeds], "looks": {**document["looks"], "abandoned": True}})


def _refuse_open(experiment_id: str, status: ExperimentStatus, what: str = "extended") -> None:
    if not status.is_final:
        raise StatusConflictError(f"experiment {experiment_id} is {status}; only one that has ended can be {what}")


def _refuse_complete(row: ExperimentRow, trials: Sequence[TrialRow], *, retry: bool) -> None:
    """Refuse to go on where nothing would follow."""
    num_failed = sum(trial.status == TrialStatus.FAILED for trial in trials)
    num_confirm = sum(trial.phase == Phase.CONFIRM for trial in trials)
    is_open = any(trial.status in (TrialStatus.PENDING, TrialStatus.RUNNING, TrialStatus.CANCELLED) for trial in trials)
    if is_open or num_confirm < row.num_confirm_trials or (retry and num_failed):
        return
    what = f"; {counted(num_failed, 'failed trial')} can be tried again (`--retry`)" if num_failed else ""
    raise StatusConflictError(f"experiment {row.id} is {row.status} and all its trials have ended{what}")
