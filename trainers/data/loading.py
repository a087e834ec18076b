"""Batches from the splits of a data set, in this process or in loader workers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from trainers.data.splits import Batch, ImageSplit
from trainers.errors import DataError
from trainers.socket_folder import make_room_for_sockets

_Fetched: TypeAlias = Batch | DataError


class Positions(Protocol):
    """Positions in a split, batch by batch: what a sampler gives."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[list[int]]: ...


class Pass(NamedTuple):
    """A walk through a split."""

    split: str
    """Its name."""
    epoch: int
    """Whose augmentation its images get, where the split has any."""
    positions: Positions
    """Of each batch."""


class BatchStream:
    """All batches of a trial, one pass after another, read by one pool of loader workers.

    The workers know what comes next, so they read the first images of a validation while the training takes its last
    steps, and those of the next epoch while the validation is scored; no split needs workers of its own.
    """

    def __init__(
        self, splits: Mapping[str, ImageSplit], passes: Sequence[Pass], *, loader_workers: int, pin: bool
    ) -> None:
        """Start nothing yet: loader workers start with the first pass and stay until the stream is closed.

        Args:
            splits: where the images are, by name.
            passes: in the order in which they will be asked for.
            loader_workers: processes that read and augment; 0 reads in this process.
            pin: whether batches go into page-locked memory (for copies to a GPU that don't block).
        """
        if loader_workers:
            make_room_for_sockets()
        self._passes, self._num_begun = passes, 0
        self._loader = _Loader(
            _FetchedSplits(splits),
            # Torch asks for lists, and hands on whatever it gets.
            batch_sampler=_jobs(passes),  # type: ignore[arg-type]
            collate_fn=_as_it_is,
            num_workers=loader_workers,
            pin_memory=pin,
            # Else the workers' seeds would be drawn from the global generator, which dropout uses.
            generator=torch.Generator(),
        )
        self._batches: Iterator[_Fetched] | None = None

    def next_pass(self, split: str, epoch: int) -> Iterator[Batch]:
        """The batches of the pass that comes next; take all of them.

        Args:
            split: its name, and
            epoch: whose it is: what the caller expects.

        Raises:
            DataError: while iterating, an image can't be read.
        """
        coming = self._passes[self._num_begun]
        if (coming.split, coming.epoch) != (split, epoch):
            raise RuntimeError(
                f"pass {self._num_begun} reads {coming.split} of epoch {coming.epoch}, not {split} of epoch {epoch}"
            )
        self._num_begun += 1
        if self._batches is None:
            self._batches = iter(self._loader)
        return _without_errors(self._batches, len(coming.positions))

    def close(self) -> None:
        """End the loader workers now; torch would wait for the last reference to go."""
        if isinstance(self._batches, _MultiProcessingDataLoaderIter):
            self._batches._shutdown_workers()  # noqa: SLF001  torch has no public way to end workers early
        self._batches = None


class _Job(NamedTuple):
    """What one batch is made of."""

    split: str
    epoch: int
    positions: list[int]


def _jobs(passes: Iterable[Pass]) -> Iterator[_Job]:
    for split, epoch, batches in passes:
        for positions in batches:
            yield _Job(split, epoch, positions)


def _without_errors(fetched: Iterator[_Fetched], num_batches: int) -> Iterator[Batch]:
    for _ in range(num_batches):
        batch = next(fetched)
        if isinstance(batch, DataError):
            # A new one: raising `batch` would tie it into a cycle with this frame, and torch takes 5 s to stop
            # loader workers that only the garbage collector finds.
            raise DataError(str(batch))
        yield batch


class _Loader(DataLoader[_Fetched]):
    """Torch's, without its warning of more workers than cores, which is raised anew for every loader."""

    def check_worker_number_rationality(self) -> None:
        """Nothing: no more are started than there are cores (`trainers.cores`), and a trial's log tells it once."""


class _FetchedSplits(Dataset[_Fetched]):
    """Hands a data error over as a value.

    Raised in a worker process, it would arrive with that process's whole traceback for a message.
    """

    def __init__(self, splits: Mapping[str, ImageSplit]) -> None:
        self._splits = splits

    def __getitems__(self, job: _Job) -> _Fetched:
        split = self._splits[job.split]
        split.set_epoch(job.epoch)
        try:
            return split.__getitems__(job.positions)
        except DataError as error:
            return error


def _as_it_is(batch: object) -> object:
    """Torch would collate a list of images; ours come as whole batches."""
    return batch
