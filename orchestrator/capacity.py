"""What a Ray cluster holds, as numbers: how many trials at once, and what it will never hold."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from orchestrator.spec import Resources
from trainers.counted import counted


class Node(NamedTuple):
    """What a node has in all, free or not."""

    cpus: float
    gpus: float


class Capacity(NamedTuple):
    """What the cluster has now, and what its autoscaler may bring it to."""

    nodes: tuple[Node, ...]
    most: Node | None
    """Totals that the autoscaler may reach (`None`: the cluster does not scale by itself)."""


def num_trials_at_once(resources: Resources, cluster: Capacity) -> int:
    """Trials whose workers all have a place at the same time, were nobody else there."""
    places = sum(_places(resources, node) for node in cluster.nodes)
    if cluster.most is not None:
        # Workers wait for the nodes that the autoscaler brings.
        places = max(places, _places(resources, cluster.most))
    at_once = places // resources.num_workers
    return min(at_once, resources.max_concurrent_trials or at_once)


def refusal(resources: Resources, cluster: Capacity) -> str | None:
    """Why the cluster can never hold one trial (`None`: it can).

    Only nodes that are there now count, and what the autoscaler says it may add: whoever adds nodes by hand adds
    them first.
    """
    if num_trials_at_once(resources, cluster) > 0:
        return None
    wanted = _text(Node(resources.cpus_per_worker, resources.gpus_per_worker))
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
    return f"{counted(node.cpus, 'CPU')} and {counted(node.gpus, 'GPU')}"
