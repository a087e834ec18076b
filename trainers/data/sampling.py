"""Which images make which batch: a pure function of (seed, epoch, rank, number of ranks)."""

import copy
import math
from collections.abc import Iterator

import numpy as np

from trainers.errors import ConfigError
from trainers.ranks import World
from trainers.seeding import Stream, derive_seed


class TrainSampler:
    """Micro-batches of the training split.

    An epoch is one permutation from (seed, epoch), cut into global batches; the incomplete last one is left out (a
    different remainder in each epoch). Of a global batch, rank r takes every R-th image from r on: one worker with a
    batch of 32 and two with 16 take their steps on the same images. Resuming is `of_epoch`, also in the middle of one.
    """

    def __init__(
        self, num_images: int, *, global_batch_size: int, accumulation_steps: int, seed: int, world: World
    ) -> None:
        """Check that the batch can be divided.

        Raises:
            ConfigError: the batch is not a multiple of workers x accumulation steps.
        """
        parts = world.size * accumulation_steps
        if global_batch_size % parts:
            raise ConfigError(
                f"global_batch_size {global_batch_size} can't be divided among {world.size} worker(s) x "
                f"{accumulation_steps} accumulation step(s); take a multiple of {parts}"
            )
        self.steps_per_epoch = num_images // global_batch_size
        self.micro_batch_size = global_batch_size // parts
        self._num_images, self._global_batch_size = num_images, global_batch_size
        self._accumulation_steps, self._seed, self._world = accumulation_steps, seed, world
        self._epoch = self._first_step = 0

    def of_epoch(self, epoch: int, *, first_step: int = 0) -> "TrainSampler":
        """The same for an epoch, from an optimizer step (from 0) on."""
        other = copy.copy(self)
        other._epoch, other._first_step = epoch, first_step  # noqa: SLF001  our own kind
        return other

    def require_a_step(self) -> None:
        """Refuse to train on fewer images than one step takes.

        Raises:
            ConfigError: the batch is larger than the split.
        """
        if not self.steps_per_epoch:
            raise ConfigError(
                f"global_batch_size {self._global_batch_size} is larger than the training split of "
                f"{self._num_images} images; take {self._num_images} or less"
            )

    def __len__(self) -> int:
        return (self.steps_per_epoch - self._first_step) * self._accumulation_steps

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng(derive_seed(self._seed, Stream.ORDER, self._epoch))
        order = random.permutation(self._num_images)
        for step in range(self._first_step, self.steps_per_epoch):
            batch = order[step * self._global_batch_size : (step + 1) * self._global_batch_size]
            mine = batch[self._world.rank :: self._world.size]
            for micro_batch in np.split(mine, self._accumulation_steps):
                yield micro_batch.tolist()


class EvalSampler:
    """Batches of a split that is scored: each image once, on one of the ranks."""

    def __init__(self, num_images: int, *, batch_size: int, world: World) -> None:
        """Give rank r every R-th image from r on; ranks may differ by one image."""
        self._positions = list(range(world.rank, num_images, world.size))
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._positions) / self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self._positions), self._batch_size):
            yield self._positions[start : start + self._batch_size]
