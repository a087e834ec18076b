"""Batches from a split, in this process or in loader workers."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from trainers.data.splits import Batch, ImageSplit
from trainers.errors import DataError
from trainers.socket_folder import make_room_for_sockets

_Fetched: TypeAlias = Batch | DataError


class BatchLoader:
    """Reads the batches that a sampler names; iterate once per epoch."""

    def __init__(self, split: ImageSplit, sampler: Sampler[list[int]], *, loader_workers: int, pin: bool) -> None:
        """Start nothing yet: loader workers start with the first epoch and stay.

        Args:
            split: where the images are.
            sampler: positions of each batch.
            loader_workers: processes that read and augment; 0 reads in this process.
            pin: whether batches go into page-locked memory (for copies to a GPU that don't block).
        """
        if loader_workers:
            make_room_for_sockets()
        self._loader = _Loader(
            _FetchedSplit(split),
            batch_sampler=sampler,
            collate_fn=_as_it_is,
            num_workers=loader_workers,
            persistent_workers=loader_workers > 0,
            pin_memory=pin,
            # Else each epoch would draw its workers' seeds from the global generator, which dropout uses.
            generator=torch.Generator(),
        )
        self._ahead: Iterator[_Fetched] | None = None

    def read_ahead(self) -> None:
        """Let the loader workers begin with the next epoch while this process does something else.

        Sampler and split know which epoch comes next. Without loader workers nothing happens.
        """
        if self._loader.num_workers:
            self._ahead = iter(self._loader)

    def close(self) -> None:
        """End the loader workers now; torch would wait for the last reference to go."""
        iterator = self._loader._iterator  # noqa: SLF001  torch has no public way to end workers that stay
        if isinstance(iterator, _MultiProcessingDataLoaderIter):
            iterator._shutdown_workers()  # noqa: SLF001
        self._loader._iterator = self._ahead = None  # noqa: SLF001

    def __iter__(self) -> Iterator[Batch]:
        batches, self._ahead = self._ahead or iter(self._loader), None
        for batch in batches:
            if isinstance(batch, DataError):
                # A new one: raising `batch` would tie it into a cycle with this frame, and torch takes 5 s to stop
                # loader workers that only the garbage collector finds.
                raise DataError(str(batch))
            yield batch


class _Loader(DataLoader[_Fetched]):
    """Torch's, without its warning of more workers than cores, which is raised anew for every loader."""

    def check_worker_number_rationality(self) -> None:
        """Nothing: a trial's log tells it once, by the cores that a container really gives (`trainers.cores`)."""


class _FetchedSplit(Dataset[_Fetched]):
    """Hands a data error over as a value.

    Raised in a worker process, it would arrive with that process's whole traceback for a message.
    """

    def __init__(self, split: ImageSplit) -> None:
        self._split = split

    def __getitems__(self, positions: Sequence[int]) -> _Fetched:
        try:
            return self._split.__getitems__(positions)
        except DataError as error:
            return error


def _as_it_is(batch: object) -> object:
    """Torch would collate a list of images; ours come as whole batches."""
    return batch
