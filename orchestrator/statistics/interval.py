"""The paired t interval: mean difference and how far off it may be."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special


class Spread(NamedTuple):
    """Mean and standard deviation of a sample."""

    mean: float | None
    """Mean (`None`: no value)."""
    sd: float | None
    """Standard deviation with n - 1 (`None`: fewer than two values)."""


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation (n - 1), as far as so many values have them.

    Values that differ by rounding alone (one part in 10^9 of their size) have a standard deviation of exactly 0.
    """
    if len(values) == 0:
        return Spread(None, None)
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if len(values) == 1:
        return Spread(mean, None)
    if float(np.ptp(sample)) <= 1e-9 * float(np.abs(sample).max()):
        return Spread(mean, 0.0)
    return Spread(mean, float(sample.std(ddof=1)))


def paired_t_interval(differences: Sequence[float], confidence: float) -> tuple[float, float] | None:
    """Interval for the mean of paired differences.

    Assumes that the differences are independent draws from one distribution that is not far from normal; with few
    pairs the t quantile pays for the unknown sd. Nothing is assumed about the two arms themselves: what a seed does
    to both cancels in the difference.

    Args:
        differences: treatment - control, one per complete pair.
        confidence: share of all repetitions whose interval holds the true mean, such as 0.95.

    Returns:
        Lower and upper end. `None` with fewer than two pairs, and also if all differences are equal: a t interval
        would then have width 0 and claim a certainty that no handful of pairs can give (accuracies on a finite test
        split come in steps, so equal differences happen by chance).
    """
    mean, sd = spread(differences)
    if mean is None or not sd:
        return None
    half_width = half_width_of(sd, len(differences), confidence)
    return mean - half_width, mean + half_width


def half_width_of(sd: float, num_pairs: int, confidence: float) -> float:
    """Half-width of the paired t interval: t quantile x sd / sqrt(n), for n of at least 2."""
    quantile = float(special.stdtrit(num_pairs - 1, (1 + confidence) / 2))
    return quantile * sd / float(np.sqrt(num_pairs))
