import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.datasets import load_digits

from trainers.data.augmentation import NoAugmentation
from trainers.data.digits import DigitsConfig

PLAIN = {"augmentation": NoAugmentation(), "seed": 0}


def load(config=None, side=32, **changes):
    return (config or DigitsConfig()).load(None, input_size_px=side, **(PLAIN | changes))


def indices(split):
    return split.indices.tolist()


def test_images_and_labels_are_scikit_learns_own():
    bunch = load_digits()
    splits = load(side=8)
    for split in (splits.train, splits.val, splits.test):
        batch = split.__getitems__(range(len(split)))
        assert (batch.targets.numpy() == bunch.target[batch.indices]).all()
        # Upsampling 8 x 8 to 8 x 8 changes nothing.
        expected = bunch.images[batch.indices] / 16
        for channel in range(3):
            np.testing.assert_allclose(batch.images[:, channel].numpy(), expected, atol=1e-6)


def bicubic_weights(small, large):
    """[large, small] by Keys' kernel with a = -0.75, pixel centres aligned, edges repeated."""
    weights = np.zeros((large, small))
    for row in range(large):
        center = (row + 0.5) * small / large - 0.5
        for tap in range(int(np.floor(center)) - 1, int(np.floor(center)) + 3):
            x = abs(center - tap)
            near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            weights[row, np.clip(tap, 0, small - 1)] += near if x <= 1 else far
    return weights


def test_upsampling_is_bicubic_without_its_overshoot():
    before = load(side=8).val.__getitems__(range(20)).images.double().numpy()
    after = load(side=32).val.__getitems__(range(20)).images
    weights = bicubic_weights(8, 32)
    np.testing.assert_allclose(after, (weights @ before @ weights.T).clip(0, 1), atol=1e-6)


def test_validation_and_test_do_not_depend_on_the_training_size():
    few, many = load(DigitsConfig(num_train=10)), load(DigitsConfig(num_train=1000))
    assert indices(few.val) == indices(many.val)
    assert indices(few.test) == indices(many.test)
    assert indices(few.train) == indices(many.train)[:10]


def test_splits_are_disjoint_and_together_the_whole_set():
    splits = load(DigitsConfig(num_train=1000, num_val=300, num_test=497))
    everything = indices(splits.train) + indices(splits.val) + indices(splits.test)
    assert sorted(everything) == list(range(1797))


def test_a_smaller_validation_split_moves_no_other_split():
    usual, small = load(), load(DigitsConfig(num_val=20, num_test=30))
    assert indices(small.train) == indices(usual.train)
    assert indices(small.val) == indices(usual.val)[:20]
    assert indices(small.test) == indices(usual.test)[:30]


def test_splits_are_stratified():
    for split in (load().train, load().val, load().test):
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert (shares - 0.1).abs().max() < 0.02


def test_one_image_is_a_batch_of_one():
    split = load().train
    image, label, index = split[7]
    batch = split.__getitems__([7, 8])
    assert torch.equal(image, batch.images[0])
    assert (label, index) == (int(batch.targets[0]), int(batch.indices[0]))


def test_fingerprint_follows_the_split_and_stays():
    assert DigitsConfig().fingerprint(None) == DigitsConfig().fingerprint(None)
    others = [DigitsConfig(num_train=200), DigitsConfig(split_seed=1), DigitsConfig(num_test=100)]
    assert len({config.fingerprint(None) for config in [DigitsConfig(), *others]}) == 4


def test_labels_tell_data_sets_apart():
    assert DigitsConfig(num_train=300).label == "digits-300"
    assert DigitsConfig(num_train=300, split_seed=2).label == "digits-300-split2"


def test_more_images_than_there_are_is_refused():
    with pytest.raises(ValidationError, match="less than or equal to 1000"):
        DigitsConfig(num_train=1001)
