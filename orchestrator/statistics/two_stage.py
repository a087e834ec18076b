"""Two stages: the first pairs of each row tell its sd, and the others go where it is large.

How many pairs a row gets depends on the sds of the first stage alone, never on an effect. Of normal differences, means
and sds are independent; so, given the first stage's sd s_0 of n_0 pairs and the n that follows from it,

    sqrt(n) (mean of all n - effect) / s_0    has Student's t distribution with n_0 - 1 degrees of freedom

exactly (Stein 1945, A two-sample test for a linear hypothesis whose power is independent of the variance, Annals of
Mathematical Statistics 16, 243-258). The sds of several rows may decide together: their means are independent of all.
The usual interval, with the sd of all n pairs, would be somewhat too narrow: a row whose first pairs happen to vary
little gets fewer.
"""

import heapq
from collections.abc import Sequence
from math import sqrt

from scipy import special

from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.comparison import Basis
from orchestrator.statistics.forecast import PowerForecast
from orchestrator.statistics.inference import Differences, complete
from orchestrator.statistics.interval import spread
from orchestrator.statistics.power import MAX_EFFECT_PER_SD, TARGET_POWER


def allocated(sds: Sequence[float | None], allocation: Allocation) -> list[int]:
    """Pairs of each row, so that the widest interval becomes as narrow as it can: n proportional to the variance.

    Args:
        sds: of each row's pairs of the first stage (`None` or 0: it gets no more pairs, unless all are so).
        allocation: how many pairs there are.
    """
    numbers = [allocation.first] * len(sds)
    # The widest first; where all are equally wide, the one with the fewest pairs.
    rows = [(-((sd or 0.0) ** 2) / allocation.first, allocation.first, row) for row, sd in enumerate(sds)]
    heapq.heapify(rows)
    for _ in range(allocation.total - allocation.first * len(sds)):
        _, number, row = rows[0]
        numbers[row] = number + 1
        heapq.heapreplace(rows, (-((sds[row] or 0.0) ** 2) / (number + 1), number + 1, row))
    return numbers


class TwoStages:
    """Interval and p of a row whose number of pairs follows from the sds of first pairs: see the top of this file."""

    basis = Basis.TWO_STAGES

    def __init__(self, first: int) -> None:
        """Take the pairs of the first stage."""
        self._first = first

    def interval(self, differences: Differences, confidence: float) -> tuple[float, float] | None:
        """Stein's interval; `None` where the first pairs have no sd."""
        found = self._standardised(differences)
        if found is None:
            return None
        mean, error, degrees = found
        half_width = float(special.stdtrit(degrees, (1 + confidence) / 2)) * error
        return mean - half_width, mean + half_width

    def p_value(self, differences: Differences) -> float | None:
        """Two-sided p of Stein's t."""
        if not complete(differences):
            return None
        found = self._standardised(differences)
        if found is None:
            return 1.0
        mean, error, degrees = found
        return float(2 * special.stdtr(degrees, -abs(mean) / error))

    def p_floor(self, num_pairs: int) -> float:
        """A t test has none; one pair has no t."""
        return 0.0 if num_pairs >= 2 else 1.0

    def _standardised(self, differences: Differences) -> tuple[float, float, int] | None:
        """Mean of all pairs, its standard error by the first stage's sd, degrees of freedom."""
        first, whole = complete(differences[: self._first]), complete(differences)
        sd = spread(first).sd
        if not sd:
            return None
        mean = spread(whole).mean
        assert mean is not None
        return mean, sd / sqrt(len(whole)), len(first) - 1


def at_two_stages(
    power: Sequence[PowerForecast], allocation: Allocation, confidence: float
) -> tuple[PowerForecast, ...]:
    """Forecasts of a fixed number of pairs in each row, with what Stein's interval makes of them."""
    return tuple(_forecast(each, allocation.first - 1, confidence) for each in power)


def _forecast(forecast: PowerForecast, degrees: int, confidence: float) -> PowerForecast:
    error = forecast.assumed_sd / sqrt(forecast.num_pairs)
    quantile = float(special.stdtrit(degrees, (1 + confidence) / 2))
    corrected = float(special.stdtrit(degrees, 1 - (1 - confidence) / 2 / forecast.num_comparisons))
    found = [_effect_found(degrees, critical) for critical in (quantile, corrected)]
    detectable, confirmable = (None if effect is None else effect * error for effect in found)
    return forecast.model_copy(
        update={
            "p_floor": 0.0,
            "half_width": quantile * error,
            "detectable_effect": detectable,
            "confirmable_effect": confirmable,
        }
    )


def _effect_found(degrees: int, critical: float) -> float | None:
    """Effect in standard errors that |t| finds in 80 % of repetitions; its square is a noncentral F."""
    low, high = 0.0, MAX_EFFECT_PER_SD
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        is_enough = 1 - float(special.ncfdtr(1, degrees, middle**2, critical**2)) >= TARGET_POWER
        low, high = (low, middle) if is_enough else (middle, high)
    return None if high >= MAX_EFFECT_PER_SD else high
