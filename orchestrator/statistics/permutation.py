"""The sign-flip test: if the arms were exchangeable, every difference could as well have the other sign."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_EXACT_PAIRS = 30
"""All 2^n sign patterns are counted up to here (two sorted halves of 2^15 sums, milliseconds)."""
_MONTE_CARLO_SEED = 20_230_522
_MAX_DRAWN_SIGNS = 200_000_000
_CHUNK_SIGNS = 4_000_000


def sign_flip_floor(num_pairs: int) -> float:
    """Smallest p that so many pairs can give: 2 / 2^n, and never above 1."""
    return min(1.0, 2.0 ** (1 - num_pairs))


def sign_flip_p(differences: Sequence[float]) -> float | None:
    """Two-sided sign-flip permutation p of the mean paired difference.

    Assumes only that under the null hypothesis each difference is symmetric about 0 (control and treatment of a pair
    are exchangeable); no normality. Exact up to `MAX_EXACT_PAIRS` pairs: the share of all 2^n sign patterns whose
    mean is at least as far from 0 as the observed one. Beyond, up to 99,999 random patterns from a fixed seed, with
    the observed one counted in (Phipson and Smyth 2010), so that p is never 0 and the test stays valid.

    Args:
        differences: treatment - control, one per complete pair.

    Returns:
        p, or `None` without a pair.
    """
    if len(differences) == 0:
        return None
    sample = np.asarray(differences, dtype=np.float64)
    # Sums that are equal on paper may differ by rounding; accuracies make many such ties.
    threshold = abs(float(sample.sum())) - 1e-9 * float(np.abs(sample).sum())
    if len(sample) <= MAX_EXACT_PAIRS:
        return _exact(sample, threshold)
    return _monte_carlo(sample, threshold)


def _exact(sample: NDArray[np.float64], threshold: float) -> float:
    """Meet in the middle: for every sum of the first half, how many sums of the second reach the threshold."""
    if threshold <= 0:
        return 1.0
    middle = len(sample) // 2
    left, right = _signed_sums(sample[:middle]), np.sort(_signed_sums(sample[middle:]))
    num_above = int((len(right) - np.searchsorted(right, threshold - left, side="left")).sum())
    # Turning all signs of a pattern maps sums above the threshold onto sums below its negative: twice as many.
    return 2 * num_above / 2.0 ** len(sample)


def _signed_sums(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """All 2^n sums of +-x_i."""
    sums = np.zeros(1)
    for value in sample:
        sums = np.concatenate((sums - value, sums + value))
    return sums


def _monte_carlo(sample: NDArray[np.float64], threshold: float) -> float:
    num_draws = min(99_999, max(9_999, _MAX_DRAWN_SIGNS // len(sample)))
    rng = np.random.default_rng(_MONTE_CARLO_SEED)
    num_reached, chunk = 0, max(1, _CHUNK_SIGNS // len(sample))
    for start in range(0, num_draws, chunk):
        shape = (min(chunk, num_draws - start), len(sample))
        signs = rng.integers(0, 2, size=shape, dtype=np.int8) * 2 - 1
        num_reached += int((np.abs(signs @ sample) >= threshold).sum())
    return (1 + num_reached) / (1 + num_draws)
