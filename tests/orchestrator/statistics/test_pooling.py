"""Pooling over cells: a published meta-analysis, and coverage by simulation."""

import numpy as np
import pytest
from scipy import stats

from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Basis, Cell
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.pooling import between_cells_sd, pool_effects, random_effects
from orchestrator.status import TrialStatus

# BCG vaccine trials (Colditz et al. 1994): treated ill, treated well, control ill, control well.
BCG = np.array(
    [
        (4, 119, 11, 128),
        (6, 300, 29, 274),
        (3, 228, 11, 209),
        (62, 13536, 248, 12619),
        (33, 5036, 47, 5761),
        (180, 1361, 372, 1079),
        (8, 2537, 10, 619),
        (505, 87886, 499, 87892),
        (29, 7470, 45, 7232),
        (17, 1699, 65, 1600),
        (186, 50448, 141, 27197),
        (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    dtype=float,
)


def test_the_bcg_meta_analysis():
    """Log risk ratios; DerSimonian and Laird's published tau^2 = .3088 and mean -.7141."""
    ill, well, control_ill, control_well = BCG.T
    treated, control = ill + well, control_ill + control_well
    effects = np.log(ill / treated) - np.log(control_ill / control)
    variances = 1 / ill - 1 / treated + 1 / control_ill - 1 / control
    pooled = random_effects(effects, variances)
    assert pooled.mean == pytest.approx(-0.7141, abs=5e-5)
    assert pooled.tau**2 == pytest.approx(0.3088, abs=5e-5)
    # Hartung and Knapp's factor, written independently of the code.
    weights = 1 / (variances + pooled.tau**2)
    factor = max(1.0, (weights * (effects - pooled.mean) ** 2).sum() / 12)
    assert pooled.standard_error == pytest.approx(0.1787 * np.sqrt(factor), abs=5e-5)


def test_agreement_by_chance_does_not_narrow_the_interval():
    pooled = random_effects([1.0, 1.0, 1.0], [0.04, 0.04, 0.04])
    assert pooled.tau == 0
    assert pooled.standard_error == pytest.approx(np.sqrt(0.04 / 3))


@pytest.mark.parametrize("tau", [0.0, 0.2, 1.0])
def test_coverage_with_variances_estimated_from_six_pairs(tau):
    rng, repetitions, num_cells, num_pairs = np.random.default_rng(5), 2000, 5, 6
    quantile = stats.t.ppf(0.975, num_cells - 1)
    sds = rng.uniform(0.2, 0.6, (repetitions, num_cells, 1))
    truths = rng.normal(0.3, tau, (repetitions, num_cells, 1))
    differences = rng.normal(truths, sds, (repetitions, num_cells, num_pairs))
    covered = 0
    for sample in differences:
        pooled = random_effects(sample.mean(axis=1), sample.var(axis=1, ddof=1) / num_pairs)
        covered += abs(pooled.mean - 0.3) <= quantile * pooled.standard_error
    # Never below nominal by more than chance; cautious where the cells agree.
    assert 0.95 - 3 * np.sqrt(0.95 * 0.05 / repetitions) <= covered / repetitions <= 0.99


CELLS = [Cell(model=f"m{i}", dataset="d") for i in range(4)]


def comparisons_of(effects_by_arm):
    """Comparisons whose control is constant and whose pairs of cell i differ by the given numbers."""
    arms = list(effects_by_arm)
    outcomes = [
        TrialOutcome(cell=cell, arm=arm, seed=seed, status=TrialStatus.SUCCEEDED, metrics={"test/loss": value})
        for i, cell in enumerate(CELLS)
        for arm, effects in {"control": [(0.0,) * 3] * 4, **effects_by_arm}.items()
        for seed, value in enumerate(effects[i])
    ]
    return compare_arms(
        cells=CELLS,
        control="control",
        treatments=arms,
        seeds=[0, 1, 2],
        outcomes=outcomes,
        metric="test/loss",
        confidence=0.95,
        equivalence_margin=0,
    )


def test_the_mean_over_cells_within_each_seed_then_t_over_seeds():
    cells = np.array([(1.0, 2.0, 4.0), (2.0, 3.0, 4.0), (1.0, 1.0, 1.0), (5.0, 7.0, 9.0)])
    z, a = pool_effects(comparisons_of({"z": cells, "a": -cells}))
    assert (z.treatment, a.treatment) == ("z", "a")
    assert (z.num_cells, z.num_seeds, z.random_effects) == (4, 3, None)
    by_seed = stats.ttest_1samp(cells.mean(axis=0), 0)
    interval = by_seed.confidence_interval(0.95)
    assert z.effect == pytest.approx(cells.mean())
    assert (z.ci_low, z.ci_high) == pytest.approx((interval.low, interval.high))
    assert (a.effect, a.ci_low, a.ci_high) == pytest.approx((-z.effect, -z.ci_high, -z.ci_low))
    assert a.between_cells_sd == z.between_cells_sd


def test_where_seeds_differ_the_shared_ones_count_and_random_effects_stand_beside():
    cells = [(1.0, 2.0, 3.0), (2.0, 3.0, 4.0), (1.0, 2.0), ()]
    (pooled,) = pool_effects(comparisons_of({"z": cells}))
    assert (pooled.num_cells, pooled.num_seeds, pooled.effect) == (3, 2, pytest.approx(np.mean([4 / 3, 7 / 3])))
    beside = pooled.random_effects
    effects, variances = [2.0, 3.0, 1.5], [1 / 3, 1 / 3, 0.5 / 2]
    by_hand = random_effects(effects, variances)
    assert (beside.num_cells, beside.effect) == (3, pytest.approx(by_hand.mean))
    half_width = stats.t.ppf(0.975, 2) * by_hand.standard_error
    assert (beside.ci_low, beside.ci_high) == pytest.approx((by_hand.mean - half_width, by_hand.mean + half_width))


def test_too_few_seeds_or_cells():
    none, one_seed = pool_effects(comparisons_of({"none": [()] * 4, "one": [(1.0, 2.0), (3.0,), (), ()]}))
    assert none.model_dump(exclude={"treatment"}) == {
        "num_cells": 0,
        "num_seeds": 0,
        "effect": None,
        "ci_low": None,
        "ci_high": None,
        "between_cells_sd": None,
        "is_constant": False,
        "random_effects": None,
    }
    assert (one_seed.num_cells, one_seed.num_seeds, one_seed.effect, one_seed.ci_low) == (2, 1, 2.0, None)
    # One cell with a standard error is no sample of cells.
    assert one_seed.random_effects is None


@pytest.mark.parametrize("basis", list(Basis))
def test_no_naive_interval_stands_where_an_effect_could_decide_how_many_pairs_there_are(basis):
    """Two cells, of which one has ended earlier: for all its pairs there is no interval that looking leaves right."""
    rows = comparisons_of({"t": [(1.0, 2.0, 1.5), (1.0, 2.5), (), ()]})
    (effect,) = pool_effects([row.model_copy(update={"basis": basis}) for row in rows])
    assert effect.num_seeds == 2
    assert (effect.random_effects is None) == (basis in (Basis.LOOKS, Basis.ANYTIME))


def test_the_sd_between_cells_against_the_mean_squares_of_a_two_way_layout():
    """R's `anova(lm(d ~ cell + seed))` for 3 cells x 4 seeds, by sums of squares that are written out."""
    d = np.array([[1.0, 2.0, 0.5, 1.5], [3.0, 4.5, 2.0, 3.0], [0.0, 1.0, 0.5, 0.0]])
    fitted = [[d[i].mean() + d[:, j].mean() - d.mean() for j in range(4)] for i in range(3)]
    cells = sum(4 * (d[i].mean() - d.mean()) ** 2 for i in range(3)) / 2
    rest = ((d - fitted) ** 2).sum() / 6
    assert between_cells_sd(d) == pytest.approx(np.sqrt((cells - rest) / 4))
    # What all cells share changes nothing.
    assert between_cells_sd(d + np.array([5.0, -3.0, 0.0, 9.0])) == pytest.approx(between_cells_sd(d))


@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_the_variance_between_cells_is_unbiased_before_it_is_cut_off_at_0(tau):
    rng = np.random.default_rng(8)
    squares = [
        between_cells_sd(tau * rng.standard_normal((6, 1)) + rng.standard_normal((6, 8)) + rng.standard_normal((1, 8)))
        ** 2
        for _ in range(2000)
    ]
    assert np.mean(squares) == pytest.approx(tau**2, abs=0.06)


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.5, 0.9])
def test_coverage_of_cells_that_share_what_a_seed_does(correlation):
    """12 cells of different noise: the pooled interval covers its mean at any correlation; independence would not."""
    rng, repetitions, num_cells, num_seeds = np.random.default_rng(4), 2000, 12, 6
    sds = rng.uniform(0.2, 0.6, (1, num_cells, 1))
    shared = rng.standard_normal((repetitions, 1, num_seeds))
    own = rng.standard_normal((repetitions, num_cells, num_seeds))
    differences = sds * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
    quantile = stats.t.ppf(0.975, num_seeds - 1)
    by_seed = differences.mean(axis=1)
    half_widths = quantile * by_seed.std(axis=1, ddof=1) / np.sqrt(num_seeds)
    covered = (np.abs(by_seed.mean(axis=1)) <= half_widths).mean()
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / repetitions))
    if correlation:
        quantile, misses = stats.t.ppf(0.975, num_cells - 1), 0
        for sample in differences[:500]:
            pooled = random_effects(sample.mean(axis=1), sample.var(axis=1, ddof=1) / num_seeds)
            misses += abs(pooled.mean) > quantile * pooled.standard_error
        assert misses / 500 > 0.15
