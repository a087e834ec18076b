"""All random streams of a trial, derived from its one seed.

Each stream has its own generator, so what one of them draws moves no other: an arm with an attention bias sees the
same initial weights, the same image order, the same augmentation and the same dropout masks as its control.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch

from trainers.ranks import World


class Stream(IntEnum):
    """What randomness is for; a new purpose takes a new number, old numbers stay."""

    WEIGHTS = 0
    ORDER = 1
    AUGMENTATION = 2
    NOISE = 3
    """Dropout and stochastic depth."""
    POSITION_EMBEDDING = 4
    """A re-initialised position embedding."""
    MIXING = 5
    """Which images of a batch are mixed, and how."""
    ANALYSIS = 6
    """Which images an analysis looks at."""
    LOSS = 7
    """What a loss of the user's own draws."""


def derive_seed(seed: int, stream: Stream, *indices: int) -> int:
    """64-bit seed of one stream at one place, such as (epoch, image).

    numpy's SeedSequence keeps streams of neighbouring seeds independent (seed + epoch would not: trial 0 in epoch 1
    would be trial 1 in epoch 0).
    """
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(stream, *indices))
    return int(sequence.generate_state(1, np.uint64)[0])


def seed_weights(seed: int) -> None:
    """Set torch's global generators for drawing the initial weights."""
    torch.manual_seed(derive_seed(seed, Stream.WEIGHTS))


def seed_noise(seed: int, *, epoch: int, world: World) -> None:
    """Set torch's global generators for the dropout of one epoch, different on each rank.

    Setting them anew in every epoch makes a resumed run draw what an uninterrupted one does.
    """
    torch.manual_seed(derive_seed(seed, Stream.NOISE, epoch, world.rank))


class NoiseState(NamedTuple):
    """Where torch's generators stand in the middle of an epoch; all other streams are functions of (epoch, step)."""

    cpu: torch.Tensor
    cuda: torch.Tensor | None
    """Of this process's GPU (`None`: it trains on the CPU)."""

    @classmethod
    def of(cls, device: torch.device) -> "NoiseState":
        """As it is now."""
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None)

    def restore(self, device: torch.device) -> None:
        """Draw what would have been drawn next."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, device)


class DrawingLoss(ABC):
    """A loss that may draw random numbers in a step of the training, from a stream of its own."""

    @abstractmethod
    def __call__(self, outputs: Any, targets: Any, /) -> torch.Tensor:  # noqa: ANN401  a task's own
        """The loss, a scalar."""

    @abstractmethod
    def draw_from(self, seed: int) -> None:
        """Set where what it draws next starts.

        Args:
            seed: 64 bits, see `derive_seed`.
        """


@contextmanager
def seeded_libraries(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Let code that draws from global generators draw a stream of our own, and leave those generators as they were.

    torchvision draws from torch's CPU generator; timm's RandAugment and RandomErasing from Python's `random` and from
    numpy's; timm's Mixup from numpy's.

    Args:
        seed: 64 bits, see `derive_seed`.
        device: whose generator is set as well, if it is a GPU.
    """
    python_state = random.getstate()
    # Exchanged, not saved and restored, which would take longer than all the rest.
    numpy_generator = np.random.get_bit_generator()  # type: ignore[attr-defined]  # in numpy, not in its stubs
    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        # Not torch.manual_seed: that one resets the generators of all GPUs, which dropout uses.
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.set_bit_generator(np.random.PCG64(seed))  # type: ignore[attr-defined]
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_bit_generator(numpy_generator)  # type: ignore[attr-defined]
