import pytest

from trainers.data.sampling import EvalSampler, TrainSampler
from trainers.errors import ConfigError
from trainers.ranks import ALONE, World


def steps(sampler, epoch, *, parts=1):
    """The micro-batches of an epoch, grouped into optimizer steps."""
    coming = sampler.of_epoch(epoch)
    micro_batches = list(coming)
    assert len(micro_batches) == len(coming)
    return [micro_batches[start : start + parts] for start in range(0, len(micro_batches), parts)]


def sampler(num_images=100, batch=32, parts=1, seed=0, world=ALONE):
    return TrainSampler(num_images, global_batch_size=batch, accumulation_steps=parts, seed=seed, world=world)


def test_an_epoch_shows_each_image_at_most_once_and_drops_another_tail_each_time():
    chosen = sampler()
    shown = []
    for epoch in range(2):
        flat = [position for [batch] in steps(chosen, epoch) for position in batch]
        assert len(flat) == len(set(flat)) == 96
        shown.append(flat)
    assert shown[0] != shown[1]
    assert set(shown[0]) != set(shown[1])


def test_the_order_depends_on_seed_and_epoch_only():
    assert steps(sampler(), 4) == steps(sampler(), 4)
    assert steps(sampler(seed=1), 4) != steps(sampler(), 4)
    # Seeds are no offsets into one stream.
    assert steps(sampler(seed=1), 0) != steps(sampler(seed=0), 1)


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_global_batch_is_the_same_for_every_number_of_workers(size, parts):
    expected = [set(batch) for [batch] in steps(sampler(), 2)]
    ranks = [steps(sampler(parts=parts, world=World(rank, size)), 2, parts=parts) for rank in range(size)]
    for step, images in enumerate(expected):
        mine = [micro_batch for rank in ranks for micro_batch in rank[step]]
        assert {len(micro_batch) for micro_batch in mine} == {32 // size // parts}
        flat = [position for micro_batch in mine for position in micro_batch]
        assert len(flat) == 32
        assert set(flat) == images


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ConfigError, match=r"32 can't be divided among 3 worker\(s\) x 2 .*multiple of 6"):
        sampler(parts=2, world=World(0, 3))


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(ConfigError, match="32 is larger than the training split of 20 images"):
        sampler(num_images=20).require_a_step()


@pytest.mark.parametrize("num_images", [1, 7, 8, 50])
def test_scoring_sees_each_image_once_over_all_ranks(num_images):
    batches = [list(EvalSampler(num_images, batch_size=4, world=World(rank, 3))) for rank in range(3)]
    flat = [position for rank in batches for batch in rank for position in batch]
    assert sorted(flat) == list(range(num_images))
    for rank in range(3):
        assert len(EvalSampler(num_images, batch_size=4, world=World(rank, 3))) == len(batches[rank])
