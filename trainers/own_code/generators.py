"""Where global generators of random numbers stand while the user's own code is imported and built."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from trainers.seeding import Stream, derive_seed


@contextmanager
def generators_for_import() -> Iterator[None]:
    """A module that draws on import draws the same in every process, and one that sets a seed sets nobody else's.

    Else a `torch.manual_seed(0)` in it would give the first network of a process the same weights with every seed.
    """
    with torch.random.fork_rng(devices=()), _python_and_numpy(0):
        torch.default_generator.manual_seed(0)
        yield


@contextmanager
def generators_for_building() -> Iterator[None]:
    """Python's and numpy's generators follow the seed that torch's was set from last; torch's goes on."""
    with _python_and_numpy(torch.initial_seed()):
        yield


@contextmanager
def generators_apart() -> Iterator[None]:
    """As for building, and torch's goes on afterwards where it stood: what is drawn meanwhile moves nothing else."""
    seed = torch.initial_seed()
    with torch.random.fork_rng(devices=()), _python_and_numpy(seed):
        torch.default_generator.manual_seed(derive_seed(seed % 2**63, Stream.WEIGHTS, 1))
        yield


@contextmanager
def _python_and_numpy(seed: int) -> Iterator[None]:
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  what user code may draw from
    random.seed(seed)
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
