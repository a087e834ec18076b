"""Planned looks: stop early where the answer is clear, with the chance of a false alarm spent by plan.

Group sequential t tests, with looks after n_1 < ... < n_K pairs. An effect is claimed at the first look whose p, of
Student's paired t test, reaches the look's own bound p_k. With t_k = n_k / n_K, the bounds have the shapes of

    Pocock 1977 (Biometrika 64, 191-199)                  p_k = 2 Phi(-c)
    O'Brien and Fleming 1979 (Biometrics 35, 549-556)     p_k = 2 Phi(-c / sqrt(t_k))

and c makes the chance that any look claims an effect, where there is none, the level: exactly, for an unknown sd and
any looks (see `orchestrator.statistics.crossing`).

What a comparison shows is right at every planned look, whoever goes on or stops there and why (Jennison and Turnbull
2000, Group Sequential Methods, chapter 9): the repeated confidence interval, which takes each look's own level, and the
repeated p, the level at which this look would just have crossed. So rows may stop at different looks, and Holm's
correction holds.
"""

from functools import cache
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from orchestrator.statistics.comparison import Basis, Comparison, Verdict
from orchestrator.statistics.crossing import crossing_probability
from orchestrator.statistics.inference import Differences, complete
from orchestrator.statistics.interval import paired_t_interval, spread
from orchestrator.statistics.look_plan import BoundaryKind, Looks

_SMALLEST_P = 1e-15
"""Smaller ones are all as good as impossible."""


def boundary(kind: BoundaryKind, at: tuple[int, ...], level: float) -> tuple[float, ...]:
    """Two-sided p that each look has to reach, so that any does so in a share `level` of repetitions without an effect.

    Args:
        kind: shape of the boundary.
        at: pairs after each look.
        level: chance of a false alarm over all looks.
    """
    return _p_bounds(kind, at, _constant(kind, at, level))


def repeated_p(kind: BoundaryKind, at: tuple[int, ...], look: int, p_value: float) -> float:
    """Level at which a look's bound would just have been reached.

    Args:
        kind: shape of the boundary.
        at: pairs after each look.
        look: which one, from 0.
        p_value: p of the t test of the pairs so far.
    """
    z = -float(special.ndtri(max(p_value, _SMALLEST_P) / 2))
    constant = z if kind == "pocock" else z * sqrt(at[look] / at[-1])
    return min(1.0, crossing_probability(at, _p_bounds(kind, at, constant)))


class PlannedLooks:
    """Interval and p at a planned look: see the top of this file."""

    basis = Basis.LOOKS

    def __init__(self, looks: Looks) -> None:
        """Take the plan."""
        self._kind, self._at = looks.kind, looks.at

    def interval(self, differences: Differences, confidence: float) -> tuple[float, float] | None:
        """The repeated confidence interval: the t interval at the look's own level.

        Raises:
            ValueError: no look was planned after so many pairs.
        """
        level = boundary(self._kind, self._at, round(1 - confidence, 12))[self._at.index(len(differences))]
        return paired_t_interval(complete(differences), 1 - level)

    def p_value(self, differences: Differences) -> float | None:
        """The repeated p: below 1 - confidence exactly where the interval excludes 0."""
        sample = complete(differences)
        mean, sd = spread(sample)
        if mean is None:
            return None
        if not sd:
            return 1.0
        p_value = t_test_p(mean, sd, len(sample))
        return repeated_p(self._kind, self._at, self._at.index(len(differences)), p_value)

    def p_floor(self, num_pairs: int) -> float:
        """A t test has none; one pair has no t."""
        return 0.0 if num_pairs >= 2 else 1.0


def t_test_p(mean: float, sd: float, num_pairs: int) -> float:
    """Two-sided p of Student's paired t test, for an sd above 0."""
    return float(2 * special.stdtr(num_pairs - 1, -abs(mean) / sd * sqrt(num_pairs)))


def conditional_power(comparison: Comparison, looks: Looks) -> float | None:
    """Chance that the last look crosses its boundary if the true effect is what the pairs so far say.

    With B = Z sqrt(t) at time t and the drift that goes on as it was, the end is Normal(B / t, 1 - t) (Lan and Wittes
    1988, Biometrics 44, 579-585). The boundary is that of a single row: after correction for several, even less can be
    confirmed.

    Returns:
        `None` where the pairs give no interval.
    """
    if comparison.effect is None or not comparison.effect_sd:
        return None
    z = -special.ndtri(t_test_p(comparison.effect, comparison.effect_sd, comparison.num_pairs) / 2)
    return float(chance_at_the_end(z, comparison.num_planned_pairs, looks, comparison.level))


def chance_at_the_end(z: ArrayLike, num_pairs: int, looks: Looks, level: float) -> NDArray[np.float64]:
    """Conditional power of many rows at once, see `conditional_power`.

    Args:
        z: normal quantile of each row's two-sided p of the t test, not negative.
        num_pairs: pairs so far.
        looks: the plan.
        level: chance of a false alarm over all looks.
    """
    time, end = min(1.0, num_pairs / looks.at[-1]), _constant(looks.kind, looks.at, level)
    if time == 1:
        return np.asarray(np.asarray(z) >= end, dtype=np.float64)
    drift, sd = np.asarray(z) / sqrt(time), sqrt(1 - time)
    return np.asarray(special.ndtr((drift - end) / sd) + special.ndtr((-drift - end) / sd))


def is_futile(comparison: Comparison, looks: Looks) -> bool:
    """Whether the plan says to give up at this look."""
    if looks.futility is None:
        return False
    power = conditional_power(comparison, looks)
    return power is not None and power < looks.futility.conditional_power_below


def is_settled(comparison: Comparison, looks: Looks) -> bool:
    """Whether a look ends a comparison: an effect is confirmed, or none that matters, or the plan says to give up."""
    gives_up = looks.futility is not None and looks.futility.binding and is_futile(comparison, looks)
    return comparison.is_confirmed or comparison.verdict is Verdict.EQUIVALENT or gives_up


def _p_bounds(kind: BoundaryKind, at: tuple[int, ...], constant: float) -> tuple[float, ...]:
    heights = [constant if kind == "pocock" else constant / sqrt(num_pairs / at[-1]) for num_pairs in at]
    return tuple(max(_SMALLEST_P, float(2 * special.ndtr(-height))) for height in heights)


@cache
def _constant(kind: BoundaryKind, at: tuple[int, ...], level: float) -> float:
    """c: the boundary's height at which it is crossed with the chance `level`."""

    def excess(constant: float) -> float:
        return crossing_probability(at, _p_bounds(kind, at, constant)) - level

    # A single look has the level to itself; several, each with its share of it, cross less often (Bonferroni).
    low, high = (-float(special.ndtri(share / 2)) for share in (level, level / (2 * len(at))))
    return float(optimize.brentq(excess, low - 0.01, high + 0.01, xtol=1e-7))
