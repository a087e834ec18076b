"""What statsmodels says of the same numbers: a second oracle beside formulas and simulations."""

import math

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from orchestrator.statistics.comparison import Verdict
from orchestrator.statistics.holm import holm
from orchestrator.statistics.interval import paired_t_interval
from orchestrator.statistics.pooling import random_effects
from orchestrator.statistics.power import detectable_effect_per_sd, paired_t_power, pairs_needed
from orchestrator.statistics.verdict import judge

SEEDS = range(20)


@pytest.mark.parametrize("seed", range(8))
def test_holm(seed: int) -> None:
    random = np.random.default_rng(seed)
    p_values = random.beta(0.5, 2, size=random.integers(1, 40)).tolist()
    # Ties and certainties too.
    p_values += [p_values[0], 0.0, 1.0]
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected.tolist(), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_the_paired_interval(seed: int, confidence: float) -> None:
    differences = np.random.default_rng(seed).normal(0.4, 1.3, size=2 + seed)
    expected = DescrStatsW(differences).tconfint_mean(alpha=1 - confidence)
    assert paired_t_interval(differences.tolist(), confidence) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("num_pairs", [2, 3, 6, 20])
@pytest.mark.parametrize("effect_per_sd", [0.0, 0.1, 0.5, 1.3])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_power(num_pairs: int, effect_per_sd: float, confidence: float) -> None:
    expected = TTestPower().power(effect_per_sd, num_pairs, alpha=1 - confidence)
    found = paired_t_power(num_pairs, effect=3 * effect_per_sd, sd=3.0, confidence=confidence)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("effect_per_sd", [0.05, 0.2, 0.5, 0.8, 1.5])
def test_pairs_needed(effect_per_sd: float) -> None:
    exact = TTestPower().solve_power(effect_size=effect_per_sd, alpha=0.05, power=0.8)
    assert pairs_needed(effect_per_sd, 1.0) == math.ceil(exact)


@pytest.mark.parametrize("num_pairs", [3, 6, 12, 50])
def test_the_effect_that_so_many_pairs_find(num_pairs: int) -> None:
    expected = TTestPower().solve_power(nobs=num_pairs, alpha=0.05, power=0.8)
    assert detectable_effect_per_sd(num_pairs, 0.95) == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("ignore:invalid value encountered in sqrt:RuntimeWarning")
@pytest.mark.parametrize("seed", SEEDS)
def test_random_effects(seed: int) -> None:
    random = np.random.default_rng(seed)
    num_cells = 2 + seed % 9
    variances = random.gamma(2.0, 0.3, size=num_cells)
    effects = random.normal(0.5, 2.0 * (seed % 3), size=num_cells) + random.normal(0, np.sqrt(variances))
    found = random_effects(effects.tolist(), variances.tolist())
    theirs = combine_effects(effects, variances, method_re="dl", use_t=True)
    # Theirs leaves a variance between cells negative, where ours is 0: the fixed-effect mean is right then.
    kind = "re" if theirs.tau2 > 0 else "fe"
    mean, own, hksj = (
        getattr(theirs, f"{name}_{kind}{end}")
        for name, end in (("mean_effect", ""), ("sd_eff_w", ""), ("sd_eff_w", "_hksj"))
    )
    assert found.mean == pytest.approx(mean, rel=1e-9)
    assert found.tau**2 == pytest.approx(max(0.0, theirs.tau2), abs=1e-9)
    # Theirs has no floor: q at least 1 is ours, after Knapp and Hartung 2003.
    assert found.standard_error == pytest.approx(max(hksj, own), rel=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_equivalence_is_two_one_sided_tests(seed: int) -> None:
    random = np.random.default_rng(seed)
    control = random.normal(size=8)
    treatment = control + random.normal(0.05, 0.25, size=8)
    margin = 0.05 + 0.01 * seed
    interval = paired_t_interval((treatment - control).tolist(), 0.95)
    said = judge(interval, p_holm=1.0, level=0.05, equivalence_margin=margin, higher_is_better=True)
    p, _, _ = ttost_paired(treatment, control, -margin, margin)
    holds_zero = interval[0] <= 0 <= interval[1]
    # Each side at half the level, because the reader sees the 95 % interval.
    assert (said is Verdict.EQUIVALENT) == (holds_zero and p < 0.025)


def test_both_answers_of_the_equivalence_test_are_asked_for() -> None:
    """The seeds above give both, or that test could not fail."""
    sides = set()
    for seed in range(60):
        random = np.random.default_rng(seed)
        control = random.normal(size=8)
        treatment = control + random.normal(0.05, 0.25, size=8)
        sides.add(bool(ttost_paired(treatment, control, -0.05 - 0.01 * seed, 0.05 + 0.01 * seed)[0] < 0.025))
    assert sides == {True, False}
