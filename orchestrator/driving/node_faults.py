"""Faults of nodes: a trial that can't read its data or find its GPU where others can is tried again elsewhere.

The service has validated every config and seen every data set before anything is trained. So what a trial says of
data, files or its device is first of all said of the node it ran on: a mount that is missing, a full disk, a GPU that
fell off the bus. Such a node fails fast, and for Ray its free places are the most attractive of all.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

import ray

from orchestrator.capacity import Node, of_asked_model
from orchestrator.spec.experiment import Resources
from trainers.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    MissingPackageError,
    OtherVersionError,
    StorageNotSharedError,
)

QUICK_SECONDS = 120.0
"""A trial that fails later has had its data and its device."""
_FAULTS_TO_AVOID = 2
_WITHIN_SECONDS = 1800.0
"""Faults so far apart have nothing to do with each other; and a node that was avoided for so long is tried again."""

_NODE_FAULTS = (
    DataError,
    CheckpointError,
    ConfigError,
    MissingPackageError,
    OtherVersionError,
    StorageNotSharedError,
    OSError,
)


class NodeFaultError(Exception):
    """A trial could not be trained where it ran, and may be elsewhere; travels from the trial to the driver.

    Attributes:
        why: in the words of what went wrong.
        node: Ray's id of the node.
        name: of the node, for people.
        seconds: how long the trial had run.
    """

    def __init__(self, why: str, node: str, name: str, seconds: float) -> None:
        self.why, self.node, self.name, self.seconds = why, node, name, seconds
        super().__init__(f"on node {name}: {why}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str, float]]:
        """Pickle by its facts (Ray sends it between processes)."""
        return NodeFaultError, (self.why, self.node, self.name, self.seconds)


def may_be_the_nodes(error: Exception) -> bool:
    """Whether an error of a trial may be a fault of its node."""
    # torch has no class of its own for what CUDA says before version 2.8.
    return isinstance(error, _NODE_FAULTS) or (isinstance(error, RuntimeError) and "CUDA" in str(error))


def fitting_nodes(resources: Resources) -> dict[str, str]:
    """Ray's ids and the names of the nodes that are there and could hold a worker, were they empty."""
    nodes: list[dict[str, object]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {
        str(node["NodeID"]): f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        for node in nodes
        if node["Alive"] and _fits(resources, node["Resources"])  # type: ignore[arg-type]
    }


def _fits(resources: Resources, has: Mapping[str, float]) -> bool:
    return any(
        node.cpus >= resources.cpus_per_worker and node.gpus >= resources.gpus_per_worker
        for node in of_asked_model([Node.of_resources(has)], resources)
    )


class _Fault(NamedTuple):
    at: float
    trial: int
    why: str


class NodeFaults:
    """What one driver has seen of its nodes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing yet; `clock` gives monotonic seconds."""
        self._clock = clock
        self._quick: dict[str, list[_Fault]] = defaultdict(list)
        self._of_trial: dict[int, set[str]] = defaultdict(set)

    def note(self, trial: int, fault: NodeFaultError) -> bool:
        """A trial (its row's id) failed by a fault of its node; gives whether the node is avoided from now on."""
        before = fault.node in self.avoided()
        self._of_trial[trial].add(fault.node)
        if fault.seconds <= QUICK_SECONDS:
            self._quick[fault.node].append(_Fault(self._clock(), trial, fault.why))
        return not before and fault.node in self.avoided()

    def avoided(self) -> frozenset[str]:
        """Ids of nodes on which trials fail fast."""
        recent = self._clock() - _WITHIN_SECONDS
        return frozenset(
            node
            for node, faults in self._quick.items()
            if sum(fault.at >= recent for fault in faults) >= _FAULTS_TO_AVOID
        )

    def to_avoid(self, trial: int, candidates: Mapping[str, str]) -> tuple[str, ...]:
        """Nodes that this trial keeps off: those that are avoided, and where it has failed itself.

        Args:
            trial: id of its row.
            candidates: nodes that could hold it. Where none would be left, the nodes are not to blame.
        """
        failed = self.avoided() | self._of_trial.get(trial, set())
        for avoided in (failed, frozenset(self._of_trial.get(trial, ()))):
            if avoided and not avoided >= candidates.keys():
                return tuple(sorted(avoided & candidates.keys()))
        return ()
