"""Before anything is spent: what planned looks ask for, and how many pairs they take."""

from collections.abc import Sequence
from functools import cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from orchestrator.statistics.forecast import PowerForecast
from orchestrator.statistics.interval import half_width_of
from orchestrator.statistics.look_plan import Looks, LooksForecast, PlannedLook
from orchestrator.statistics.looks import boundary
from orchestrator.statistics.power import TARGET_POWER

_REPETITIONS = 4000
_SEED = 20_230_524


def forecast_looks(looks: Looks, *, num_pairs: int, num_comparisons: int, confidence: float) -> LooksForecast:
    """Simulate the plan.

    Args:
        looks: the plan.
        num_pairs: pairs that the seeds allow; one of the looks.
        num_comparisons: rows that p is corrected for.
        confidence: 1 - level.
    """
    level = round(1 - confidence, 12)
    single = boundary(looks.kind, looks.at, level)
    corrected = boundary(looks.kind, looks.at, level / num_comparisons)
    reached = [place for place, count in enumerate(looks.at) if count <= num_pairs]
    at = tuple(looks.at[place] for place in reached)
    bounds = tuple(corrected[place] for place in reached)
    effect = _effect_found(at, bounds)
    return LooksForecast(
        kind=looks.kind,
        looks=tuple(
            PlannedLook(num_pairs=looks.at[place], p_bound=single[place], p_bound_corrected=corrected[place])
            for place in reached
        ),
        confirmable_effect_per_sd=effect,
        mean_pairs_with_effect=_simulated(at, bounds, effect)[1],
        mean_pairs_without_effect=_simulated(at, bounds, 0.0)[1],
    )


def at_looks(power: Sequence[PowerForecast], looks: LooksForecast) -> tuple[PowerForecast, ...]:
    """Forecasts of a fixed number of pairs, with what planned looks make of them: interval, floor, smallest effects."""
    last, uncorrected = looks.looks[-1], tuple(look.p_bound for look in looks.looks)
    detectable = _effect_found(tuple(look.num_pairs for look in looks.looks), uncorrected)
    return tuple(
        forecast.model_copy(
            update={
                "p_floor": 0.0,
                "half_width": half_width_of(forecast.assumed_sd, last.num_pairs, 1 - last.p_bound),
                "detectable_effect": detectable * forecast.assumed_sd,
                "confirmable_effect": looks.confirmable_effect_per_sd * forecast.assumed_sd,
            }
        )
        for forecast in power
    )


def _effect_found(at: tuple[int, ...], p_bounds: tuple[float, ...]) -> float:
    """Smallest effect per sd that some look finds in 80 % of all repetitions."""
    low, high = 0.0, 1.0
    while _simulated(at, p_bounds, high)[0] < TARGET_POWER:
        low, high = high, 2 * high
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _simulated(at, p_bounds, middle)[0] >= TARGET_POWER else (middle, high)
    return high


@cache
def _simulated(at: tuple[int, ...], p_bounds: tuple[float, ...], effect: float) -> tuple[float, float]:
    """Share of repetitions that find an effect, and the pairs that they take on average; the sd is 1."""
    sample = _draws(at[-1]) + effect
    is_open = np.ones(len(sample), dtype=bool)
    pairs = np.zeros(len(sample))
    for num_pairs, p_bound in zip(at, p_bounds, strict=True):
        pairs[is_open] = num_pairs
        part = sample[:, :num_pairs]
        t = part.mean(axis=1) / part.std(axis=1, ddof=1) * sqrt(num_pairs)
        is_open &= np.abs(t) < -float(special.stdtrit(num_pairs - 1, p_bound / 2))
    return float((~is_open).mean()), float(pairs.mean())


@cache
def _draws(num_pairs: int) -> NDArray[np.float64]:
    return np.random.default_rng(_SEED).standard_normal((_REPETITIONS, num_pairs))
