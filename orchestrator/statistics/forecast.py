"""Before anything is spent: what so many pairs can show, for assumed sds of a pair's difference."""

from collections.abc import Sequence

from orchestrator.statistics.confirmation import confirmable_effect_per_sd, pairs_to_confirm
from orchestrator.statistics.interval import half_width_of
from orchestrator.statistics.permutation import sign_flip_floor
from orchestrator.statistics.power import detectable_effect_per_sd, pairs_needed
from trainers.strict import StrictModel


class PowerForecast(StrictModel):
    """What so many pairs can show, for an assumed sd of the paired difference."""

    num_pairs: int
    """Pairs per cell and treatment."""
    num_comparisons: int
    """Rows of the table, which p is corrected for."""
    p_floor: float
    """Smallest sign-flip p that so many pairs can give: 2 / 2^n."""
    assumed_sd: float
    """Assumed sd of the paired difference, in the metric's unit (pp)."""
    half_width: float | None
    """Half-width of the paired t interval at that sd (`None`: one pair has no interval)."""
    detectable_effect: float | None
    """Smallest true effect whose interval excludes 0 in 80 % of all repetitions."""
    confirmable_effect: float | None
    """Smallest true effect that is called `improved` or `worse` in 80 % of all repetitions, after correction for all
    rows (`None`: with so few pairs, none is)."""
    pairs_needed: tuple[int | None, ...] = ()
    """Pairs whose interval excludes 0 in 80 % of all repetitions, for each expected effect (`None`: not even a
    million)."""
    pairs_to_confirm: tuple[int | None, ...] = ()
    """Pairs that confirm each expected effect in 80 % of all repetitions, after correction for all rows."""


def forecast_power(
    num_pairs: int,
    *,
    num_comparisons: int = 1,
    assumed_sds: Sequence[float] = (0.1, 0.3, 1.0),
    expected_effects: Sequence[float] = (),
    confidence: float,
) -> tuple[PowerForecast, ...]:
    """Forecast for each assumed sd.

    Args:
        num_pairs: pairs per cell and treatment.
        num_comparisons: cells x treatments.
        assumed_sds: sds of the paired difference, in the metric's unit.
        expected_effects: effects that one hopes to find, in the metric's unit.
        confidence: confidence of the interval; the level of both tests is 1 - confidence.
    """
    has_interval = num_pairs >= 2
    detectable = detectable_effect_per_sd(num_pairs, confidence) if has_interval else None
    confirmable = confirmable_effect_per_sd(num_pairs, num_comparisons=num_comparisons, confidence=confidence)
    return tuple(
        PowerForecast(
            num_pairs=num_pairs,
            num_comparisons=num_comparisons,
            p_floor=sign_flip_floor(num_pairs),
            assumed_sd=sd,
            half_width=half_width_of(sd, num_pairs, confidence) if has_interval else None,
            detectable_effect=None if detectable is None else detectable * sd,
            confirmable_effect=None if confirmable is None else confirmable * sd,
            pairs_needed=tuple(pairs_needed(effect, sd, confidence=confidence) for effect in expected_effects),
            pairs_to_confirm=tuple(
                pairs_to_confirm(effect, sd, num_comparisons=num_comparisons, confidence=confidence)
                for effect in expected_effects
            ),
        )
        for sd in assumed_sds
    )
