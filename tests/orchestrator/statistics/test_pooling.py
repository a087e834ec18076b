"""Pooling over cells: a published meta-analysis, and coverage by simulation."""

import numpy as np
import pytest
from scipy import stats

from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.pooling import pool_effects, random_effects
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


def test_a_single_cell_has_no_interval():
    assert random_effects([0.5], [0.1]) == (0.5, None, None)


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


def test_pooled_over_usable_cells_in_the_order_of_treatments():
    z = [(1.0, 2.0, 3.0), (2.0, 3.0, 4.0), (1.0, 1.0, 1.0), (5.0,)]
    a = [(0.0,) * 3] * 4
    pooled = pool_effects(comparisons_of({"z": z, "a": a}))
    assert [effect.treatment for effect in pooled] == ["z", "a"]
    # Equal variances: the plain mean of the two usable cells.
    assert (pooled[0].num_cells, pooled[0].effect) == (2, pytest.approx(2.5))
    half_width = stats.t.ppf(0.975, 1) * np.sqrt(max(1 / 3, 0.5) / 2)
    assert (pooled[0].ci_low, pooled[0].ci_high) == pytest.approx((2.5 - half_width, 2.5 + half_width))
    assert pooled[1].model_dump(exclude={"treatment"}) == {
        "num_cells": 0,
        "effect": None,
        "ci_low": None,
        "ci_high": None,
        "between_cells_sd": None,
    }


def test_one_usable_cell_has_an_effect_but_no_interval():
    ((pooled),) = pool_effects(comparisons_of({"z": [(1.0, 2.0, 3.0), (1.0,), (), (1.0,)]}))
    assert (pooled.num_cells, pooled.effect, pooled.ci_low, pooled.between_cells_sd) == (1, 2.0, None, None)
