"""What the Ray cluster holds: how many trials at once, and what it will never hold."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ray
from ray._private.state import state as ray_state

from orchestrator.driving.ray_environment import prepare_ray_environment
from orchestrator.spec import Resources

HEAD = "node:__internal_head__"
"""Ray's own resource of the head node: what asks for a little of it runs there and takes no CPU."""


class Node(NamedTuple):
    """What a node has in all, free or not."""

    cpus: float
    gpus: float


class Capacity(NamedTuple):
    """What the cluster has now, and what its autoscaler may bring it to."""

    nodes: tuple[Node, ...]
    most: Node | None
    """Totals that the autoscaler may reach (`None`: the cluster does not scale by itself)."""


def connect() -> None:
    """Join the cluster of `RAY_ADDRESS`, else the one that `ray start` left on this machine, else start one.

    Never `address="auto"`: that joins any cluster it finds, somebody else's, too.
    """
    if not ray.is_initialized():
        prepare_ray_environment()
        ray.init(log_to_driver=False, include_dashboard=False)


def capacity() -> Capacity:
    """What the connected cluster holds."""
    nodes = tuple(
        Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    )
    most: Mapping[str, float] | None = ray_state.get_max_resources_from_cluster_config()
    return Capacity(nodes, Node(most.get("CPU", 0.0), most.get("GPU", 0.0)) if most else None)


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
    wanted = f"{resources.cpus_per_worker:g} CPUs and {resources.gpus_per_worker:g} GPUs"
    workers = "one worker" if resources.num_workers == 1 else f"{resources.num_workers} workers, each"
    has = ", ".join(_described(cluster.nodes)) or "no node"
    scaling = "" if cluster.most is None else f", and can grow to {_text(cluster.most)}"
    return (
        f"the cluster can never hold a trial: it wants {workers} with {wanted}; the cluster has {has}{scaling}. "
        "Ask for less in `resources`, or add nodes and submit again"
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
    return [f"{count} node{'s' if count > 1 else ''} with {_text(node)}" for node, count in counts.items()]


def _text(node: Node) -> str:
    return f"{node.cpus:g} CPUs and {node.gpus:g} GPUs"
