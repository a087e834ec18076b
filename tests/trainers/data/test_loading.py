"""One pool of loader workers that reads one pass after another, and knows what comes next."""

import multiprocessing
from collections.abc import Sequence

import pytest
import torch

from trainers.data.loading import BatchStream, Pass
from trainers.data.sampling import EvalSampler, TrainSampler
from trainers.data.splits import Batch, ImageSplit
from trainers.errors import DataError
from trainers.ranks import ALONE, World

SECONDS = 60


class Counted(ImageSplit):
    """Images that are their own number; tells how many batches were read."""

    def __init__(self, num_images: int) -> None:
        numbers = torch.arange(num_images)
        super().__init__(numbers, None)
        self.reads = multiprocessing.Semaphore(0)

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        self.reads.release()
        numbers = torch.tensor(positions)
        return Batch(numbers.view(-1, 1, 1, 1), numbers, numbers)


class Broken(Counted):
    def __getitems__(self, positions: Sequence[int]) -> Batch:
        raise DataError(f"{positions} can't be read")


SAMPLER = TrainSampler(12, global_batch_size=3, accumulation_steps=1, seed=0, world=ALONE)


def stream_of(splits, passes, *, loader_workers):
    return BatchStream(splits, passes, loader_workers=loader_workers, pin=False)


def labels_of(stream, split, epoch):
    return [batch.targets.tolist() for batch in stream.next_pass(split, epoch)]


@pytest.mark.parametrize("loader_workers", [0, 1, 2])
def test_each_pass_has_its_own_batches_whoever_reads_them(loader_workers):
    val = EvalSampler(5, batch_size=4, world=ALONE)
    # Of one image and two ranks, the second has none.
    none = EvalSampler(1, batch_size=4, world=World(rank=1, size=2))
    passes = [
        Pass("train", 0, SAMPLER.of_epoch(0, first_step=2)),
        Pass("val", 0, val),
        Pass("none", 0, none),
        Pass("train", 1, SAMPLER.of_epoch(1)),
        Pass("val", 1, val),
    ]
    stream = stream_of(
        {"train": Counted(12), "val": Counted(5), "none": Counted(1)}, passes, loader_workers=loader_workers
    )
    read = [labels_of(stream, split, epoch) for split, epoch, _ in passes]
    stream.close()
    assert read == [list(positions) for _, _, positions in passes]
    assert read[1] == [[0, 1, 2, 3], [4]]
    assert [len(batches) for batches in read] == [2, 2, 0, 4, 2]


def test_workers_read_the_next_pass_before_anybody_asks():
    train, val = Counted(12), Counted(2)
    passes = [Pass("train", 0, SAMPLER.of_epoch(0)), Pass("val", 0, EvalSampler(2, batch_size=1, world=ALONE))]
    stream = stream_of({"train": train, "val": val}, passes, loader_workers=1)
    batches = stream.next_pass("train", 0)
    for _ in range(4):
        next(batches)
    assert val.reads.acquire(timeout=SECONDS)
    stream.close()


def test_a_stream_closes_at_once_whatever_its_workers_do():
    stream = stream_of({"train": Counted(12)}, [Pass("train", 0, SAMPLER.of_epoch(0))], loader_workers=1)
    next(stream.next_pass("train", 0))
    assert multiprocessing.active_children() != []
    stream.close()
    assert multiprocessing.active_children() == []


def test_what_is_read_ahead_and_broken_is_told_when_it_is_asked_for():
    passes = [Pass("train", 0, SAMPLER.of_epoch(0)), Pass("val", 0, EvalSampler(2, batch_size=1, world=ALONE))]
    stream = stream_of({"train": Counted(12), "val": Broken(2)}, passes, loader_workers=1)
    assert len(labels_of(stream, "train", 0)) == 4
    message = ""
    try:
        labels_of(stream, "val", 0)
    except DataError as error:
        message = str(error)
    stream.close()
    assert message == "[0] can't be read"


def test_passes_are_taken_in_their_order():
    passes = [Pass("train", 0, SAMPLER.of_epoch(0)), Pass("train", 1, SAMPLER.of_epoch(1))]
    stream = stream_of({"train": Counted(12)}, passes, loader_workers=0)
    with pytest.raises(RuntimeError, match="pass 0 reads train of epoch 0, not train of epoch 1"):
        stream.next_pass("train", 1)
