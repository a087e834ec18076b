"""The sign-flip test: equal to scipy's, its floor, its level by simulation, and ties."""

import itertools

import numpy as np
import pytest
from scipy import stats

from orchestrator.statistics.permutation import MAX_EXACT_PAIRS, sign_flip_floor, sign_flip_p


def scipys_p(differences):
    result = stats.permutation_test(
        (np.asarray(differences),), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    return result.pvalue


@pytest.mark.parametrize("num_pairs", [2, 3, 5, 6, 9, 12])
def test_equals_scipys_exact_test(num_pairs):
    rng = np.random.default_rng(num_pairs)
    for shift in (0.0, 0.5, 2.0):
        differences = rng.normal(shift, 1, num_pairs)
        assert sign_flip_p(differences) == pytest.approx(scipys_p(differences), rel=1e-12)


def test_ties_of_accuracies_count_as_reached():
    # Steps of 1/497, as on the digits' test split: many sign patterns tie with the observed one.
    rng = np.random.default_rng(0)
    for _ in range(50):
        steps = rng.integers(-4, 6, 8)
        differences = [(300 + step) / 497 * 100 - 300 / 497 * 100 for step in steps]
        by_hand = np.mean(
            [abs(np.dot(signs, steps)) >= abs(steps.sum()) for signs in itertools.product((-1, 1), repeat=8)]
        )
        assert sign_flip_p(differences) == by_hand


@pytest.mark.parametrize(("num_pairs", "floor"), [(1, 1.0), (3, 0.25), (5, 0.0625), (6, 0.03125), (10, 2 / 1024)])
def test_the_floor_is_what_the_largest_effect_gives(num_pairs, floor):
    assert sign_flip_floor(num_pairs) == floor
    assert sign_flip_p([100.0 + i for i in range(num_pairs)]) == floor


def test_few_and_equal_differences():
    assert sign_flip_p([]) is None
    assert sign_flip_p([3.0]) == 1.0
    assert sign_flip_p([0.0] * 6) == 1.0
    assert sign_flip_p([0.2] * 6) == 0.03125
    assert sign_flip_p([1.0, -1.0]) == 1.0


def test_sign_and_scale_do_not_matter():
    differences = np.random.default_rng(1).normal(0.4, 1, 10)
    assert sign_flip_p(differences) == sign_flip_p(-differences) == sign_flip_p(1e-6 * differences)


def test_false_positive_rate_is_at_most_the_level():
    rng, repetitions = np.random.default_rng(2), 3000
    for num_pairs in (6, 8):
        p_values = np.array([sign_flip_p(sample) for sample in rng.normal(0, 1, (repetitions, num_pairs))])
        # Exact test: the rate is the largest multiple of 2 / 2^n that is not above .05.
        nominal = np.floor(0.05 * 2 ** (num_pairs - 1)) / 2 ** (num_pairs - 1)
        rate = (p_values <= 0.05).mean()
        assert rate == pytest.approx(nominal, abs=3 * np.sqrt(nominal * (1 - nominal) / repetitions))


def test_a_planted_effect_is_found():
    rng = np.random.default_rng(3)
    p_values = np.array([sign_flip_p(sample) for sample in rng.normal(1.5, 1, (300, 10))])
    assert (p_values <= 0.05).mean() > 0.95


def test_monte_carlo_beyond_the_exact_range_is_close_repeatable_and_never_zero():
    rng = np.random.default_rng(4)
    differences = rng.normal(0.3, 1, MAX_EXACT_PAIRS + 1)
    p_value = sign_flip_p(differences)
    assert p_value == sign_flip_p(differences)
    normal_approximation = 2 * stats.norm.sf(abs(differences.sum()) / np.sqrt((differences**2).sum()))
    assert p_value == pytest.approx(normal_approximation, abs=0.01)
    assert sign_flip_p(rng.normal(10, 1, 100)) == 1 / 100_000
