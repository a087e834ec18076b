"""One treatment over all its cells: cells share seeds, so the seeds are what is repeated."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from orchestrator.statistics.comparison import Comparison, PooledEffect, RandomEffectsMean
from orchestrator.statistics.inference import inference_beside
from orchestrator.statistics.interval import spread


class RandomEffects(NamedTuple):
    """A random-effects estimate."""

    mean: float
    """Estimated mean of the true effects."""
    standard_error: float
    """Its standard error after Hartung and Knapp."""
    tau: float
    """Estimated standard deviation of the true effects."""


def random_effects(effects: Sequence[float], variances: Sequence[float]) -> RandomEffects:
    """DerSimonian and Laird's mean with Hartung and Knapp's standard error.

    Assumes that cells are independent, that their true effects are draws from a normal distribution and that each
    variance is known. It is not: a few pairs estimate it, which makes the weights rough. So the standard error is never
    taken below the plain one (Knapp and Hartung 2003, q at least 1). Simulated with 5 cells of 6 pairs, the 95 %
    interval then covers .95 to .99; without that floor .92 to .96. With 3 pairs a cell it covers .92 to .96.

    Sources: DerSimonian and Laird 1986 (Controlled Clinical Trials 7, 177-188); Hartung and Knapp 2001 (Statistics in
    Medicine 20, 3875-3889); Knapp and Hartung 2003 (Statistics in Medicine 22, 2693-2710).

    Args:
        effects: estimated effect of each cell, at least two.
        variances: squared standard error of each, above 0.
    """
    y, v = np.asarray(effects, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    num_cells = len(y)
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


def between_cells_sd(differences: NDArray[np.float64]) -> float:
    """Standard deviation of the true effect between cells that share their seeds.

    From the mean squares of the two-way layout `cell + seed + rest`: (MS_cells - MS_rest) / num_seeds, never below 0.
    What a seed does to all cells alike cancels, and cells may be of different noise.

    Source: Searle, Casella and McCulloch 1992 (Variance Components), section 4.5, two-way crossed classification
    without interaction.

    Args:
        differences: [cells, seeds] paired differences, at least 2 x 2.
    """
    num_cells, num_seeds = differences.shape
    by_cell = differences.mean(axis=1, keepdims=True)
    by_seed = differences.mean(axis=0, keepdims=True)
    rest = differences - by_cell - by_seed + differences.mean()
    mean_square_cells = num_seeds * float(by_cell.var(ddof=1))
    mean_square_rest = float((rest**2).sum()) / ((num_cells - 1) * (num_seeds - 1))
    return float(np.sqrt(max(0.0, (mean_square_cells - mean_square_rest) / num_seeds)))


def pool_effects(comparisons: Sequence[Comparison]) -> tuple[PooledEffect, ...]:
    """Pool every treatment over its cells: the mean over cells within each seed, then the interval over seeds.

    Cells of one experiment share seeds, data order, augmentation and often test images, so their effects correlate,
    and an interval that takes them as independent is too narrow. Seeds are independent, whatever the cells of one seed
    have in common. The interval speaks of these cells, not of others that might have been chosen.

    Source: the summary-measures analysis of repeated measurements, Matthews, Altman, Campbell and Royston 1990
    (British Medical Journal 300, 230-235); the simulation is in `docs/statistics.md`.

    Args:
        comparisons: all of one experiment (one metric, one unit).

    Returns:
        One entry per treatment, in order of first appearance. Cells without a complete pair are left out and not
        counted in `num_cells`; of the others, the seeds count whose pair is complete in each. Where seeds differ
        between cells, that leaves pairs out: the random-effects mean, which takes every pair, stands beside it, but
        where an effect could decide how many pairs a cell has: its interval is right for fixed numbers alone.
    """
    by_treatment: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        by_treatment.setdefault(comparison.treatment, []).append(comparison)
    return tuple(_pool(treatment, found) for treatment, found in by_treatment.items())


def _pool(treatment: str, comparisons: Sequence[Comparison]) -> PooledEffect:
    cells = [found for comparison in comparisons if (found := _effects_by_seed(comparison))]
    shared = sorted(set.intersection(*(set(cell) for cell in cells))) if cells else []
    differences = np.array([[cell[seed] for seed in shared] for cell in cells])
    by_seed = [float(mean) for mean in differences.mean(axis=0)] if shared else []
    basis = comparisons[0].basis
    interval = inference_beside(basis).interval(by_seed, comparisons[0].confidence)
    leaves_out = any(len(cell) > len(shared) for cell in cells)
    return PooledEffect(
        treatment=treatment,
        num_cells=len(cells),
        num_seeds=len(shared),
        effect=float(np.mean(by_seed)) if shared else None,
        ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None,
        between_cells_sd=between_cells_sd(differences) if min(len(cells), len(shared)) >= 2 else None,
        is_constant=spread(by_seed).sd == 0,
        random_effects=_random_effects(comparisons) if leaves_out and not basis.depends_on_effects else None,
    )


def _effects_by_seed(comparison: Comparison) -> dict[int, float]:
    return {pair.seed: pair.effect for pair in comparison.pairs if pair.effect is not None}


def _random_effects(comparisons: Sequence[Comparison]) -> RandomEffectsMean | None:
    """Over the cells that have a standard error (two pairs that differ); `None` with fewer than two of them."""
    usable = [
        (comparison.effect, comparison.effect_sd**2 / comparison.num_pairs)
        for comparison in comparisons
        if comparison.effect is not None and comparison.effect_sd
    ]
    if len(usable) < 2:
        return None
    pooled = random_effects([effect for effect, _ in usable], [variance for _, variance in usable])
    quantile = float(special.stdtrit(len(usable) - 1, (1 + comparisons[0].confidence) / 2))
    return RandomEffectsMean(
        num_cells=len(usable),
        effect=pooled.mean,
        ci_low=pooled.mean - quantile * pooled.standard_error,
        ci_high=pooled.mean + quantile * pooled.standard_error,
        between_cells_sd=pooled.tau,
    )
