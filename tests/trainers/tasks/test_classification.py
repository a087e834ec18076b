import numpy as np
import pytest
import torch
from torch.nn import functional as F

from trainers.tasks.classification import ClassificationConfig, Predictions

TASK = ClassificationConfig(label_smoothing=0.1)


def predictions(logits, labels, indices):
    return Predictions.of_batches([TASK.predict(logits, labels, indices)])


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
    for name, array in alone.arrays("test").items():
        np.testing.assert_array_equal(shared.arrays("test")[name], array)
    assert (np.diff(alone.indices) > 0).all()
