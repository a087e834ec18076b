"""How many trials a cluster holds, and the words in which one is refused."""

import pytest

from orchestrator.capacity import Capacity, Node, missing_gpus, num_trials_at_once, refusal
from orchestrator.spec.experiment import Resources

HEAD = Node(cpus=0, gpus=0)
BOX = Node(cpus=16, gpus=8)


@pytest.mark.parametrize(
    ("resources", "nodes", "expected"),
    [
        ({}, [Node(2, 0)], 2),
        ({"cpus_per_worker": 0.1}, [Node(1, 0)], 10),
        ({"cpus_per_worker": 3}, [Node(2, 0), Node(2, 0)], 0),
        ({"num_workers": 2}, [Node(1, 0), Node(2, 0)], 1),
        ({"num_workers": 4}, [Node(3, 0)], 0),
        ({"gpus_per_worker": 1, "cpus_per_worker": 2}, [HEAD, BOX, BOX], 16),
        ({"gpus_per_worker": 1, "cpus_per_worker": 4}, [HEAD, BOX, BOX], 8),
        ({"gpus_per_worker": 0.5}, [Node(16, 2)], 4),
        ({"gpus_per_worker": 0.6}, [Node(16, 2)], 2),
        ({"num_workers": 8, "gpus_per_worker": 1}, [BOX, BOX], 2),
        ({"num_workers": 16, "gpus_per_worker": 1}, [BOX, BOX], 1),
        ({"max_concurrent_trials": 3}, [BOX], 3),
        ({"max_concurrent_trials": 30}, [BOX], 16),
        ({}, [], 0),
    ],
)
def test_trials_at_once(resources, nodes, expected):
    assert num_trials_at_once(Resources(**resources), Capacity(tuple(nodes), None)) == expected


def test_a_model_of_gpu_that_is_asked_for_counts_alone():
    nodes = tuple(
        Node.of_resources({"CPU": 16.0, "GPU": 8.0, f"accelerator_type:{model}": 1.0, "memory": 1e9})
        for model in ("A100", "H100")
    )
    assert nodes[1] == Node(16, 8, "H100")
    assert Node.of_resources({"CPU": 2.0}) == Node(2, 0)
    one = {"gpus_per_worker": 1}
    assert num_trials_at_once(Resources(**one), Capacity(nodes, None)) == 16
    assert num_trials_at_once(Resources(**one, accelerator_type="H100"), Capacity(nodes, None)) == 8
    refused = refusal(Resources(**one, accelerator_type="L4"), Capacity(nodes, None))
    assert (
        "it wants one worker with 1 CPU and 1 GPU (L4); the cluster has 1 node with 16 CPUs and 8 GPUs (A100)"
        in refused
    )
    assert refusal(Resources(**one, accelerator_type="L4"), Capacity((HEAD,), Node(64, 8))) is None


def test_workers_wait_for_nodes_that_the_autoscaler_may_bring():
    wanted = Resources(num_workers=4, gpus_per_worker=1)
    assert refusal(wanted, Capacity((HEAD,), None)) is not None
    assert refusal(wanted, Capacity((HEAD,), Node(64, 8))) is None
    assert num_trials_at_once(wanted, Capacity((HEAD,), Node(64, 8))) == 2


def test_the_refusal_says_what_was_wanted_and_what_is_there():
    assert refusal(Resources(num_workers=9, gpus_per_worker=1), Capacity((HEAD, BOX, BOX), None)) is None
    text = refusal(Resources(num_workers=17, gpus_per_worker=1), Capacity((HEAD, BOX, BOX), Node(32, 16)))
    assert text == (
        "the cluster can never hold a trial: it wants 17 workers, each with 1 CPU and 1 GPU; the cluster has 1 node "
        "with 0 CPUs and 0 GPUs, 2 nodes with 16 CPUs and 8 GPUs, and can grow to 32 CPUs and 16 GPUs. Ask for less in "
        "`resources`, or add nodes and submit again"
    )


def test_a_machine_without_a_gpu_says_so(tmp_path) -> None:
    assert missing_gpus(Resources(), tmp_path) == ""
    wanted = Resources(num_workers=2, gpus_per_worker=1)
    assert missing_gpus(wanted, tmp_path).startswith("a trial asks for 2 GPUs, and this machine has none; no cluster")
    (tmp_path / "0000:01:00.0").mkdir()
    assert missing_gpus(wanted, tmp_path) == ""
