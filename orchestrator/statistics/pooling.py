"""One treatment over all its cells: a random-effects mean."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from scipy import special

from orchestrator.statistics.comparison import Comparison, PooledEffect


class RandomEffects(NamedTuple):
    """A random-effects estimate."""

    mean: float
    """Estimated mean of the true effects."""
    standard_error: float | None
    """Its standard error after Hartung and Knapp (`None`: a single effect)."""
    tau: float | None
    """Estimated standard deviation of the true effects (`None`: a single effect)."""


def random_effects(effects: Sequence[float], variances: Sequence[float]) -> RandomEffects:
    """DerSimonian and Laird's mean with Hartung and Knapp's standard error.

    Assumes that the true effects of the cells are draws from a normal distribution and that each variance is known.
    It is not: a few pairs estimate it, which makes the weights rough. So the standard error is never taken below the
    plain one (Knapp and Hartung 2003, q at least 1). Simulated with 5 cells of 6 pairs, the 95 % interval then covers
    .95 to .99; without that floor .92 to .96. With 3 pairs a cell it covers .92 to .96: read it with care.

    Args:
        effects: estimated effect of each cell, at least one.
        variances: squared standard error of each, above 0.
    """
    y, v = np.asarray(effects, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    num_cells = len(y)
    if num_cells == 1:
        return RandomEffects(float(y[0]), None, None)
    weights = 1 / v
    fixed_mean = float((weights * y).sum() / weights.sum())
    heterogeneity = float((weights * (y - fixed_mean) ** 2).sum())
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    tau_squared = max(0.0, (heterogeneity - (num_cells - 1)) / scale)
    weights = 1 / (v + tau_squared)
    mean = float((weights * y).sum() / weights.sum())
    q = float((weights * (y - mean) ** 2).sum()) / (num_cells - 1)
    standard_error = float(np.sqrt(max(1.0, q) / weights.sum()))
    return RandomEffects(mean, standard_error, float(np.sqrt(tau_squared)))


def pool_effects(comparisons: Sequence[Comparison]) -> tuple[PooledEffect, ...]:
    """Pool every treatment over its cells.

    Args:
        comparisons: all of one experiment (one metric, one unit).

    Returns:
        One entry per treatment, in order of first appearance. Cells without a standard error (fewer than two pairs,
        or all differences equal) are left out and not counted in `num_cells`; without any cell all numbers are
        `None`; with a single one there is an effect but no interval: that cell's own comparison has it.
    """
    order = {comparison.treatment: None for comparison in comparisons}
    by_treatment = {
        treatment: list(group)
        for treatment, group in groupby(
            sorted(comparisons, key=lambda comparison: comparison.treatment),
            key=lambda comparison: comparison.treatment,
        )
    }
    return tuple(_pool(treatment, by_treatment[treatment]) for treatment in order)


def _pool(treatment: str, comparisons: Sequence[Comparison]) -> PooledEffect:
    usable = [
        (comparison.effect, comparison.effect_sd**2 / comparison.num_pairs)
        for comparison in comparisons
        if comparison.effect is not None and comparison.effect_sd
    ]
    if not usable:
        return PooledEffect(
            treatment=treatment, num_cells=0, effect=None, ci_low=None, ci_high=None, between_cells_sd=None
        )
    pooled = random_effects([effect for effect, _ in usable], [variance for _, variance in usable])
    half_width = None
    if pooled.standard_error is not None:
        quantile = float(special.stdtrit(len(usable) - 1, (1 + comparisons[0].confidence) / 2))
        half_width = quantile * pooled.standard_error
    return PooledEffect(
        treatment=treatment,
        num_cells=len(usable),
        effect=pooled.mean,
        ci_low=None if half_width is None else pooled.mean - half_width,
        ci_high=None if half_width is None else pooled.mean + half_width,
        between_cells_sd=pooled.tau,
    )
