import random

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from trainers.errors import ConfigError
from trainers.tasks.classification.mixup import MixupMixing
from trainers.tasks.classification.task import ClassificationConfig

NUM_CLASSES = 5


def mixer(seed=0, rank=0, **changes):
    config = MixupMixing(**changes)
    return config.build(num_classes=NUM_CLASSES, micro_batch_size=8, seed=seed, rank=rank)


def mixed(mix, *, epoch=0, micro_batch=0, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.rand(8, 3, 6, 6, generator=generator), torch.arange(8) % NUM_CLASSES
    return images.clone(), labels, *mix(images, labels, epoch=epoch, micro_batch=micro_batch)


def test_mixup_is_the_mean_that_its_targets_tell():
    seen = set()
    for step in range(20):
        images, labels, out, targets = mixed(mixer(cutmix_alpha=0), micro_batch=step)
        one_hot = F.one_hot(labels, NUM_CLASSES).float()
        # Image 1 (class 1) is mixed with image 6 (class 1), image 0 (class 0) with image 7 (class 2).
        share = targets[0, 0].item()
        seen.add(round(share, 6))
        assert torch.allclose(targets, share * one_hot + (1 - share) * one_hot.flip(0), atol=1e-6)
        assert torch.allclose(out, share * images + (1 - share) * images.flip(0), atol=1e-6)
    assert len(seen) == 20


def test_cutmix_is_a_rectangle_whose_area_its_targets_tell():
    for step in range(20):
        images, _, out, targets = mixed(mixer(mixup_alpha=0), micro_batch=step)
        kept = (out == images).all(1)
        assert torch.equal(out.movedim(1, -1)[~kept], images.flip(0).movedim(1, -1)[~kept])
        assert kept.float().mean((1, 2)).tolist() == pytest.approx([targets[0, 0].item()] * 8, abs=1e-6)


@pytest.mark.parametrize(("probability", "switch"), [(0.3, 0.5), (1.0, 0.8)])
def test_mixing_happens_as_often_as_it_is_asked_for(probability, switch):
    mix, plain, cut = mixer(probability=probability, switch_probability=switch), 0, 0
    for step in range(400):
        images, _, out, _ = mixed(mix, micro_batch=step)
        plain += torch.equal(out, images)
        # Some pixel is whole in a batch that was cut; in one that was blended, none is (the two images differ).
        cut += not torch.equal(out, images) and bool(((out == images) | (out == images.flip(0))).all())
    # A few more are whole: a CutMix rectangle of no area, a share that rounds to 1.
    assert plain / 400 == pytest.approx(1 - probability, abs=0.1)
    assert cut / max(1, 400 - plain) == pytest.approx(switch, abs=0.1)


def test_numbers_depend_on_seed_epoch_batch_and_rank_and_on_nothing_else():
    first = mixed(mixer())[2]
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    assert torch.equal(mixed(mixer())[2], first)
    others = [
        mixed(mixer(seed=1))[2],
        mixed(mixer(rank=1))[2],
        mixed(mixer(), epoch=1)[2],
        mixed(mixer(), micro_batch=1)[2],
    ]
    assert all(not torch.equal(other, first) for other in others)


def test_the_global_generators_are_left_alone():
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    mixed(mixer())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # noqa: NPY002


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_mixed_labels_is_the_mean_of_both_losses(smoothing):
    _, labels, _, targets = mixed(mixer(cutmix_alpha=0))
    logits = torch.randn(8, NUM_CLASSES, generator=torch.Generator().manual_seed(2))
    share, task = targets[0, 0], ClassificationConfig(label_smoothing=smoothing)
    loss = task.criterion((), torch.device("cpu"))
    own, other = (loss(logits, each) for each in (labels, labels.flip(0)))
    assert loss(logits, targets).item() == pytest.approx((share * own + (1 - share) * other).item(), abs=1e-6)


def test_an_odd_batch_is_refused():
    with pytest.raises(ConfigError, match=r"one worker's share .* is odd; take a global_batch_size that makes it 8"):
        MixupMixing().build(num_classes=3, micro_batch_size=7, seed=0, rank=0)


def test_mixing_that_mixes_nothing_is_refused():
    with pytest.raises(ValidationError, match='nothing would be mixed; take kind "none"'):
        MixupMixing(mixup_alpha=0, cutmix_alpha=0)
