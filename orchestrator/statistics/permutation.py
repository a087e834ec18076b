"""The sign-flip test: if the arms were exchangeable, every difference could as well have the other sign."""

import math
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

MAX_EXACT_PAIRS = 30
"""All 2^n sign patterns are counted up to here (two sorted halves of 2^15 sums, milliseconds)."""
MAX_LISTED_PAIRS = 16
"""All means of subsets are listed up to here (2^15 patterns)."""
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


def any_image_p(differences: NDArray[np.float64]) -> float | None:
    """Sign-flip permutation p of "no image's score is moved": a test of all images at once, whatever their directions.

    The statistic is the sum over images of the squared mean difference over pairs. All differences of a pair turn
    their sign together: images of one pair come from the same two trials, so they are not exchangeable by themselves.
    Assumes only that control and treatment of each pair are exchangeable under the null hypothesis, as `sign_flip_p`
    does; exact up to `MAX_LISTED_PAIRS` pairs, with random patterns beyond.

    Args:
        differences: [pairs, images] treatment - control.

    Returns:
        p, or `None` without a pair.
    """
    num_pairs = len(differences)
    if not num_pairs:
        return None
    products = differences @ differences.T
    threshold = float(products.sum()) - 1e-9 * float(np.abs(products).sum())
    if num_pairs <= MAX_LISTED_PAIRS:
        return float((_squared_sums(products, sign_patterns(num_pairs)) >= threshold).mean())
    reached = [_squared_sums(products, signs) >= threshold for signs in _drawn_signs(num_pairs)]
    return (1 + sum(int(each.sum()) for each in reached)) / (1 + sum(len(each) for each in reached))


def _squared_sums(products: NDArray[np.float64], signs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each pattern, the sum over images of the squared sum over pairs."""
    sums: NDArray[np.float64] = np.einsum("pi,ij,pj->p", signs, products, signs, optimize=True)
    return sums


def sign_flip_interval(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """All true mean differences that the sign-flip test does not reject: where its p is not below the level.

    Assumes only that each difference is symmetric about the true mean. Up to `MAX_LISTED_PAIRS` pairs, the ends are
    order statistics of the means of all subsets of the pairs (Hartigan 1969, Journal of the American Statistical
    Association 64, 1303-1317: the true mean is equally likely to lie between any two of them); up to `MAX_EXACT_PAIRS`
    they are found by halving, and with more pairs from the random patterns that p is made of.

    Args:
        differences: treatment - control, one per complete pair.
        level: p below it rejects, such as 0.05.

    Returns:
        Lower and upper end; `None` where so few pairs reject nothing, however large the effect.
    """
    sample = np.asarray(differences, dtype=np.float64)
    num_pairs = len(sample)
    if num_pairs == 0 or sign_flip_floor(num_pairs) >= level - 1e-12:
        return None
    if MAX_LISTED_PAIRS < num_pairs <= MAX_EXACT_PAIRS:
        return _halved_end(sample, level, upper=False), _halved_end(sample, level, upper=True)
    if num_pairs <= MAX_LISTED_PAIRS:
        lower, upper = _subset_means(sample, sign_patterns(num_pairs))
        num_patterns, own = len(lower), 0
    else:
        found = [_subset_means(sample, signs) for signs in _drawn_signs(num_pairs)]
        lower, upper = (np.concatenate(ends) for ends in zip(*found, strict=True))
        num_patterns, own = len(lower) + 1, 1
    # p at a mean: the share of patterns whose smaller subset mean is not above it. The observed one's never is.
    rank = math.ceil(level * num_patterns - 1e-9) - own - 1
    return float(np.partition(lower, rank)[rank]), float(-np.partition(-upper, rank)[rank])


def _subset_means(
    sample: NDArray[np.float64], signs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The smaller and the larger of the means of the pairs that keep their sign and of those that turn it.

    Where none turns (or all do), from -infinity to infinity: that pattern is the observed one at every mean.
    """
    sums, turned = signs @ sample, signs.sum(axis=1)
    total, num_pairs = sample.sum(), len(sample)
    is_proper = np.abs(turned) < num_pairs
    counts = np.where(is_proper, (num_pairs + turned) / 2, 1), np.where(is_proper, (num_pairs - turned) / 2, 1)
    kept, flipped = (total + sums) / 2 / counts[0], (total - sums) / 2 / counts[1]
    lower, upper = np.minimum(kept, flipped), np.maximum(kept, flipped)
    return np.where(is_proper, lower, -np.inf), np.where(is_proper, upper, np.inf)


@cache
def sign_patterns(num_pairs: int) -> NDArray[np.float64]:
    """[2^(n-1), n]: one of every two opposite patterns, which give the same absolute sum."""
    codes = np.arange(2 ** (num_pairs - 1))[:, None] >> np.arange(num_pairs - 1)
    return np.concatenate([1.0 - 2.0 * (codes & 1), np.ones((len(codes), 1))], axis=1)


def _halved_end(sample: NDArray[np.float64], level: float, *, upper: bool) -> float:
    """The last mean that is not rejected, to a millionth of the range of the pairs."""

    def is_rejected(mean: float) -> bool:
        p = sign_flip_p(list(sample - mean))
        return p is not None and p < level - 1e-12

    inside, outside = float(sample.mean()), float(sample.max() if upper else sample.min())
    reach = float(np.ptp(sample))
    # 0 is what a verdict is about: an end that lies close to it falls on the side that p says.
    if min(inside, outside) < 0 < max(inside, outside):
        inside, outside = (inside, 0.0) if is_rejected(0.0) else (0.0, outside)
    if not is_rejected(outside):
        return outside
    while abs(outside - inside) > 1e-6 * reach:
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if is_rejected(middle) else (middle, outside)
    return inside


def _drawn_signs(num_pairs: int) -> Iterator[NDArray[np.float64]]:
    """Random patterns in chunks, from a fixed seed: the same ones for every sample of so many pairs."""
    num_draws = min(99_999, max(9_999, _MAX_DRAWN_SIGNS // num_pairs))
    rng = np.random.default_rng(_MONTE_CARLO_SEED)
    chunk = max(1, _CHUNK_SIGNS // num_pairs)
    for start in range(0, num_draws, chunk):
        shape = (min(chunk, num_draws - start), num_pairs)
        yield (rng.integers(0, 2, size=shape, dtype=np.int8) * 2 - 1).astype(np.float64)


def _monte_carlo(sample: NDArray[np.float64], threshold: float) -> float:
    num_draws = num_reached = 0
    for signs in _drawn_signs(len(sample)):
        num_draws += len(signs)
        num_reached += int((np.abs(signs @ sample) >= threshold).sum())
    return (1 + num_reached) / (1 + num_draws)
