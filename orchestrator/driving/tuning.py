"""Ray Tune as the engine of one phase: feeds it trials, ranks races, stops it when the driver has to stop.

Tune's own state is never restored from: the database is the truth, and another attempt feeds a new Tuner with the
rows that have not ended.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from ray.tune import Callback, FailureConfig, PlacementGroupFactory, RunConfig, TuneConfig, Tuner, with_resources
from ray.tune.error import TuneError
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from orchestrator.capacity import ACCELERATOR, num_trials_at_once
from orchestrator.driving.claiming import Claims, Taken
from orchestrator.driving.cluster import HEAD, capacity
from orchestrator.driving.node_faults import NodeFaultError, NodeFaults, fitting_nodes
from orchestrator.driving.races import Races
from orchestrator.driving.recorder import ROW_ID, NotKept, Recorder, last_error
from orchestrator.driving.trainable import job_of, run_trial
from orchestrator.driving.watch import StopReason, Watch
from orchestrator.driving.work import OpenTrial, Work
from orchestrator.errors import StaleAttemptError
from orchestrator.planning.hardware import Hardware, trial_folder
from orchestrator.spec.experiment import Resources
from trainers.runtime import Runtime

_AVOID = "avoid"
"""Key of a Tune trial's config: nodes that it keeps off."""
_NODE_LABEL = "ray.io/node-id"
_CAPACITY_SECONDS = 5.0
"""How long a look at the cluster is good for."""


@dataclass(frozen=True)
class Engine:
    """How trials of one experiment run."""

    resources: Resources
    max_attempts: int
    """Executions of a trial that is lost to faults of the machine."""
    runtime: Runtime
    """Where; the storage is the folder that holds the trials' folders."""
    codes: Mapping[str, Path | None]
    """Arm -> where its own code lies (`None`: it has none)."""
    folder: Path
    """Ray's own files; removed when the phase is over."""
    claims: Claims
    """Who trains what."""
    faults: NodeFaults
    """What is known of the nodes."""
    on_avoid: Callable[[str, str], None]
    """Told the name of a node that gets no more trials, and why."""


def run_trials(work: Work, recorder: Recorder, watch: Watch, engine: Engine) -> None:
    """Run trials until the work is exhausted or `watch` says stop.

    Raises:
        ray.tune.TuneError: Tune itself failed.
    """
    # Tune's news are ours already: rows, events and progress lines.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        _tuner(work, recorder, watch, engine).fit()
    except TuneError:
        # A stale attempt's trials fail in many ways; none of them matters any more.
        if watch.reason is not StopReason.STALE:
            raise
    finally:
        shutil.rmtree(engine.folder, ignore_errors=True)


def _tuner(work: Work, recorder: Recorder, watch: Watch, engine: Engine) -> Tuner:
    slots = _Slots(engine.resources)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, min(16, slots.number)))
    return Tuner(
        with_resources(run_trial, partial(_reservation_of, engine.resources)),
        tune_config=TuneConfig(
            search_alg=_Feed(work, recorder, watch, engine, slots),
            scheduler=Races(work.races),
            num_samples=-1,
            # Two or more workers: a stopped trial could not let go of its workers before the next one comes.
            reuse_actors=engine.resources.num_workers == 1,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=str(engine.folder),
            failure_config=FailureConfig(max_failures=engine.max_attempts - 1),
            stop=_StopWhenAsked(watch),
            callbacks=[recorder, _Elsewhere(engine), _Silence()],
            verbose=0,
        ),
    )


def reservation(resources: Resources, avoid: Sequence[str] = ()) -> PlacementGroupFactory:
    """What Tune holds for a trial: all it needs, or, if Ray Train brings its own workers, a seat on the head.

    Args:
        resources: what the trial asks for.
        avoid: Ray's ids of nodes that it keeps off.
    """
    if resources.num_workers > 1:
        return PlacementGroupFactory([{HEAD: 0.001}])
    bundle = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        bundle["GPU"] = resources.gpus_per_worker
    if resources.accelerator_type:
        # As Ray itself asks for a model: a trace of what each of its nodes has once.
        bundle[f"{ACCELERATOR}{resources.accelerator_type}"] = 0.001
    if not avoid:
        return PlacementGroupFactory([bundle])
    return PlacementGroupFactory([bundle], bundle_label_selector=[{_NODE_LABEL: f"!in({','.join(avoid)})"}])


def _reservation_of(resources: Resources, config: dict[str, Any]) -> PlacementGroupFactory:
    return reservation(resources, config[_AVOID])


def _trial_name(trial: Trial) -> str:
    return f"trial-{trial.config[ROW_ID]}"


class _Slots:
    """Trials that Tune may hold at once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._looked_at = time.monotonic()
        self._at_once = num_trials_at_once(resources, capacity())

    @property
    def number(self) -> int:
        """As the cluster is now: nodes may have come or gone."""
        if time.monotonic() - self._looked_at > _CAPACITY_SECONDS:
            self._at_once = num_trials_at_once(self._resources, capacity())
            self._looked_at = time.monotonic()
        if self._resources.num_workers > 1 or self._resources.max_concurrent_trials is not None:
            return max(1, self._at_once)
        # Tune's reservations keep the order; one trial that waits lets a process that gets free be used again.
        return max(1, self._at_once) + 1


class _Feed(NotKept, Searcher):
    """Gives Tune one trial after another."""

    def __init__(self, work: Work, recorder: Recorder, watch: Watch, engine: Engine, slots: _Slots) -> None:
        super().__init__()
        self._work, self._recorder, self._watch, self._engine, self._slots = work, recorder, watch, engine, slots
        self._live: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if self._watch.reason is not None:
            return _finished()
        if len(self._live) >= self._slots.number or self._recorder.waits_for_storage:
            return None
        try:
            trial = self._next()
        except StaleAttemptError:
            self._watch.stop(StopReason.STALE)
            return _finished()
        if trial is None:
            return _finished() if self._work.is_exhausted and not self._engine.claims.is_waiting else None
        self._recorder.expect(trial)
        self._live.add(trial_id)
        return {ROW_ID: trial.row_id, "race": trial.race, _AVOID: self._to_avoid(trial), **self._job(trial)}

    def _next(self) -> OpenTrial | None:
        """The next trial that is ours to train."""
        claims = self._engine.claims
        while (trial := claims.next_waiting() or self._work.next_trial()) is not None:
            match claims.take(trial):
                case Taken.OURS:
                    return trial
                case Taken.DONE:
                    self._recorder.taken_over(trial)
                case Taken.HELD:
                    pass
        return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._live.discard(trial_id)

    # Tune saves its searcher; nobody restores it.
    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass

    def _to_avoid(self, trial: OpenTrial) -> list[str]:
        faults = self._engine.faults
        # Most drivers never meet a sick node, and need not ask who is there.
        return list(faults.to_avoid(trial.row_id, fitting_nodes(self._engine.resources))) if faults.avoided() else []

    def _job(self, trial: OpenTrial) -> dict[str, Any]:
        storage = self._engine.runtime.storage
        assert storage is not None
        folder = trial_folder(trial.identity, Hardware.asked_for(self._engine.resources).key)
        runtime = self._engine.runtime.model_copy(
            update={"storage": storage / folder, "planned": trial.planned, "code": self._engine.codes[trial.arm]}
        )
        return job_of(
            trial.config,
            runtime,
            self._engine.resources,
            run_name=trial.identity,
            folder=self._engine.folder / "train",
            # Several workers read their data elsewhere than where Tune's function runs: the report compares them.
            arms=trial.arms if self._engine.resources.num_workers == 1 else "",
        )


def _finished() -> dict[str, Any]:
    # Tune compares with this text, whatever its annotation says.
    return cast("dict[str, Any]", Searcher.FINISHED)


class _Elsewhere(NotKept, Callback):
    """Learns of sick nodes, and sends a trial that is tried again to another one."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        if self._is_nodes_fault(trial):
            resources = self._engine.resources
            avoid = self._engine.faults.to_avoid(trial.config[ROW_ID], fitting_nodes(resources))
            trial.update_resources(reservation(resources, avoid))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        self._is_nodes_fault(trial)

    def _is_nodes_fault(self, trial: Trial) -> bool:
        fault = last_error(trial)
        if not isinstance(fault, NodeFaultError):
            return False
        if self._engine.faults.note(trial.config[ROW_ID], fault):
            self._engine.on_avoid(fault.name, fault.why)
        return True


class _StopWhenAsked(NotKept, Stopper):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._watch.reason is not None


class _Silence(TrialProgressCallback):
    """Stands where Tune would put its own reporter, which prints at every verbosity."""

    def on_trial_result(self, *args: object, **kwargs: object) -> None: ...

    def on_trial_complete(self, *args: object, **kwargs: object) -> None: ...

    def on_trial_error(self, *args: object, **kwargs: object) -> None: ...
