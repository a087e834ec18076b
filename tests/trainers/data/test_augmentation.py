import random

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torchvision import transforms

from trainers.data.crop_flip import CropFlipAugmentation
from trainers.data.digits import DigitsConfig
from trainers.data.loading import BatchStream, Pass
from trainers.data.paper_augmentation import PaperAugmentation
from trainers.data.rand_augment import RandAugmentation
from trainers.data.sampling import TrainSampler
from trainers.data.scale_crop import ScaleCropAugmentation
from trainers.data.timm_augment import FILL_COLOR
from trainers.ranks import ALONE, World
from trainers.seeding import Stream, derive_seed

KINDS = {
    "crop_flip": CropFlipAugmentation(rotation_degrees=20.0, color_jitter=0.3),
    "paper": PaperAugmentation(),
    "rand_augment": RandAugmentation(policy="rand-m9-n3-p1.0-mstd0.5-inc1", erasing_probability=0.5),
    "scale_crop": ScaleCropAugmentation(),
}
AUGMENTATION = KINDS["crop_flip"]


@pytest.fixture(params=KINDS)
def augmentation(request):
    return KINDS[request.param]


def stream(augmentation=AUGMENTATION, *, epochs, seed=0, loader_workers=0, world=ALONE):
    """Every image of some epochs as the loader hands it over, by (epoch, index)."""
    split = (
        DigitsConfig(num_train=24)
        .load(
            None,
            input_size_px=16,
            augmentation=augmentation,
            seed=seed,
        )
        .train
    )
    sampler = TrainSampler(len(split), global_batch_size=8, accumulation_steps=1, seed=seed, world=world)
    passes = [Pass("train", epoch, sampler.of_epoch(epoch)) for epoch in epochs]
    stream = BatchStream({"train": split}, passes, loader_workers=loader_workers, pin=False)
    seen = {}
    for epoch in epochs:
        for batch in stream.next_pass("train", epoch):
            for image, index in zip(batch.images, batch.indices.tolist(), strict=True):
                seen[epoch, index] = image
    stream.close()
    return seen


def assert_same(some, others):
    assert some.keys() == others.keys()
    for place, image in some.items():
        assert torch.equal(image, others[place]), place


def test_loader_workers_change_nothing(augmentation):
    alone = stream(augmentation, epochs=(0, 1, 2))
    assert len(alone) == 72
    assert_same(alone, stream(augmentation, epochs=(0, 1, 2), loader_workers=2))


def test_resuming_and_ranks_change_nothing(augmentation):
    whole = stream(augmentation, epochs=(0, 1, 2))
    resumed = stream(augmentation, epochs=(2,))
    assert_same({place: image for place, image in whole.items() if place[0] == 2}, resumed)
    ranks = [stream(augmentation, epochs=(0, 1, 2), world=World(rank, 2)) for rank in (0, 1)]
    assert_same(whole, ranks[0] | ranks[1])


def test_epochs_and_seeds_differ(augmentation):
    first, other = stream(augmentation, epochs=(0, 1)), stream(augmentation, epochs=(0,), seed=1)
    changed = [
        index for index in range(1797) if (0, index) in first and not torch.equal(first[0, index], first[1, index])
    ]
    assert len(changed) == 24
    assert all(not torch.equal(image, first[place]) for place, image in other.items())


def test_the_global_generators_are_left_alone(augmentation):
    transform = augmentation.build(input_size_px=16, seed=0)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    transform(torch.rand(3, 16, 16, generator=torch.Generator()), index=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # noqa: NPY002


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
def test_files_come_out_at_the_models_size(augmentation, size):
    transform = augmentation.build(input_size_px=16, seed=0)
    assert transform(Image.new("RGB", size), index=0).size == (16, 16)


def test_the_papers_chain_is_torchvisions_with_its_defaults():
    # The older transforms, on an image; the sizes are the paper's.
    chain = transforms.Compose(
        [
            transforms.RandomResizedCrop(size=256, scale=(0.8, 1.0)),
            transforms.RandomRotation(degrees=15),
            transforms.ColorJitter(0.4, 0.4, 0.4),
            transforms.RandomHorizontalFlip(),
            transforms.CenterCrop(size=224),
        ]
    )
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8))
    ours = PaperAugmentation().build(input_size_px=224, seed=3)
    for index in range(3):
        torch.manual_seed(derive_seed(3, Stream.AUGMENTATION, 0, index))
        assert np.array_equal(np.asarray(ours(image, index=index)), np.asarray(chain(image)))


def test_erasing_takes_as_much_as_it_should_and_leaves_the_rest():
    # A policy of magnitude 0 that is never applied: only the erasing is left.
    still = {"policy": "rand-m0-p0", "min_scale_fraction": 1.0, "flip_probability": 0.0}
    image = Image.new("RGB", (64, 64), (1, 2, 3))
    sure, never, half = (
        RandAugmentation(**still, erasing_probability=probability).build(input_size_px=64, seed=0)
        for probability in (1.0, 0.0, 0.5)
    )
    for index in range(30):
        pixels = np.asarray(sure(image, index=index)).reshape(-1, 3)
        erased = (pixels == FILL_COLOR).all(1)
        assert ((pixels == (1, 2, 3)).all(1) | erased).all()
        assert 0.015 < erased.mean() < 0.35
        assert sure(image, index=index) == sure(image, index=index)
        assert never(image, index=index) == image
    assert 30 < sum(half(image, index=index) != image for index in range(100)) < 70


@pytest.mark.parametrize("policy", ["rand", "rand-m9-mstd0.5-inc1", "rand-m15-mmax20-n3-p0.7", "rand-m5-tweights"])
def test_policies_that_timm_knows_are_accepted(policy):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8))
    transform = RandAugmentation(policy=policy).build(input_size_px=16, seed=0)
    assert len({transform(image, index=index).tobytes() for index in range(10)}) > 5


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("augmix-m3", "does not begin with `rand`"),
        ("rand-m9-mdst0.5", r"unknown section 'mdst0\.5'; valid are m<magnitude>"),
        ("rand-m", "unknown section 'm'"),
        ("rand-m9-", "unknown section ''"),
        ("rand-inc2", "unknown section 'inc2'"),
        ("rand-m9-m8", "two sections `m`"),
        ("rand-m11", "asks for magnitude 11, and 10 is the largest; see mmax"),
        ("rand-p1.5", r"the probability 1\.5, which is above 1"),
    ],
)
def test_policies_that_timm_would_misread_are_refused(policy, message):
    with pytest.raises(ValidationError, match=message):
        RandAugmentation(policy=policy)
