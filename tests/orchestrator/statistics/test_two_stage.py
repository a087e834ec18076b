"""Pairs where the sd is large: who gets them, and that the intervals hold what they promise."""

import numpy as np
import pytest
from scipy import stats

from orchestrator.statistics.allocation_plan import AllocatedSeeds, Allocation, allocation_of
from orchestrator.statistics.comparison import Basis
from orchestrator.statistics.forecast import forecast_power
from orchestrator.statistics.two_stage import TwoStages, allocated, at_two_stages


def test_every_pair_goes_to_the_row_whose_mean_is_least_known():
    plan = Allocation(total=60, first=7)
    assert allocated([1.0, 1.0, 1.0, 1.0], plan) == [15, 15, 15, 15]
    numbers = allocated([1.0, 1.0, 1.0, 3.0], plan)
    assert numbers == [7, 7, 7, 39]
    numbers = allocated([2.0, 4.0], Allocation(total=50, first=5))
    assert numbers == [10, 40]
    assert allocated([2.0, 0.0, None], Allocation(total=20, first=4)) == [12, 4, 4]
    assert allocated([None, 0.0], Allocation(total=20, first=4)) == [10, 10]
    assert allocated([1.0, 2.0], Allocation(total=8, first=4)) == [4, 4]


def test_no_other_sharing_has_a_narrower_widest_interval():
    rng = np.random.default_rng(1)
    for _ in range(20):
        sds = rng.uniform(0.2, 3.0, 3)
        plan = Allocation(total=24, first=3)
        widest = max(sd / np.sqrt(number) for sd, number in zip(sds, allocated(list(sds), plan), strict=True))
        others = [
            max(sds[0] / np.sqrt(a), sds[1] / np.sqrt(b), sds[2] / np.sqrt(24 - a - b))
            for a in range(3, 19)
            for b in range(3, 22 - a)
        ]
        assert widest == pytest.approx(min(others))


def test_the_interval_is_steins():
    differences = [1.0, 3.0, 2.0, 5.0, 4.0, 9.0]
    two_stages = TwoStages(4)
    sd, mean = np.std(differences[:4], ddof=1), np.mean(differences)
    half_width = stats.t.ppf(0.975, 3) * sd / np.sqrt(6)
    assert two_stages.interval(differences, 0.95) == pytest.approx((mean - half_width, mean + half_width))
    assert two_stages.p_value(differences) == pytest.approx(2 * stats.t.sf(mean / (sd / np.sqrt(6)), 3))
    assert two_stages.basis is Basis.TWO_STAGES
    # With a pair missing among the first, the others tell the sd.
    assert two_stages.interval([None, *differences], 0.95) != two_stages.interval(differences, 0.95)
    assert two_stages.interval([1.0, 1.0, 1.0, 1.0, 7.0], 0.95) is None
    assert two_stages.p_value([1.0, 1.0, 1.0, 1.0, 7.0]) == 1.0
    assert two_stages.p_value([None, None]) is None


def test_without_a_second_stage_it_is_the_usual_t():
    sample = [0.3, -0.2, 0.9, 1.4, 0.1]
    assert TwoStages(5).p_value(sample) == pytest.approx(stats.ttest_1samp(sample, 0.0).pvalue)


def test_it_covers_what_it_promises_where_the_usual_interval_does_not():
    """Of 4,000 rows: two standard errors are 0.7 points. Rows share their seeds, and one varies three times as much."""
    rng, plan = np.random.default_rng(5), Allocation(total=18, first=4)
    covered = np.zeros(2)
    for _ in range(2000):
        sample = np.array([1.0, 1.5])[:, None] * (rng.standard_normal(14) + rng.standard_normal((2, 14)))
        numbers = allocated([float(each[:4].std(ddof=1)) for each in sample], plan)
        for row, number in zip(sample, numbers, strict=True):
            low, high = TwoStages(4).interval(list(row[:number]), 0.95)
            covered += (low <= 0 <= high, stats.ttest_1samp(row[:number], 0.0).pvalue >= 0.05)
    stein, usual = covered / 4000
    assert stein == pytest.approx(0.95, abs=0.011)
    assert usual < stein - 0.01


def test_the_plan_forecasts_steins_interval():
    plan = Allocation(total=40, first=5)
    power = forecast_power(10, num_comparisons=4, assumed_sds=(2.0,), confidence=0.95)
    (forecast,) = at_two_stages(power, plan, 0.95)
    assert forecast.half_width == pytest.approx(stats.t.ppf(0.975, 4) * 2.0 / np.sqrt(10))
    rng = np.random.default_rng(3)
    sample = rng.normal(forecast.detectable_effect, 2.0, (20_000, 10))
    t = np.abs(sample.mean(axis=1)) / (sample[:, :5].std(axis=1, ddof=1) / np.sqrt(10))
    assert (t > stats.t.ppf(0.975, 4)).mean() == pytest.approx(0.8, abs=0.01)
    assert forecast.confirmable_effect > forecast.detectable_effect
    assert forecast.p_floor == 0.0


def test_the_first_stage_is_half_of_an_equal_share():
    assert allocation_of(AllocatedSeeds(total=60, allocate="by_variance"), 4) == Allocation(total=60, first=7)
    assert allocation_of(AllocatedSeeds(total=24, allocate="by_variance"), 4).first == 5
    assert allocation_of(AllocatedSeeds(total=17, allocate="by_variance"), 4).first == 4
    # So that a pair is left.
    assert allocation_of(AllocatedSeeds(total=16, allocate="by_variance"), 4).first == 3
    with pytest.raises(ValueError, match="4 rows of 3 pairs in the first stage are 12, more than the 10 in all"):
        allocation_of(AllocatedSeeds(total=10, allocate="by_variance"), 4)
