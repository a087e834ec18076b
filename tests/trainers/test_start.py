"""What a training starts from: the same in both arms of a pair, another with another seed or another change."""

import pytest
import torch

from trainers.data.sampling import TrainSampler
from trainers.ranks import ALONE
from trainers.runtime import Runtime
from trainers.start import start_of, starts_of
from trainers.start_facts import BATCHES, RANDOM, WEIGHTS
from trainers.training.trial import train

NO_BIAS = {"kind": "none"}
_ALL = (WEIGHTS, BATCHES, RANDOM)


def start(config) -> dict[str, str]:
    (found,) = starts_of([config], None)
    return found


def test_arms_that_differ_in_the_bias_start_alike(trial):
    assert start(trial()) == start(trial(attention_bias=NO_BIAS))
    assert start(trial()) == start(trial(attention_bias={"kind": "permuted_gaussian", "sigma": 3.0}))


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({"seed": 4}, {WEIGHTS, BATCHES, RANDOM}),
        ({"augmentation": {"kind": "none"}}, {BATCHES}),
        (
            {"model": {"kind": "small_vit", "width": 24, "depth": 2, "num_heads": 2, "image_size_px": 16}},
            {WEIGHTS, RANDOM},
        ),
    ],
)
def test_each_digest_tells_its_own_change(trial, changes, others):
    one, other = start(trial()), start(trial(**changes))
    assert {name for name in one if one[name] != other[name]} == others


def test_arms_that_are_looked_at_together_start_as_alone(trial):
    configs = [trial(), trial(augmentation={"kind": "none"}), trial(attention_bias=NO_BIAS), trial(seed=4)]
    assert list(starts_of(configs, None)) == [start(config) for config in configs]


def test_a_look_finds_what_a_training_starts_from(trial):
    config = trial(optimization={"epochs": 1, "global_batch_size": 10})
    result = train(config, Runtime(device="cpu"))
    assert start(config) == {name: result.provenance[name] for name in _ALL}


def test_one_weight_makes_another_digest(trial):
    config = trial()
    splits = config.dataset.load(None, input_size_px=16, augmentation=config.augmentation, seed=3)
    sampler = TrainSampler(len(splits.train), global_batch_size=10, accumulation_steps=1, seed=3, world=ALONE)
    model = config.model.build(splits.num_classes, position_seed=7, data_root=None)
    before = start_of(model, splits.train, sampler)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0].add_(1e-6)
    after = start_of(model, splits.train, sampler)
    assert {name for name in before if before[name] != after[name]} == {WEIGHTS}


def test_a_trial_keeps_them_and_a_resumed_one_has_the_same(trial, tmp_path):
    few = {"optimization": {"epochs": 1, "global_batch_size": 10}}
    result = train(trial(**few), Runtime(device="cpu", storage=tmp_path))
    control = train(trial(**few, attention_bias=NO_BIAS), Runtime(device="cpu"))
    for name in _ALL:
        assert result.provenance[name] == control.provenance[name]
    (tmp_path / "result.json").unlink()
    again = train(trial(**few), Runtime(device="cpu", storage=tmp_path))
    assert [again.provenance[name] for name in _ALL] == [result.provenance[name] for name in _ALL]
