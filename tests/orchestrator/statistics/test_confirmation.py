"""What so many pairs confirm after correction: against the whole pipeline of comparisons, simulated."""

import numpy as np
import pytest
from scipy import stats

from orchestrator.statistics.confirmation import (
    confirmable_effect_per_sd,
    confirmation_power,
    pairs_to_confirm,
)
from orchestrator.statistics.forecast import forecast_power
from orchestrator.statistics.holm import holm
from orchestrator.statistics.permutation import sign_flip_p
from orchestrator.statistics.power import detectable_effect_per_sd


def confirmed_share(num_pairs, effect, num_comparisons, *, repetitions, seed=5):
    """One comparison with an effect among others without, through the same p and correction as a report."""
    rng, found = np.random.default_rng(seed), 0
    for _ in range(repetitions):
        samples = rng.standard_normal((num_comparisons, num_pairs))
        samples[0] += effect
        corrected = holm([sign_flip_p(sample) for sample in samples])
        low = stats.ttest_1samp(samples[0], 0).confidence_interval(0.95).low
        found += corrected[0] < 0.05 and low > 0
    return found / repetitions


@pytest.mark.parametrize(
    ("num_pairs", "num_comparisons"), [(6, 1), (7, 1), (7, 2), (8, 4), (12, 12), (13, 2), (13, 36), (14, 200), (16, 12)]
)
def test_the_forecast_is_what_a_report_confirms(num_pairs, num_comparisons):
    effect = confirmable_effect_per_sd(num_pairs, num_comparisons=num_comparisons, confidence=0.95)
    repetitions = 300 if num_comparisons > 12 else 600
    found = confirmed_share(num_pairs, effect, num_comparisons, repetitions=repetitions)
    # Three points for the forecast's own draws or its t test; three standard errors for this simulation.
    assert found == pytest.approx(0.8, abs=0.03 + 3 * np.sqrt(0.16 / repetitions))


def test_what_the_interval_promises_is_confirmed_less_often():
    """At 7 pairs and 2 rows, the effect whose interval excludes 0 in 80 % is confirmed in about half."""
    effect = detectable_effect_per_sd(7, 0.95)
    assert 0.4 < confirmation_power(7, effect, 2, 0.95) < 0.65
    assert confirmable_effect_per_sd(7, num_comparisons=2, confidence=0.95) > 1.1 * effect


@pytest.mark.parametrize(
    ("num_pairs", "num_comparisons", "can"), [(5, 1, False), (6, 1, True), (6, 2, False), (7, 3, True), (7, 4, False)]
)
def test_so_few_pairs_confirm_nothing(num_pairs, num_comparisons, can):
    effect = confirmable_effect_per_sd(num_pairs, num_comparisons=num_comparisons, confidence=0.95)
    assert (effect is not None) == can


def test_all_of_six_signs_must_agree():
    """Six pairs, one row: confirmed means six differences of one sign, whose chance is known."""
    effect = confirmable_effect_per_sd(6, num_comparisons=1, confidence=0.95)
    assert stats.norm.cdf(effect) ** 6 == pytest.approx(0.8, abs=0.02)


def test_pairs_to_confirm_are_the_first_that_do():
    # Never below six; the paper's effects at sd .1: the interval alone would need 6 and 3.
    assert [pairs_to_confirm(effect, 0.1, num_comparisons=1, confidence=0.95) for effect in (0.157, 0.362)] == [7, 6]
    assert pairs_to_confirm(0.362, 0.1, num_comparisons=4, confidence=0.95) == 8
    assert pairs_to_confirm(1e-6, 1.0, num_comparisons=1, confidence=0.95) is None
    many = pairs_to_confirm(0.362, 0.35, num_comparisons=4, confidence=0.95)
    assert 12 < many < 24
    assert confirmed_share(many, 0.362 / 0.35, 4, repetitions=300) == pytest.approx(0.8, abs=0.02 + 3 * 0.023)


def test_a_confidence_beyond_all_effects_is_no_endless_search():
    (forecast,) = forecast_power(2, assumed_sds=(0.3,), confidence=0.99999999, expected_effects=(0.3,))
    assert (forecast.detectable_effect, forecast.confirmable_effect) == (None, None)


def test_a_plan_tells_both():
    (forecast,) = forecast_power(7, num_comparisons=4, assumed_sds=(0.3,), confidence=0.95, expected_effects=(0.362,))
    assert forecast.confirmable_effect is None
    assert forecast.pairs_needed == (8,)
    assert forecast.pairs_to_confirm[0] > 8
