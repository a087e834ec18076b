"""Holm's correction: a worked example, its order, and the family-wise level by simulation."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.statistics.holm import holm


def test_a_worked_example():
    # 4 x .005, 3 x .01, 2 x .03, then never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_comparison_is_not_corrected():
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_what_has_no_p_yet_still_counts():
    assert holm([0.01, None, None]) == [0.03, None, None]


@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(0, 1), max_size=8))
def test_never_below_raw_never_above_bonferroni_and_in_the_same_order(p_values):
    corrected = holm(p_values)
    for raw, p in zip(p_values, corrected, strict=True):
        assert raw <= p <= min(1.0, raw * len(p_values))
    by_raw = [p for _, p in sorted(zip(p_values, corrected, strict=True))]
    assert by_raw == sorted(by_raw)


def test_family_wise_error_rate():
    rng, repetitions = np.random.default_rng(0), 4000
    alarms = [min(holm(list(p_values))) <= 0.05 for p_values in rng.uniform(size=(repetitions, 5))]
    assert np.mean(alarms) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)
