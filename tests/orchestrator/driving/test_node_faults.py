"""Nodes that are sick: who is to blame, who is avoided, and what is left."""

import pickle
from collections.abc import Callable

import pytest

from orchestrator.driving.node_faults import NodeFaultError, NodeFaults, _fits, may_be_the_nodes
from orchestrator.driving.tuning import reservation
from orchestrator.spec.experiment import Resources
from tests.orchestrator.hand_clock import Clock
from trainers.errors import ConfigError, DataError, GpuMemoryError, NonFiniteLossError, OtherVersionError

NODES = {"a": "gpu-1", "b": "gpu-2", "c": "gpu-3"}


@pytest.fixture
def faults(clock: Clock) -> NodeFaults:
    return NodeFaults(clock)


@pytest.fixture
def fails(faults: NodeFaults) -> Callable[..., bool]:
    return lambda trial, node, seconds=1.0: faults.note(
        trial, NodeFaultError("no such folder", node, NODES[node], seconds)
    )


@pytest.mark.parametrize(
    ("error", "may_be"),
    [
        (DataError("the folder /data/pets is missing"), True),
        (ConfigError("torch sees no CUDA device here"), True),
        (OtherVersionError("the code here is not that of the plan"), True),
        (OSError(116, "Stale file handle"), True),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), True),
        (RuntimeError("shapes do not match"), False),
        (NonFiniteLossError(loss=float("nan"), epoch=0, step=3), False),
        (GpuMemoryError("too large"), False),
    ],
)
def test_what_may_be_a_fault_of_the_node(error: Exception, may_be: bool) -> None:
    assert may_be_the_nodes(error) is may_be


def test_a_fault_travels_with_its_facts() -> None:
    fault = pickle.loads(pickle.dumps(NodeFaultError("no such folder", "a", "gpu-1", 2.5)))
    assert (fault.why, fault.node, fault.name, fault.seconds) == ("no such folder", "a", "gpu-1", 2.5)
    assert str(fault) == "on node gpu-1: no such folder"


def test_a_trial_keeps_off_the_nodes_where_it_failed(faults: NodeFaults, fails: Callable[..., bool]) -> None:
    assert not fails(1, "a")
    assert (faults.to_avoid(1, NODES), faults.to_avoid(2, NODES)) == (("a",), ())
    assert not fails(1, "b")
    assert faults.to_avoid(1, NODES) == ("a", "b")


def test_a_node_is_avoided_by_all_after_two_quick_failures(faults: NodeFaults, fails: Callable[..., bool]) -> None:
    assert not fails(1, "a")
    assert fails(2, "a")
    assert not fails(3, "a")  # it is avoided already
    assert faults.to_avoid(9, NODES) == ("a",)


def test_slow_failures_say_nothing_of_a_node(faults: NodeFaults, fails: Callable[..., bool]) -> None:
    for trial in range(5):
        assert not fails(trial, "a", 3600.0)
    assert faults.avoided() == frozenset()


def test_an_avoided_node_is_tried_again_later(faults: NodeFaults, fails: Callable[..., bool], clock: Clock) -> None:
    fails(1, "a")
    fails(2, "a")
    clock.seconds += 1801.0
    assert faults.avoided() == frozenset()
    fails(3, "a")
    assert faults.avoided() == frozenset()
    assert fails(4, "a")


def test_where_no_node_would_be_left_the_nodes_are_not_to_blame(faults: NodeFaults, fails: Callable[..., bool]) -> None:
    for trial, node in enumerate("aabbcc"):
        fails(trial, node)
    # Its own failures still count: it goes where it has not been.
    assert faults.to_avoid(0, NODES) == ("a",)
    assert faults.to_avoid(99, NODES) == ()
    assert faults.to_avoid(0, {"a": "gpu-1"}) == ()


def test_a_node_that_is_gone_need_not_be_avoided(faults: NodeFaults, fails: Callable[..., bool]) -> None:
    fails(1, "a")
    fails(1, "b")
    assert faults.to_avoid(1, {"b": "gpu-2", "c": "gpu-3"}) == ("b",)


def test_a_model_of_gpu_that_is_asked_for_is_reserved_as_ray_does_it_and_tells_which_nodes_fit():
    wanted = Resources(gpus_per_worker=1, accelerator_type="H100")
    assert reservation(wanted).bundles == [{"CPU": 1.0, "GPU": 1.0, "accelerator_type:H100": 0.001}]
    has = {"CPU": 16.0, "GPU": 8.0, "accelerator_type:A100": 1.0}
    assert not _fits(wanted, has)
    assert _fits(Resources(gpus_per_worker=1), has)
    assert _fits(wanted, {"CPU": 16.0, "GPU": 8.0, "accelerator_type:H100": 1.0})
