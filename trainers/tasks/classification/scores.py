"""Scores of classified images beside accuracy: balanced accuracy, macro-F1, expected calibration error."""

import numpy as np
import numpy.typing as npt

NUM_BINS = 15
"""Of the calibration error, as Guo et al. (arXiv 1706.04599) have them."""

Classes = npt.NDArray[np.int64]


def balanced_accuracy(labels: Classes, predicted: Classes) -> float:
    """Mean over the classes that the labels have of the share of their images that is recognised.

    scikit-learn's `balanced_accuracy_score`: a class that is predicted and never true does not count.

    Args:
        labels: [n] true class of each image, n >= 1.
        predicted: [n] predicted class.
    """
    hits, actual, _ = _counts(labels, predicted)
    present = actual > 0
    return float((hits[present] / actual[present]).mean())


def macro_f1(labels: Classes, predicted: Classes) -> float:
    """Mean over classes of F1 = 2 hits / (true + predicted images), each class of the labels or predictions alike.

    scikit-learn's `f1_score(average="macro")`; 0 for a class without a hit.

    Args:
        labels: [n] true class of each image, n >= 1.
        predicted: [n] predicted class.
    """
    hits, actual, claimed = _counts(labels, predicted)
    either = actual + claimed
    present = either > 0
    return float((2 * hits[present] / either[present]).mean())


def expected_calibration_error(correct: npt.NDArray[np.bool_], confidences: npt.NDArray[np.float32]) -> float:
    """Mean distance of accuracy from confidence, over 15 equally wide bins of confidence, weighted by their images.

    Naeini et al. (AAAI 2015) and Guo et al. (arXiv 1706.04599): the confidence is the largest softmax probability, a
    bin holds (m / 15, (m + 1) / 15]. Few images in a bin enlarge it: compare arms on the same split only.

    Args:
        correct: [n] whether the prediction is right, n >= 1.
        confidences: [n] its probability.

    Returns:
        NaN where a confidence is: the model has diverged, and its loss says so.
    """
    exact = confidences.astype(np.float64)
    if not np.isfinite(exact).all():
        return float("nan")
    bins = np.clip(np.ceil(exact * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    # Sums of hits and of confidences: a bin's share of images cancels its means' denominators.
    gaps = np.bincount(bins, correct, NUM_BINS) - np.bincount(bins, exact, NUM_BINS)
    return float(np.abs(gaps).sum() / len(exact))


def _counts(labels: Classes, predicted: Classes) -> tuple[Classes, Classes, Classes]:
    """Images of each class that are recognised, that it has, and that are taken for it."""
    num_classes = int(max(labels.max(), predicted.max())) + 1
    hits, actual, claimed = (
        np.bincount(classes, minlength=num_classes) for classes in (labels[labels == predicted], labels, predicted)
    )
    return hits, actual, claimed
