"""Power before spending: what so many pairs can show, and how many an effect needs.

Everything here assumes normal paired differences with a known-in-advance sd; it is a forecast, not a result.
"""

from collections.abc import Sequence

from scipy import special

from orchestrator.statistics.interval import half_width_of
from orchestrator.statistics.permutation import sign_flip_floor
from trainers.strict import StrictModel

TARGET_POWER = 0.8
MAX_PAIRS = 1_000_000
"""`pairs_needed` looks no further."""
_EFFECT_TOLERANCE = 1e-9
"""In sds of the paired difference."""


class PowerForecast(StrictModel):
    """What so many pairs can show, for an assumed sd of the paired difference."""

    num_pairs: int
    """Pairs per cell and treatment."""
    p_floor: float
    """Smallest sign-flip p that so many pairs can give: 2 / 2^n."""
    assumed_sd: float
    """Assumed sd of the paired difference, in the metric's unit (pp)."""
    half_width: float | None
    """Half-width of the paired t interval at that sd (`None`: one pair has no interval)."""
    detectable_effect: float | None
    """Smallest true effect that a paired t test finds in 80 % of all repetitions."""
    pairs_needed: tuple[int | None, ...] = ()
    """Pairs that find each expected effect in 80 % of all repetitions (`None`: not even a million)."""


def forecast_power(
    num_pairs: int,
    *,
    assumed_sds: Sequence[float] = (0.1, 0.3, 1.0),
    expected_effects: Sequence[float] = (),
    confidence: float,
) -> tuple[PowerForecast, ...]:
    """Forecast for each assumed sd.

    Args:
        num_pairs: pairs per cell and treatment.
        assumed_sds: sds of the paired difference, in the metric's unit.
        expected_effects: effects that one hopes to find, in the metric's unit.
        confidence: confidence of the interval; the test's level is 1 - confidence.
    """
    has_interval = num_pairs >= 2
    effect_per_sd = _detectable_effect_per_sd(num_pairs, confidence) if has_interval else None
    return tuple(
        PowerForecast(
            num_pairs=num_pairs,
            p_floor=sign_flip_floor(num_pairs),
            assumed_sd=sd,
            half_width=half_width_of(sd, num_pairs, confidence) if has_interval else None,
            detectable_effect=None if effect_per_sd is None else effect_per_sd * sd,
            pairs_needed=tuple(pairs_needed(effect, sd, confidence=confidence) for effect in expected_effects),
        )
        for sd in assumed_sds
    )


def paired_t_power(num_pairs: int, *, effect: float, sd: float, confidence: float = 0.95) -> float:
    """Chance that a two-sided paired t test rejects 0.

    The square of a noncentral t is a noncentral F with one degree of freedom above: one tail instead of two, and
    scipy's noncentral t is NaN in its far tail where this is not.

    Args:
        num_pairs: pairs, at least 2.
        effect: true mean difference.
        sd: true sd of the paired difference, above 0.
        confidence: 1 - level of the test.
    """
    degrees = num_pairs - 1
    noncentrality = num_pairs * (effect / sd) ** 2
    critical = float(special.stdtrit(degrees, (1 + confidence) / 2)) ** 2
    return 1.0 - float(special.ncfdtr(1, degrees, noncentrality, critical))


def pairs_needed(effect: float, sd: float, *, power: float = TARGET_POWER, confidence: float = 0.95) -> int | None:
    """Fewest pairs with which a paired t test finds an effect with the wanted power.

    Args:
        effect: true mean difference, not 0.
        sd: true sd of the paired difference, above 0, in the same unit.
        power: wanted chance to find it.
        confidence: 1 - level of the test.

    Returns:
        At least 2; `None` if a million pairs would not do.
    """

    def is_enough(num_pairs: int) -> bool:
        return paired_t_power(num_pairs, effect=effect, sd=sd, confidence=confidence) >= power

    high = 2
    while not is_enough(high):
        if high >= MAX_PAIRS:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:  # invariant: `low` pairs are too few (or 1), `high` are enough
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _detectable_effect_per_sd(num_pairs: int, confidence: float) -> float:
    """Smallest standardised effect with the target power, found by halving (power grows with the effect)."""

    def is_enough(effect: float) -> bool:
        return paired_t_power(num_pairs, effect=effect, sd=1.0, confidence=confidence) >= TARGET_POWER

    low, high = 0.0, 1.0
    while not is_enough(high):
        low, high = high, 2 * high
    while high - low > _EFFECT_TOLERANCE:
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
