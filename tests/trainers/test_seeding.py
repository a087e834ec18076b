import torch

from trainers.ranks import ALONE, World
from trainers.seeding import Stream, derive_seed, seed_noise, seed_weights


def test_streams_seeds_and_places_are_all_different():
    seeds = {
        derive_seed(seed, stream, *place)
        for seed in range(10)
        for stream in Stream
        for place in [(), (0,), (1,), (0, 0), (0, 1), (1, 0)]
    }
    assert len(seeds) == 10 * len(Stream) * 6


def test_seeds_stay_the_same_between_versions():
    assert [derive_seed(0, Stream.WEIGHTS), derive_seed(7, Stream.AUGMENTATION, 3, 100)] == [
        8668861027912758289,
        4382408772077452187,
    ]


def test_noise_depends_on_epoch_and_rank_and_not_on_what_was_drawn_before():
    def noise(epoch, world=ALONE):
        seed_noise(5, epoch=epoch, world=world)
        return torch.rand(3).tolist()

    first = noise(2)
    seed_weights(5)
    torch.rand(100)
    assert noise(2) == first
    assert noise(3) != first
    assert noise(2, World(1, 2)) != first
