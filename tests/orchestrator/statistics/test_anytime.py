"""The any-time interval: the ratio that it is made of, and what it is right about after every pair."""

import numpy as np
import pytest
from scipy import integrate, stats

from orchestrator.statistics.anytime import anytime_floor, anytime_interval, anytime_p, log_e_value
from orchestrator.statistics.interval import paired_t_interval

NUM_LOOKS = 30


@pytest.mark.parametrize(("t", "num_pairs"), [(0.0, 2), (1.3, 2), (-2.2, 5), (4.0, 12), (0.4, 30)])
def test_e_is_the_ratio_of_the_densities_of_t_with_and_without_an_effect(t, num_pairs):
    """All that n pairs tell, whatever their scale, is t; under the alternative, effect / sd is Normal(0, 1)."""
    degrees = num_pairs - 1
    with_effect, _ = integrate.quad(
        lambda effect: stats.nct.pdf(t, degrees, np.sqrt(num_pairs) * effect) * stats.norm.pdf(effect), -8, 8
    )
    assert np.exp(log_e_value(t, num_pairs)) == pytest.approx(with_effect / stats.t.pdf(t, degrees), rel=1e-6)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_interval_holds_what_its_p_does_not_reject(confidence):
    sample = np.random.default_rng(3).normal(0.4, 1.0, 9)
    low, high = anytime_interval(sample, confidence)
    for end in (low, high):
        assert anytime_p(sample - end) == pytest.approx(1 - confidence, rel=1e-9)
    assert anytime_p(sample - (low - 0.01)) < 1 - confidence < anytime_p(sample - (low + 0.01))


def looks(effect: float, repetitions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard errors of the first 2, 3, ... pairs: two arrays [repetitions, looks]; sd 1."""
    sample = np.random.default_rng(seed).normal(effect, 1.0, (repetitions, NUM_LOOKS))
    counts = np.arange(1, NUM_LOOKS + 1)
    means = sample.cumsum(axis=1) / counts
    variances = ((sample**2).cumsum(axis=1) - counts * means**2) / np.maximum(1, counts - 1)
    return means[:, 1:], np.sqrt(np.maximum(0, variances) / counts)[:, 1:]


def critical_values(interval) -> np.ndarray:
    """By how many standard errors each look's interval reaches from its mean: sample -> interval says it."""
    found = []
    for count in range(2, NUM_LOOKS + 1):
        sample = np.random.default_rng(count).standard_normal(count)
        low, high = interval(sample)
        found.append((high - low) / 2 / (sample.std(ddof=1) / np.sqrt(count)))
    return np.array(found)


def share_ever_missed(interval, true_effect: float, repetitions: int = 20_000) -> float:
    means, errors = looks(true_effect, repetitions, seed=1)
    return float((np.abs(means - true_effect) > critical_values(interval) * errors).any(axis=1).mean())


def test_who_looks_after_every_pair_is_misled_in_less_than_five_percent():
    """The t interval misleads a third of them; the any-time one 2 %, whatever the truth is."""
    assert share_ever_missed(lambda sample: paired_t_interval(sample, 0.95), 0.0) > 0.25
    for true_effect in (0.0, 1.5):
        missed = share_ever_missed(lambda sample: anytime_interval(sample, 0.95), true_effect)
        assert 0.01 < missed < 0.03


def test_a_large_effect_is_found_soon():
    """d = 1.5: nine pairs, on average, where each look is taken."""
    means, errors = looks(1.5, 4000, seed=2)
    crossed = np.abs(means) > critical_values(lambda sample: anytime_interval(sample, 0.95)) * errors
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 2, NUM_LOOKS)
    assert first.mean() == pytest.approx(8.6, abs=0.3)


def test_few_pairs_exclude_nothing_at_all():
    assert [anytime_floor(count) < 0.05 for count in (1, 2, 3, 4, 5, 6)] == [False] * 4 + [True] * 2
    assert anytime_interval([0.1, 0.2, 0.3, 0.1], 0.95) == (-np.inf, np.inf)
    assert anytime_p([1e6, 1e6 + 1, 1e6, 1e6 + 1, 1e6]) == pytest.approx(anytime_floor(5), rel=1e-6)


def test_nothing_is_said_without_a_spread():
    assert anytime_interval([], 0.95) is None
    assert anytime_interval([1.0], 0.95) is None
    assert anytime_interval([0.2] * 12, 0.95) is None
    assert anytime_p([]) is None
    assert anytime_p([1.0]) == anytime_p([0.2] * 12) == 1.0
