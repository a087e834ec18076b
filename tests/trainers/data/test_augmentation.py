import pytest
import torch
from PIL import Image

from trainers.data import CropFlipAugmentation, DigitsConfig
from trainers.data.loading import BatchLoader
from trainers.data.sampling import TrainSampler
from trainers.world import ALONE, World

AUGMENTATION = CropFlipAugmentation(rotation_degrees=20.0, color_jitter=0.3)


def digits(seed=0):
    return DigitsConfig(num_train=24).load(
        None,
        input_size_px=16,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        augmentation=AUGMENTATION,
        seed=seed,
    )


def stream(*, epochs, seed=0, loader_workers=0, world=ALONE):
    """Every image of some epochs as the model would see it, by (epoch, index)."""
    split = digits(seed).train
    sampler = TrainSampler(len(split), global_batch_size=8, accumulation_steps=1, seed=seed, world=world)
    loader = BatchLoader(split, sampler, loader_workers=loader_workers, pin=False)
    seen = {}
    for epoch in epochs:
        sampler.set_epoch(epoch)
        split.set_epoch(epoch)
        for batch in loader:
            for image, index in zip(batch.images, batch.indices.tolist(), strict=True):
                seen[epoch, index] = image
    return seen


def assert_same(some, others):
    assert some.keys() == others.keys()
    for place, image in some.items():
        assert torch.equal(image, others[place]), place


def test_loader_workers_change_nothing():
    alone = stream(epochs=(0, 1, 2))
    assert len(alone) == 72
    assert_same(alone, stream(epochs=(0, 1, 2), loader_workers=2))


def test_resuming_and_ranks_change_nothing():
    whole = stream(epochs=(0, 1, 2))
    resumed = stream(epochs=(2,))
    assert_same({place: image for place, image in whole.items() if place[0] == 2}, resumed)
    assert_same(whole, stream(epochs=(0, 1, 2), world=World(0, 2)) | stream(epochs=(0, 1, 2), world=World(1, 2)))


def test_epochs_and_seeds_differ():
    first, other = stream(epochs=(0, 1)), stream(epochs=(0,), seed=1)
    changed = [
        index for index in range(1797) if (0, index) in first and not torch.equal(first[0, index], first[1, index])
    ]
    assert len(changed) == 24
    assert all(not torch.equal(image, first[place]) for place, image in other.items())


def test_the_global_generator_is_left_alone():
    transform = AUGMENTATION.build(input_size_px=16, seed=0)
    before = torch.get_rng_state()
    transform(torch.rand(3, 16, 16, generator=torch.Generator()), index=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_flip_no_crop_no_rotation_is_the_image_itself():
    still = CropFlipAugmentation(min_scale_fraction=1.0, flip_probability=0.0).build(input_size_px=16, seed=0)
    image = torch.rand(3, 16, 16)
    # A crop of the whole area is the whole image wherever its drawn aspect ratio fits, which is the fallback here.
    assert torch.allclose(still(image, index=0), image, atol=1e-6)


def test_a_certain_flip_is_a_mirror():
    mirror = CropFlipAugmentation(min_scale_fraction=1.0, flip_probability=1.0).build(input_size_px=16, seed=0)
    image = torch.rand(3, 16, 16)
    assert torch.allclose(mirror(image, index=0), image.flip(-1), atol=1e-6)


@pytest.mark.parametrize("size", [(40, 30), (16, 16), (5, 80)])
def test_files_come_out_at_the_models_size(size):
    transform = AUGMENTATION.build(input_size_px=16, seed=0)
    assert transform(Image.new("RGB", size), index=0).size == (16, 16)
