"""Power of a verdict: what so many pairs confirm after correction for the number of comparisons.

A forecast for the hardest case, in which no other comparison has an effect: Holm's correction is then Bonferroni's, and
an effect is confirmed if its sign-flip p lies below the level divided by the number of comparisons. With few pairs
the sign-flip p comes in steps of 2 / 2^n, and is far less powerful there than the t test is.
"""

from functools import cache
from itertools import count

import numpy as np
from numpy.typing import NDArray

from orchestrator.statistics.interval import half_width_of
from orchestrator.statistics.permutation import MAX_EXACT_PAIRS, sign_flip_floor, sign_flip_p, sign_patterns
from orchestrator.statistics.power import TARGET_POWER, detectable_effect_per_sd, pairs_needed

_MIN_T_PAIRS = 13
_COARSE = 1 / 20
"""From 13 pairs on, and where the smallest p that so many pairs can give lies below a twentieth of the level to be
reached, the steps of p no longer matter: a t test at that level forecasts the same within 3 points of power."""
_MIN_DRAWS, _MAX_DRAWS, _MAX_SUMS = 500, 8000, 2**20
"""A plan has a second: fewer draws where each has more sign patterns."""
_SEED = 20_230_523
_CHUNK = 500


def confirmable_effect_per_sd(num_pairs: int, *, num_comparisons: int, confidence: float) -> float | None:
    """Smallest true effect, in sds of a pair's difference, that is confirmed in 80 % of all repetitions.

    Args:
        num_pairs: pairs of each comparison.
        num_comparisons: comparisons that the correction is for.
        confidence: 1 - level.

    Returns:
        `None` if so few pairs confirm nothing, however large the effect.
    """
    if not _can_confirm(num_pairs, num_comparisons, confidence):
        return None
    by_t = detectable_effect_per_sd(num_pairs, 1 - (1 - confidence) / num_comparisons)
    if by_t is None or not _is_coarse(num_pairs, num_comparisons, confidence):
        return by_t
    # The t test is the more powerful one, but for what the simulation leaves uncertain.
    low, high = 0.8 * by_t, 4 * by_t
    while high - low > 0.01 * low:
        middle = (low + high) / 2
        is_enough = confirmation_power(num_pairs, middle, num_comparisons, confidence) >= TARGET_POWER
        low, high = (low, middle) if is_enough else (middle, high)
    return high


def pairs_to_confirm(effect: float, sd: float, *, num_comparisons: int, confidence: float) -> int | None:
    """Fewest pairs that confirm an effect in 80 % of all repetitions.

    Args:
        effect: true mean difference, not 0.
        sd: true sd of the paired difference, above 0, in the same unit.
        num_comparisons: comparisons that the correction is for.
        confidence: 1 - level.

    Returns:
        `None` if a million pairs would not do.
    """
    by_t = pairs_needed(effect, sd, confidence=1 - (1 - confidence) / num_comparisons)
    if by_t is None:
        return None
    # The t test is the more powerful one, and no fewer pairs than `first` confirm anything.
    first = next(num for num in count(2) if _can_confirm(num, num_comparisons, confidence))
    num_pairs = max(first, by_t)
    while (
        _is_coarse(num_pairs, num_comparisons, confidence)
        and confirmation_power(num_pairs, abs(effect) / sd, num_comparisons, confidence) < TARGET_POWER
    ):
        num_pairs += 1
    return num_pairs


@cache
def confirmation_power(num_pairs: int, effect_per_sd: float, num_comparisons: int, confidence: float) -> float:
    """Chance that an effect is confirmed, from simulated normal differences.

    The same draws serve every effect, so that more effect never has less power.
    """
    level = (1 - confidence) / num_comparisons
    differences = _draws(num_pairs) + effect_per_sd
    means, sds = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    half_widths = half_width_of(1.0, num_pairs, confidence) * sds
    return float(((_sign_flip_p(differences) < level - 1e-12) & (means > half_widths)).mean())


def _can_confirm(num_pairs: int, num_comparisons: int, confidence: float) -> bool:
    return num_pairs >= 2 and num_comparisons * sign_flip_floor(num_pairs) < round(1 - confidence, 9)


def _is_coarse(num_pairs: int, num_comparisons: int, confidence: float) -> bool:
    """Whether the steps of the sign-flip p matter at the level that has to be reached."""
    is_near_floor = num_comparisons * sign_flip_floor(num_pairs) > _COARSE * (1 - confidence)
    return num_pairs <= MAX_EXACT_PAIRS and (num_pairs < _MIN_T_PAIRS or is_near_floor)


@cache
def _draws(num_pairs: int) -> NDArray[np.float64]:
    num_draws = max(_MIN_DRAWS, min(_MAX_DRAWS, _MAX_SUMS // 2 ** (num_pairs - 1)))
    return np.random.default_rng(_SEED).standard_normal((num_draws, num_pairs))


def _sign_flip_p(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided exact p of each row of [k, n]: as `sign_flip_p`, for many samples at once."""
    num_pairs = differences.shape[1]
    if num_pairs >= _MIN_T_PAIRS:
        return np.array([sign_flip_p(row) for row in differences])
    signs = sign_patterns(num_pairs)
    found = []
    for start in range(0, len(differences), _CHUNK):
        part = differences[start : start + _CHUNK]
        observed = np.abs(part.sum(axis=1)) - 1e-9 * np.abs(part).sum(axis=1)
        found.append((np.abs(part @ signs.T) >= observed[:, None]).mean(axis=1))
    return np.concatenate(found)
