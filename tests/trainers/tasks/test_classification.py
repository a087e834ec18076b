import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score
from torch.nn import functional as F

from trainers.tasks.classification.predictions import Predictions
from trainers.tasks.classification.task import ClassificationConfig

TASK = ClassificationConfig(label_smoothing=0.1)


def predictions(logits, labels, indices):
    return Predictions.of_batches([TASK.look(logits, labels, indices)])


@pytest.fixture
def scored():
    logits = torch.randn(200, 9, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(9, (200,), generator=torch.Generator().manual_seed(1))
    return logits, labels


def test_metrics_are_fractions_of_images(scored):
    logits, labels = scored
    metrics = predictions(logits, labels, torch.arange(200)).metrics()
    ranks = (logits > logits[torch.arange(200), labels][:, None]).sum(1)
    assert metrics["top1"] == pytest.approx(float((ranks < 1).double().mean()))
    assert metrics["top5"] == pytest.approx(float((ranks < 5).double().mean()))
    # The scored loss has no smoothing: losses of differently trained arms stay comparable.
    assert metrics["loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), abs=1e-6)


def test_few_classes_make_top5_certain():
    kept = predictions(torch.eye(3), torch.tensor([0, 2, 1]), torch.arange(3))
    assert kept.top_classes.shape == (3, 3)
    assert kept.metrics()["top1"] == pytest.approx(1 / 3)
    assert kept.metrics()["top5"] == 1
    assert kept.correct.tolist() == [True, False, False]


def test_how_a_split_is_shared_out_changes_nothing(scored):
    logits, labels = scored
    indices = torch.randperm(1000, generator=torch.Generator().manual_seed(2))[:200]
    alone = Predictions.of_ranks([predictions(logits, labels, indices)])
    shares = [predictions(logits[rank::3], labels[rank::3], indices[rank::3]) for rank in range(3)]
    shared = Predictions.of_ranks(shares)
    assert shared.metrics() == alone.metrics()
    for name, array in alone.arrays().items():
        np.testing.assert_array_equal(shared.arrays()[name], array)
    assert (np.diff(alone.indices) > 0).all()


@pytest.mark.parametrize("num_labels", [2, 4, 9])
def test_scores_are_those_of_scikit_learn(num_labels):
    """With classes that are never true, and classes that are never predicted."""
    random = np.random.default_rng(num_labels)
    logits = torch.from_numpy(random.normal(size=(300, 9)).astype(np.float32))
    logits[:, 8] -= 50
    labels = torch.from_numpy(random.choice(num_labels, 300, p=random.dirichlet(np.ones(num_labels))))
    metrics = predictions(logits, labels, torch.arange(300)).metrics()
    guessed = logits.argmax(1).numpy()
    with warnings.catch_warnings():
        # scikit-learn says that some classes are predicted and never true.
        warnings.simplefilter("ignore")
        assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, guessed))
        assert metrics["macro_f1"] == pytest.approx(f1_score(labels, guessed, average="macro"))


def test_the_calibration_error_is_its_definition_bin_by_bin():
    logits = 3 * torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(6, (500,), generator=torch.Generator().manual_seed(1))
    probabilities, guessed = logits.double().softmax(1).max(1)
    error = 0.0
    for low in range(15):
        inside = (probabilities > low / 15) & (probabilities <= (low + 1) / 15)
        if inside.any():
            accuracy = (guessed == labels)[inside].double().mean()
            error += float(inside.double().mean() * (accuracy - probabilities[inside].mean()).abs())
    assert predictions(logits, labels, torch.arange(500)).metrics()["ece"] == pytest.approx(error, abs=1e-6)


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    certain = 200 * torch.eye(4)
    assert predictions(certain, torch.arange(4), torch.arange(4)).metrics()["ece"] == 0
    assert predictions(certain, (torch.arange(4) + 1) % 4, torch.arange(4)).metrics()["ece"] == 1
    # A coin: probabilities of a half, right half of the time.
    assert predictions(torch.zeros(2, 2), torch.tensor([0, 1]), torch.arange(2)).metrics()["ece"] == 0


def test_a_model_that_has_diverged_has_no_calibration():
    """A warning, or a number, would hide what the loss says."""
    logits = torch.full((4, 3), torch.nan)
    metrics = predictions(logits, torch.zeros(4, dtype=torch.int64), torch.arange(4)).metrics()
    assert np.isnan(metrics["ece"])
    assert np.isnan(metrics["loss"])
