"""What a Ray cluster holds, as numbers: how many trials at once, and what it will never hold."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from orchestrator.spec.experiment import Resources
from trainers.counted import counted

ACCELERATOR = "accelerator_type:"
"""Before the model of a node's GPUs, in the name of a resource of which Ray gives 1 to each such node."""


class Node(NamedTuple):
    """What a node has in all, free or not."""

    cpus: float
    gpus: float
    accelerator_type: str | None = None
    """Ray's name of its GPUs' model, such as `H100` (`None`: it has none, or nobody knows)."""

    @classmethod
    def of_resources(cls, resources: Mapping[str, float]) -> Self:
        """By Ray's resources of one node."""
        named = (name.removeprefix(ACCELERATOR) for name in resources if name.startswith(ACCELERATOR))
        return cls(resources.get("CPU", 0.0), resources.get("GPU", 0.0), next(named, None))


class Capacity(NamedTuple):
    """What the cluster has now, and what its autoscaler may bring it to."""

    nodes: tuple[Node, ...]
    most: Node | None
    """Totals that the autoscaler may reach (`None`: the cluster does not scale by itself)."""


def num_trials_at_once(resources: Resources, cluster: Capacity) -> int:
    """Trials whose workers all have a place at the same time, were nobody else there."""
    places = sum(_places(resources, node) for node in of_asked_model(cluster.nodes, resources))
    if cluster.most is not None:
        # Workers wait for the nodes that the autoscaler brings.
        places = max(places, _places(resources, cluster.most))
    at_once = places // resources.num_workers
    return min(at_once, resources.max_concurrent_trials or at_once)


def of_asked_model(nodes: Iterable[Node], resources: Resources) -> list[Node]:
    """The nodes whose GPUs are of the model that is asked for; what an autoscaler may bring has no model yet."""
    return [node for node in nodes if resources.accelerator_type in (None, node.accelerator_type)]


def refusal(resources: Resources, cluster: Capacity) -> str | None:
    """Why the cluster can never hold one trial (`None`: it can).

    Only nodes that are there now count, and what the autoscaler says it may add: whoever adds nodes by hand adds
    them first.
    """
    if num_trials_at_once(resources, cluster) > 0:
        return None
    wanted = _text(Node(resources.cpus_per_worker, resources.gpus_per_worker, resources.accelerator_type))
    workers = "one worker" if resources.num_workers == 1 else f"{resources.num_workers} workers, each"
    has = ", ".join(_described(cluster.nodes)) or "no node"
    scaling = "" if cluster.most is None else f", and can grow to {_text(cluster.most)}"
    return (
        f"the cluster can never hold a trial: it wants {workers} with {wanted}; the cluster has {has}{scaling}. "
        "Ask for less in `resources`, or add nodes and submit again"
    )


def missing_gpus(resources: Resources, found: Path = Path("/proc/driver/nvidia/gpus")) -> str:
    """What is to be said of a spec on this machine, where no cluster can be asked (empty: nothing).

    Args:
        resources: what a trial asks for.
        found: where NVIDIA's driver lists its GPUs.
    """
    wanted = resources.num_workers * resources.gpus_per_worker
    if not wanted or any(found.glob("*")):
        return ""
    return (
        f"a trial asks for {counted(wanted, 'GPU')}, and this machine has none; no cluster was asked "
        "(no service runs here). Submit it to one that has GPUs, or set `gpus_per_worker` to 0"
    )


def _places(resources: Resources, node: Node) -> int:
    """Workers that find a place on one node."""
    places = math.floor(node.cpus / resources.cpus_per_worker + 1e-9)
    if resources.gpus_per_worker > 0:
        places = min(places, _gpu_places(resources.gpus_per_worker, node.gpus))
    return places


def _gpu_places(gpus_per_worker: float, gpus: float) -> int:
    if gpus_per_worker >= 1:
        return math.floor(gpus / gpus_per_worker + 1e-9)
    # A fraction is a share of one GPU: nothing is put together from two.
    return math.floor(gpus) * math.floor(1 / gpus_per_worker + 1e-9)


def _described(nodes: Sequence[Node]) -> list[str]:
    counts: dict[Node, int] = {}
    for node in nodes:
        counts[node] = counts.get(node, 0) + 1
    return [f"{counted(count, 'node')} with {_text(node)}" for node, count in counts.items()]


def _text(node: Node) -> str:
    model = f" ({node.accelerator_type})" if node.accelerator_type else ""
    return f"{counted(node.cpus, 'CPU')} and {counted(node.gpus, 'GPU')}{model}"
