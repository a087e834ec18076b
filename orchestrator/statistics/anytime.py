"""The any-time interval: right after every pair, whoever looks, and however it is decided to stop.

A t interval is right for a number of pairs that was fixed beforehand. Who looks after every pair from 3 to 30, and
stops where 0 is excluded, finds an effect that is not there in 26 % of all experiments; with this one in about 2 %.

Source: Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance"
(arXiv 2310.03722), the test martingale that replaces Lai's flat mixture over the effect by a Gaussian one. With
d ~ Normal(0, g) for effect / sd and the right Haar measure over sd, it is the ratio

    e_n = (1 + g n)^(-1/2) * [ (1 + t^2 / v) / (1 + t^2 / (v (1 + g n))) ]^(n/2),    v = n - 1,

with Student's t of the first n pairs (as a Bayes factor the same: Gonen et al. 2005, The American Statistician 59:252).
By Ville's inequality it reaches 1 / level, at any n, in at most `level` of all repetitions.
"""

from collections.abc import Sequence
from math import exp, inf, log, log1p, sqrt

from orchestrator.statistics.interval import spread

MIXTURE_VARIANCE = 1.0
"""g: what effects are expected, as the variance of effect / sd. Any value is valid; 1 suits effects about as large as
the sd of a pair, those that a handful of pairs can show."""


def log_e_value(t: float, num_pairs: int) -> float:
    """Natural logarithm of the evidence against a mean difference of 0, from Student's t.

    Args:
        t: mean / (sd / sqrt(n)) of the pairs' differences; may be infinite.
        num_pairs: n, at least 2.
    """
    growth = 1 + MIXTURE_VARIANCE * num_pairs
    per_degree = t**2 / (num_pairs - 1)
    ratio = log(growth) if per_degree == inf else log1p(per_degree) - log1p(per_degree / growth)
    return num_pairs / 2 * ratio - log(growth) / 2


def anytime_interval(differences: Sequence[float], confidence: float) -> tuple[float, float] | None:
    """Interval for the mean of paired differences that holds it at every number of pairs at once.

    Assumes independent draws from one normal distribution.

    Args:
        differences: treatment - control, one per complete pair so far.
        confidence: share of all repetitions in which not one of the intervals, from the first pair to the last, misses
            the true mean.

    Returns:
        Lower and upper end; infinite where so few pairs exclude nothing. `None` with fewer than two pairs, and if all
        differences are equal (see `paired_t_interval`).
    """
    mean, sd = spread(differences)
    if mean is None or not sd:
        return None
    half_width = _critical_t(len(differences), confidence) * sd / sqrt(len(differences))
    return mean - half_width, mean + half_width


def anytime_p(differences: Sequence[float]) -> float | None:
    """1 / e, at most 1: below a level at any time in at most so many of all repetitions without an effect.

    Below 1 - confidence exactly where `anytime_interval` excludes 0.

    Returns:
        p; 1 where all differences are equal, which says nothing of how much they vary; `None` without a pair.
    """
    mean, sd = spread(differences)
    if mean is None:
        return None
    if not sd:
        return 1.0
    return min(1.0, exp(-log_e_value(mean / sd * sqrt(len(differences)), len(differences))))


def anytime_floor(num_pairs: int) -> float:
    """Smallest `anytime_p` that so many pairs can give: (1 + g n)^(-(n - 1) / 2)."""
    if num_pairs < 2:
        return 1.0
    return min(1.0, exp(-log_e_value(inf, num_pairs)))


def _critical_t(num_pairs: int, confidence: float) -> float:
    """The t at which e reaches 1 / (1 - confidence)."""
    growth = 1 + MIXTURE_VARIANCE * num_pairs
    needed = exp((log(growth) - 2 * log(1 - confidence)) / num_pairs)
    if needed >= growth:
        return inf
    return sqrt((num_pairs - 1) * (needed - 1) / (1 - needed / growth))
