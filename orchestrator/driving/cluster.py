"""The Ray cluster that a driver is connected to: what it holds."""

import logging
from collections.abc import Mapping

import ray
from ray._private.state import state as ray_state

from orchestrator.capacity import Capacity, Node
from orchestrator.driving.ray_environment import prepare_ray_environment

HEAD = "node:__internal_head__"
"""Ray's own resource of the head node: what asks for a little of it runs there and takes no CPU."""


def connect() -> None:
    """Join the cluster of `RAY_ADDRESS`, else the one that `ray start` left on this machine, else start one.

    Never `address="auto"`: that joins any cluster it finds, somebody else's, too.
    """
    if not ray.is_initialized():
        prepare_ray_environment()
        # What Ray tells of its start is for terminals of its own, colours included; warnings are for everybody.
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.WARNING)


def capacity() -> Capacity:
    """What the connected cluster holds."""
    nodes = tuple(
        Node.of_resources(node["Resources"])
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    )
    most: Mapping[str, float] | None = ray_state.get_max_resources_from_cluster_config()
    return Capacity(nodes, Node(most.get("CPU", 0.0), most.get("GPU", 0.0)) if most else None)
