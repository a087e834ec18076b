"""What pairing gained: how many unpaired runs the same answer would have taken."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from orchestrator.statistics.comparison import PairingGain
from orchestrator.statistics.interval import half_width_of, spread


def pairing_gain(controls: Sequence[float], treatments: Sequence[float], confidence: float) -> PairingGain | None:
    """Compare the variance of paired differences with that of a difference of two independent means.

    The ratio is (s_c^2 + s_t^2) / s_d^2, which is 1 / (1 - rho) where both arms vary alike: Snedecor and Cochran 1989
    (Statistical Methods, 8th edition), chapter 6. It compares standard errors. An unpaired interval has the larger
    number of degrees of freedom (2 m - 2 against n - 1), so with few pairs it is as narrow with somewhat fewer runs
    than that: the smallest m with t(2 m - 2) sqrt((s_c^2 + s_t^2) / m) <= t(n - 1) s_d / sqrt(n).

    Args:
        controls: the control's values over complete pairs.
        treatments: the treatment's, in the same order and unit.
        confidence: of the interval.

    Returns:
        `None` with fewer than three pairs (two always correlate by 1 or -1) or if all differences are equal.
    """
    num_pairs = len(controls)
    differences = [treatment - control for control, treatment in zip(controls, treatments, strict=True)]
    sd = spread(differences).sd
    if num_pairs < 3 or not sd:
        return None
    sd_control, sd_treatment = spread(controls).sd or 0.0, spread(treatments).sd or 0.0
    unpaired_variance = sd_control**2 + sd_treatment**2
    varies = sd_control > 0 and sd_treatment > 0
    return PairingGain(
        correlation=float(np.corrcoef(controls, treatments)[0, 1]) if varies else None,
        unpaired_ratio=unpaired_variance / sd**2,
        unpaired_runs=_runs_as_narrow(half_width_of(sd, num_pairs, confidence), unpaired_variance, confidence),
    )


def _runs_as_narrow(half_width: float, variance: float, confidence: float) -> int:
    """Fewest runs of each arm, found by doubling and halving: the interval narrows with every run."""

    def is_enough(num_runs: int) -> bool:
        quantile = float(special.stdtrit(2 * num_runs - 2, (1 + confidence) / 2))
        return quantile * math.sqrt(variance / num_runs) <= half_width

    low, high = 1, 2
    while not is_enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
