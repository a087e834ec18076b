"""What pairing gained: against the demo's own pairs, scipy's unpaired t interval, and simulation."""

import numpy as np
import pytest
from scipy import stats

from orchestrator.statistics.pairing_gain import pairing_gain

CONTROL = [44.5, 56.7, 46.5, 43.7, 44.9, 45.1, 45.9]
GAUSSIAN = [48.7, 59.2, 51.5, 49.3, 58.4, 53.3, 59.2]
PLACEBO = [44.5, 54.3, 45.1, 44.9, 48.9, 47.5, 46.3]
"""Of `make demo`, as README shows them."""


@pytest.mark.parametrize(("treatment", "correlation", "ratio"), [(GAUSSIAN, 0.54, 2.2), (PLACEBO, 0.88, 6.7)])
def test_the_pairs_of_the_demo(treatment, correlation, ratio):
    gain = pairing_gain(CONTROL, treatment, 0.95)
    assert gain.correlation == pytest.approx(correlation, abs=0.005)
    assert gain.correlation == pytest.approx(stats.pearsonr(CONTROL, treatment).statistic)
    assert gain.unpaired_ratio == pytest.approx(ratio, abs=0.05)
    assert gain.is_gain


def with_spread(num, sd):
    """So many values with exactly this standard deviation."""
    values = np.random.default_rng(0).standard_normal(num)
    return (values - values.mean()) / values.std(ddof=1) * sd


def test_so_many_unpaired_runs_have_as_narrow_an_interval_and_one_less_has_not():
    gain = pairing_gain(CONTROL, GAUSSIAN, 0.95)
    paired = stats.ttest_rel(GAUSSIAN, CONTROL).confidence_interval(0.95)

    def unpaired_width(num_runs):
        arms = [with_spread(num_runs, np.std(values, ddof=1)) for values in (GAUSSIAN, CONTROL)]
        interval = stats.ttest_ind(*arms).confidence_interval(0.95)
        return interval.high - interval.low

    assert unpaired_width(gain.unpaired_runs) <= paired.high - paired.low < unpaired_width(gain.unpaired_runs - 1)


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_one_over_one_minus_rho_where_both_arms_vary_alike(rho):
    rng = np.random.default_rng(2)
    control, own = rng.standard_normal((2, 20_000))
    treatment = rho * control + np.sqrt(1 - rho**2) * own
    gain = pairing_gain(list(control), list(treatment), 0.95)
    assert gain.unpaired_ratio == pytest.approx(1 / (1 - rho), rel=0.03)
    assert gain.is_gain == (rho > 0.1)
    # So many runs that the degrees of freedom no longer matter.
    assert gain.unpaired_runs == pytest.approx(20_000 * gain.unpaired_ratio, rel=0.001)


def test_where_there_is_nothing_to_tell():
    assert pairing_gain([1.0, 2.0], [2.0, 4.0], 0.95) is None
    assert pairing_gain([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], 0.95) is None
    constant = pairing_gain([1.0, 1.0, 1.0], [2.0, 3.0, 5.0], 0.95)
    assert (constant.correlation, constant.unpaired_ratio, constant.is_gain) == (None, pytest.approx(1.0), False)
