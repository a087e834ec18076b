"""Loader workers that begin with the next epoch while nobody asks for it yet."""

import multiprocessing
from collections.abc import Sequence

import pytest
import torch

from trainers.data.loading import BatchLoader
from trainers.data.sampling import TrainSampler
from trainers.data.splits import Batch, ImageSplit
from trainers.world import ALONE

SECONDS = 60


class Counted(ImageSplit):
    """Images that are their own number; tells how many batches were read."""

    def __init__(self, num_images: int) -> None:
        numbers = torch.arange(num_images)
        super().__init__(numbers, numbers, None)
        self.reads = multiprocessing.Semaphore(0)

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        self.reads.release()
        numbers = torch.tensor(positions)
        return Batch(numbers.view(-1, 1, 1, 1), numbers, numbers)


def epochs_of(*, loader_workers: int, reads_ahead: bool) -> list[list[list[int]]]:
    """The labels of each batch of three epochs."""
    split = Counted(12)
    sampler = TrainSampler(12, global_batch_size=3, accumulation_steps=1, seed=0, world=ALONE)
    loader = BatchLoader(split, sampler, loader_workers=loader_workers, pin=False)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        epochs.append([batch.labels.tolist() for batch in loader])
        if reads_ahead and epoch < 2:
            sampler.set_epoch(epoch + 1)
            loader.read_ahead()
    loader.close()
    return epochs


@pytest.mark.parametrize("loader_workers", [0, 1, 2])
def test_reading_ahead_changes_no_batch(loader_workers):
    expected = epochs_of(loader_workers=0, reads_ahead=False)
    assert epochs_of(loader_workers=loader_workers, reads_ahead=True) == expected
    assert expected[0] != expected[1] != expected[2]


def test_workers_read_before_anybody_asks():
    split = Counted(12)
    sampler = TrainSampler(12, global_batch_size=3, accumulation_steps=1, seed=0, world=ALONE)
    loader = BatchLoader(split, sampler, loader_workers=1, pin=False)
    assert len(list(loader)) == 4
    for _ in range(4):
        assert split.reads.acquire(timeout=SECONDS)
    sampler.set_epoch(1)
    loader.read_ahead()
    assert split.reads.acquire(timeout=SECONDS)
    loader.close()


def test_a_loader_that_has_read_ahead_closes_at_once():
    sampler = TrainSampler(12, global_batch_size=3, accumulation_steps=1, seed=0, world=ALONE)
    loader = BatchLoader(Counted(12), sampler, loader_workers=1, pin=False)
    assert len(list(loader)) == 4
    loader.read_ahead()
    loader.close()
    assert multiprocessing.active_children() == []
