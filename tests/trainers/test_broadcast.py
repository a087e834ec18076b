"""A training's state for all ranks, in parts (gloo, real processes)."""

import numpy as np
import pytest
import torch
import torch.distributed as dist

from trainers import broadcast
from trainers.ranks import World

CHUNK = 1000


def state():
    """What a state is made of, and what torch can't send as it is: no dimension, no element, a transposed view."""
    generator = torch.Generator().manual_seed(0)
    return {
        "model": {"a": torch.randn(30, 40, generator=generator), "n": torch.tensor(7), "t": torch.randn(4, 5).T},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(0)}}, "groups": [{"lr": 0.1}]},
        "noise": torch.get_rng_state(),
        "half": torch.randn(5, generator=generator).bfloat16(),
        "mask": torch.tensor([True, False]),
        "best": None,
        "reports": ["{}"],
        "array": np.arange(3),
    }


def child(rank, store, results):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    broadcast.CHUNK_BYTES = CHUNK
    sizes, original = [], dist.broadcast

    def listened(tensor, **named):
        sizes.append(tensor.nbytes)
        return original(tensor, **named)

    dist.broadcast = listened
    world, mine = World(rank, 2), state()
    got = world.from_main(lambda: mine)
    try:
        world.from_main(lambda: 1 / 0)
    except ZeroDivisionError as error:
        failed = str(error)
    results.send((equal(got, mine), sizes, failed))
    dist.destroy_process_group()


def equal(some, others):
    if isinstance(some, torch.Tensor):
        return some.dtype == others.dtype and some.shape == others.shape and torch.equal(some, others)
    if isinstance(some, dict):
        return some.keys() == others.keys() and all(equal(some[key], others[key]) for key in some)
    if isinstance(some, np.ndarray):
        return np.array_equal(some, others)
    return some == others


def test_every_rank_gets_the_state_in_small_parts(processes, tmp_path):
    pipes, children = [], []
    for rank in range(2):
        receiver, sender = processes.Pipe(duplex=False)
        children.append(processes.Process(target=child, args=(rank, tmp_path / "store", sender)))
        children[-1].start()
        sender.close()
        pipes.append(receiver)
    try:
        for receiver in pipes:
            assert receiver.poll(120), "no result from a rank"
        outcomes = [receiver.recv() for receiver in pipes]
    finally:
        for process in children:
            process.join(120)
    for is_equal, sizes, failed in outcomes:
        assert is_equal
        assert failed == "division by zero"
        # The first matrix alone takes five parts.
        assert max(sizes) == CHUNK
        assert sizes.count(CHUNK) >= 4 + 5
    assert outcomes[0][1] == outcomes[1][1]


def test_alone_nothing_is_copied():
    value = torch.zeros(3)
    assert World().from_main(lambda: value) is value


@pytest.mark.parametrize("value", [None, 0, False])
def test_nothing_is_a_value_too(value):
    assert World().from_main(lambda: value) is value
