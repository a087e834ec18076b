"""The training processes of one trial: who am I, and what do we agree on."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

from trainers.broadcast import broadcast_from_main

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes that train one trial together (Ray Train calls them workers).

    With `size > 1` the caller has initialised `torch.distributed` (and, on CUDA, chosen this process's device).
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks for the others."""
        return self.rank == 0

    def from_main(self, make: Callable[[], T]) -> T:
        """Run `make` on rank 0 alone and give its value to every rank, where its tensors are on the CPU.

        Raises:
            Exception: whatever `make` raised, on every rank, so that no rank waits for one that has failed.
        """
        if self.size == 1:
            return make()
        outcome: tuple[T | None, Exception | None] | None = None
        if self.is_main:
            try:
                outcome = (make(), None)
            except Exception as error:  # noqa: BLE001  it travels to all ranks and is raised there
                outcome = (None, error)
        value, error_of_main = broadcast_from_main(outcome, is_main=self.is_main)
        if error_of_main is not None:
            raise error_of_main
        return value  # type: ignore[return-value]  # without an error there is a value

    def from_all(self, make: Callable[[], T]) -> list[T]:
        """Run `make` on every rank and give every rank all values, in rank order.

        Raises:
            Exception: what `make` raised on the first rank on which it did, on every rank, so that no rank waits for
                one that has failed.
        """
        if self.size == 1:
            return [make()]
        outcome: tuple[T | None, Exception | None]
        try:
            outcome = (make(), None)
        except Exception as error:  # noqa: BLE001  it travels to all ranks and is raised there
            outcome = (None, error)
        outcomes = self.gather(outcome)
        for _, error_of_rank in outcomes:
            if error_of_rank is not None:
                raise error_of_rank
        return [value for value, _ in outcomes]  # type: ignore[misc]  # without an error there is a value

    def gather(self, value: T) -> list[T]:
        """Values of all ranks, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # all_gather_object has filled every place

    def size_here(self) -> int:
        """Ranks on this machine or in this container, which share its cores."""
        places = self.gather(platform.node())
        return places.count(places[self.rank])

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """Mean of a tensor over ranks (a new tensor)."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total / self.size


ALONE = World()
"""One process."""
