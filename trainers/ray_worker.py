"""One trial on two or more workers, by Ray Train. The only file of this package that knows Ray.

The workers speak to the caller through a queue actor: epoch reports while they train, then the result or the reason
why the trial can't be trained. Ray Train's own reporting would make every rank stop at every report, and forwards
rank 0 only; our checkpoints and our result need neither its storage nor its restore.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from ray import get_runtime_context
from ray._private.state import state
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.torch.config import _TorchBackend
from ray.util.queue import Empty, Queue

from trainers.config import TrialConfig
from trainers.errors import InterruptedTrainingError, TrainerError
from trainers.fence import Fence, fenced
from trainers.own_code.place import running
from trainers.ranks import World
from trainers.result import EpochReport, TrialResult
from trainers.runtime import Runtime
from trainers.training.trial import train
from trainers.trial_log import kept_output

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
"""How often the caller looks whether the workers have ended."""

_RAY_TRAIN = {
    # It looks at its workers every 2 s by default; a short trial would mostly wait for that.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # After 60 s by default it gives its place in the queue up and asks anew: small trials would overtake it for ever.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(30 * 86_400),
}
"""Ray Train's settings, where nobody has set others; it hands them on to its own processes."""

_DRAIN_LOOK_SECONDS = 2.0
"""How often a trial asks whether its nodes will go; of the 30 s that Ray gives, most is for saving."""

_COLLECTIVE_LIMIT_SECONDS = 3600
"""How long a rank waits in a collective before it gives the training up for all.

Ray notices a process that has died within seconds, so this limit ends deadlocks only; it must never end a training in
which one rank is late. Scoring, analyses and saving are shared or done aside, so what is left are a data set's survey
and a checkpoint that rank 0 reads alone, and loaders behind a slow network disk: minutes, or half an hour (Ray's own
limit) on a bad day.
"""


def train_with_ray(
    config: TrialConfig,
    runtime: Runtime,
    *,
    num_workers: int,
    cpus_per_worker: float,
    gpus_per_worker: float,
    accelerator_type: str | None,
    run_name: str,
    storage_path: Path,
    report: Callable[[EpochReport], None],
) -> TrialResult:
    """Train one trial with one process per worker; same numbers as one process, but for float rounding and dropout.

    Each rank draws dropout and stochastic depth from its own stream, so models that have them (`rel_mlp` among them)
    are trained alike, not equally, by another number of workers. Both arms of a pair need the same number.

    Args:
        config: the trial; its global batch is shared by the workers.
        runtime: where each worker runs; its storage is seen by the worker of rank 0.
        num_workers: processes, all placed at once or not at all.
        cpus_per_worker: CPU cores of each.
        gpus_per_worker: GPUs of each (0: gloo on CPUs).
        accelerator_type: Ray's name of these GPUs' model (`None`: any).
        run_name: stable name of the trial, for Ray Train's own folder.
        storage_path: folder for Ray Train's own files (not the trial's).
        report: called here, in the caller's thread, after each epoch.

    Raises:
        TrainerError: the trial can't be trained as its config says.
        InterruptedTrainingError: a node will go; the state is saved.
        ray.train.TrainingFailedError: a worker, or the machine below it, was lost.
    """
    for name, value in _RAY_TRAIN.items():
        os.environ.setdefault(name, value)
    messages = Queue(actor_options={"num_cpus": 0})
    trainer = TorchTrainer(
        _train_worker,
        train_loop_config={
            "config": config.model_dump_json(),
            "runtime": runtime.model_dump_json(),
            "messages": messages,
        },
        scaling_config=ScalingConfig(
            num_workers=num_workers,
            use_gpu=gpus_per_worker > 0,
            accelerator_type=accelerator_type,
            resources_per_worker={"CPU": cpus_per_worker, **({"GPU": gpus_per_worker} if gpus_per_worker else {})},
        ),
        torch_config=_TidyTorchConfig(
            backend="nccl" if gpus_per_worker > 0 else "gloo", timeout_s=_COLLECTIVE_LIMIT_SECONDS
        ),
        # Retries are Tune's: one budget per cause.
        run_config=RunConfig(
            name=run_name, storage_path=str(storage_path), failure_config=FailureConfig(max_failures=0)
        ),
    )
    fit = _Fit(trainer)
    outcome = None
    try:
        while fit.is_running or not messages.empty():
            with contextlib.suppress(Empty):
                message = messages.get(timeout=_POLL_SECONDS)
                if isinstance(message, EpochReport):
                    report(message)
                else:
                    # The first rank that fails knows why; the others only lost a neighbour.
                    outcome = outcome or message
    finally:
        messages.shutdown(force=True)
    if isinstance(outcome, TrainerError | InterruptedTrainingError):
        raise outcome
    fit.raise_error()
    if not isinstance(outcome, TrialResult):
        raise TypeError(f"the workers of {run_name} ended without a result")
    return outcome


@contextlib.contextmanager
def stop_when_drained(nodes: Collection[str]) -> Iterator[threading.Event]:
    """An event that is set once Ray says that one of these nodes will go: the training saves its state and ends.

    Ray's worker processes get no signal when a machine is taken away. `ray start --block` does (Kubernetes, a spot
    instance), marks its node as draining and leaves its workers alone for 30 s, or as long as
    RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S says; whoever knows earlier says `ray drain-node`. Ray Train's own
    `get_preemption_info` tells the same, but makes all ranks wait for each other at every look.

    Args:
        nodes: Ray's ids of those that a trial trains on.
    """
    stop, has_ended = threading.Event(), threading.Event()

    def watch() -> None:
        while not has_ended.wait(_DRAIN_LOOK_SECONDS):
            try:
                leaving = state.get_draining_nodes()
            except Exception as error:  # noqa: BLE001  training needs no answer
                logger.debug("Ray does not say which nodes will go: %s", error)
                continue
            if not leaving.keys().isdisjoint(nodes):
                stop.set()
                return

    thread = threading.Thread(target=watch, name="drain-watch", daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        has_ended.set()
        thread.join()


class _Fit(threading.Thread):
    """`trainer.fit()` beside the caller's thread."""

    def __init__(self, trainer: TorchTrainer) -> None:
        super().__init__(name="ray-train-fit", daemon=True)
        self._trainer = trainer
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._trainer.fit()
        except Exception as error:  # noqa: BLE001  raised in the caller's thread
            self._error = error

    @property
    def is_running(self) -> bool:
        return self.is_alive()

    def raise_error(self) -> None:
        """Raise what `fit` raised."""
        self.join()
        if self._error is not None:
            raise self._error


def _train_worker(job: dict[str, Any]) -> None:
    """What each worker runs; rank 0 speaks for all, and any rank may say why it can't go on."""
    config = TrialConfig.model_validate_json(job["config"])
    runtime = Runtime.model_validate_json(job["runtime"])
    messages: Queue = job["messages"]
    context = get_context()
    world = World(rank=context.get_world_rank(), size=context.get_world_size())
    runtime.close_files()
    try:
        runtime.require_storage()
    except TrainerError as error:
        messages.put(error)
        raise
    nodes = world.gather(get_runtime_context().get_node_id())
    with (
        kept_output(runtime.storage, f"log.rank{world.rank}.txt"),
        fenced(Fence(runtime.data_roots)),
        running(runtime.code),
        stop_when_drained(nodes) as stop,
    ):
        try:
            result = train(config, runtime, world=world, on_epoch=messages.put, stop=stop)
        except (TrainerError, InterruptedTrainingError) as error:
            messages.put(error)
            raise
    if world.is_main:
        messages.put(result)


class _TidyTorchBackend(_TorchBackend):
    """Gives the workers' resources back if their process group can't be set up.

    Ray 2.60 keeps the placement group then for as long as the job lives: its worker group counts as started, so its
    own clean-up is skipped, and the controller does not know it yet.
    """

    def on_start(self, worker_group: Any, backend_config: Any) -> None:  # noqa: ANN401  internal to Ray
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: worker_group.get_worker_group_state().shutdown())
            super().on_start(worker_group, backend_config)
            stack.pop_all()


class _TidyTorchConfig(TorchConfig):
    @property
    def backend_cls(self) -> type[_TidyTorchBackend]:
        return _TidyTorchBackend
