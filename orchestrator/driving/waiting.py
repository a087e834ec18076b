"""Why nothing moves: what a driver whose trials all wait writes as its experiment's reason, for `show` and `list`."""

import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import ray
from ray._private.state import available_resources_per_node
from ray.util import placement_group_table

from orchestrator.capacity import Capacity, Node, of_asked_model
from orchestrator.driving.cluster import capacity
from orchestrator.errors import StaleAttemptError, StoreError
from orchestrator.spec.experiment import Resources
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import fence, get_experiment, set_reason
from orchestrator.store.progress import count_trials, others_in_training
from trainers.counted import counted

_LOOK_SECONDS = 2.0
_GRACE_SECONDS = 5.0
"""Ray takes a moment to give a trial its place; that is no waiting."""

_log = logging.getLogger(__name__)


class WaitingNote:
    """Life: `with WaitingNote(...):` around a phase's training; what it wrote last is gone afterwards."""

    def __init__(self, database: Database, experiment_id: str, attempt: int, resources: Resources) -> None:
        self._database, self._experiment_id, self._attempt = database, experiment_id, attempt
        self._resources = resources
        self._moved_at = time.monotonic()
        self._written = ""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="waiting", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over.set()
        self._thread.join()
        self._guarded("")

    def _run(self) -> None:
        while not self._is_over.wait(_LOOK_SECONDS):
            try:
                reason = self._reason()
            except (StoreError, ray.exceptions.RayError) as error:
                _log.debug("can't find out what trials wait for: %s", error)
                continue
            self._guarded(reason)

    def _reason(self) -> str:
        with self._database.read() as session:
            num_running = count_trials(session, [self._experiment_id])[self._experiment_id].running
            others = others_in_training(session, self._experiment_id)
        # A trial that has its place does not wait: its process may take half a minute to import what it needs.
        if self._has_a_place() or num_running > self._num_waiting_for_workers():
            self._moved_at = time.monotonic()
        if time.monotonic() - self._moved_at < _GRACE_SECONDS:
            return ""
        free = [
            Node.of_resources(node)
            for node in available_resources_per_node().values()  # type: ignore[no-untyped-call]
        ]
        return waits_for(self._resources, capacity(), free, others)

    def _num_waiting_for_workers(self) -> int:
        """Trials that have begun, and wait until all their workers find a place at once."""
        if self._resources.num_workers == 1:
            return 0
        return sum(group["state"] == "PENDING" for group in self._groups())

    def _has_a_place(self) -> bool:
        return any(group["state"] == "CREATED" for group in self._groups())

    def _groups(self) -> list[dict[str, Any]]:
        """Placement groups of this driver that are as large as one trial."""
        job = ray.get_runtime_context().get_job_id()
        share = (self._resources.cpus_per_worker, self._resources.gpus_per_worker)
        # A group's id ends with that of the job which asked for it.
        mine = [group for name, group in placement_group_table().items() if name.endswith(job)]
        return [
            group
            for group in mine
            if len(group["bundles"]) == self._resources.num_workers
            and all((each.get("CPU", 0), each.get("GPU", 0)) == share for each in group["bundles"].values())
        ]

    def _guarded(self, reason: str) -> None:
        if reason == self._written:
            return
        try:
            with self._database.write() as session:
                fence(session, self._experiment_id, self._attempt)
                row = get_experiment(session, self._experiment_id, lock=True)
                # Others have their own reasons: a cancel, the end.
                if row.status == ExperimentStatus.RUNNING and row.reason == self._written:
                    set_reason(session, self._experiment_id, reason)
        except (StaleAttemptError, StoreError) as error:
            _log.debug("could not report what trials wait for: %s", error)
        else:
            self._written = reason


def waits_for(resources: Resources, cluster: Capacity, free: Sequence[Node], others: Mapping[str, int]) -> str:
    """What is missing for one more trial, and who has it (empty: nothing, it is about to start).

    Args:
        resources: what a trial asks for.
        cluster: what there is.
        free: what nobody holds of each node.
        others: name of each other experiment that trains now -> its trials in training.
    """
    wanted = {
        "CPU": resources.num_workers * resources.cpus_per_worker,
        "GPU": resources.num_workers * resources.gpus_per_worker,
    }
    called = _called(resources)
    nodes, free = of_asked_model(cluster.nodes, resources), of_asked_model(free, resources)
    total = {"CPU": sum(node.cpus for node in nodes), "GPU": sum(node.gpus for node in nodes)}
    for kind in ("GPU", "CPU"):
        if wanted[kind] > total[kind]:
            has = f"has {counted(total[kind], called[kind])}" if total[kind] else "has none"
            return f"waits for {counted(wanted[kind], called[kind])}; the cluster {has} now"
    left = {"CPU": sum(node.cpus for node in free), "GPU": sum(node.gpus for node in free)}
    missing = [kind for kind in wanted if left[kind] < wanted[kind] - 1e-9]
    if not missing:
        return "" if _fits(resources, free) else _scattered(resources, wanted, left)
    what = " and ".join(counted(wanted[kind], called[kind]) for kind in missing)
    if others:
        names = " and ".join(sorted(others))
        is_one = sum(wanted[kind] for kind in missing) == 1
        return f"waits for {what}: {names} {'holds' if len(others) == 1 else 'hold'} {'it' if is_one else 'them'}"
    kind = missing[0]
    room = f"{left[kind]:g} of {total[kind]:g} are free"
    return f"waits for {what}: {room}, and no experiment of this service holds the others"


def _called(resources: Resources) -> dict[str, str]:
    """What Ray's resources are called for people: GPUs by their model, if one is asked for."""
    return {"CPU": "CPU", "GPU": resources.accelerator_type or "GPU"}


def _fits(resources: Resources, free: Sequence[Node]) -> bool:
    """Whether every worker finds a node that has all of its share.

    Not as `capacity` counts: of a GPU that several share, what is free is a part, and no whole one need be left.
    """
    places = 0
    for node in free:
        on_node = math.floor(node.cpus / resources.cpus_per_worker + 1e-9)
        if resources.gpus_per_worker:
            on_node = min(on_node, math.floor(node.gpus / resources.gpus_per_worker + 1e-9))
        places += on_node
    return places >= resources.num_workers


def _scattered(resources: Resources, wanted: Mapping[str, float], left: Mapping[str, float]) -> str:
    called = _called(resources)
    one = {"CPU": resources.cpus_per_worker, "GPU": resources.gpus_per_worker}
    share = " and ".join(counted(number, called[kind]) for kind, number in one.items() if number)
    free = " and ".join(counted(left[kind], called[kind]) for kind in wanted if wanted[kind])
    if resources.num_workers == 1:
        return f"waits for {share} on one node: {free} are free, but on several nodes"
    return f"waits for {resources.num_workers} times {share}, each on one node: {free} are free, but scattered"
