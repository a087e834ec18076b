"""Power: the figures of the design page, and the formula against simulation."""

import numpy as np
import pytest
from scipy import stats

from orchestrator.statistics.forecast import forecast_power
from orchestrator.statistics.power import paired_t_power, pairs_needed


@pytest.mark.parametrize(("effect", "expected"), [(0.157, [6, 15, 31]), (0.362, [3, 5, 8])])
def test_pairs_for_the_papers_effects(effect, expected):
    """SCIENCE.md section 4: pairs for 80 % power at sd .1, .2, .3."""
    assert [pairs_needed(effect, sd) for sd in (0.1, 0.2, 0.3)] == expected


def test_pairs_needed_is_the_first_number_that_is_enough():
    for effect, sd in ((0.157, 0.3), (0.362, 0.1), (-0.2, 0.5)):
        needed = pairs_needed(effect, sd)
        assert paired_t_power(needed, effect=effect, sd=sd) >= 0.8
        assert paired_t_power(needed - 1, effect=effect, sd=sd) < 0.8


def test_pairs_needed_at_the_edges():
    assert pairs_needed(1000, 1) == 2
    assert pairs_needed(1e-5, 1) is None
    assert pairs_needed(0.01, 1) == pytest.approx((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 * 1e4, rel=1e-3)


def test_power_equals_the_noncentral_t_formula():
    critical = stats.t.ppf(0.975, 5)
    shift = 0.3 / 0.2 * 6**0.5
    expected = stats.nct.sf(critical, 5, shift) + stats.nct.cdf(-critical, 5, shift)
    assert paired_t_power(6, effect=0.3, sd=0.2) == pytest.approx(expected, rel=1e-9)


def test_power_equals_the_share_of_simulated_rejections():
    rng, repetitions = np.random.default_rng(0), 20_000
    samples = rng.normal(0.362, 0.3, (repetitions, 8))
    found = (stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean()
    power = paired_t_power(8, effect=0.362, sd=0.3)
    assert found == pytest.approx(power, abs=3 * np.sqrt(power * (1 - power) / repetitions))


def test_forecast_of_the_design_page():
    for num_pairs, floor, half_width in ((3, 0.25, 0.745), (5, 0.0625, 0.372), (6, 0.03125, 0.315), (10, 2**-9, 0.215)):
        (forecast,) = forecast_power(num_pairs, assumed_sds=(0.3,), confidence=0.95)
        assert forecast.p_floor == floor
        assert forecast.half_width == pytest.approx(half_width, abs=0.0006)


@pytest.mark.parametrize("num_pairs", [2, 3, 6, 100, 10_000])
def test_the_detectable_effect_has_eighty_percent_power(num_pairs):
    for forecast in forecast_power(num_pairs, confidence=0.95):
        power = paired_t_power(num_pairs, effect=forecast.detectable_effect, sd=forecast.assumed_sd)
        assert power == pytest.approx(0.8, abs=1e-6)


def test_one_pair_shows_nothing():
    (forecast,) = forecast_power(1, assumed_sds=(0.3,), confidence=0.95)
    assert (forecast.p_floor, forecast.half_width, forecast.detectable_effect) == (1.0, None, None)


def test_winners_curse():
    """SCIENCE.md section 4: the best of 8 sigmas without any effect shows +.083 pp at sd .1 and 3 seeds."""
    means = np.random.default_rng(0).normal(0, 0.1, (40_000, 8, 3)).mean(axis=2)
    assert means.max(axis=1).mean() == pytest.approx(0.083, abs=0.0015)
