"""Power of the paired t test: how often it finds an effect, and how many pairs an effect needs.

Everything here assumes normal paired differences with a known-in-advance sd; it is a forecast, not a result.
"""

from scipy import special

TARGET_POWER = 0.8
MAX_EFFECT_PER_SD = 1024.0
"""Far above any effect that needs statistics."""
MAX_PAIRS = 1_000_000
"""`pairs_needed` looks no further."""
_EFFECT_TOLERANCE = 1e-9
"""In sds of the paired difference."""


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


def detectable_effect_per_sd(num_pairs: int, confidence: float) -> float | None:
    """Smallest standardised effect with the target power, found by halving (power grows with the effect).

    `None` above `MAX_EFFECT_PER_SD`: two pairs and a confidence of 0.999999 would ask for a million sds.
    """

    def is_enough(effect: float) -> bool:
        return paired_t_power(num_pairs, effect=effect, sd=1.0, confidence=confidence) >= TARGET_POWER

    low, high = 0.0, 1.0
    while not is_enough(high):
        if high >= MAX_EFFECT_PER_SD:
            return None
        low, high = high, 2 * high
    while high - low > _EFFECT_TOLERANCE:
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
