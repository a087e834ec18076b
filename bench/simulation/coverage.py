"""How often intervals over several rows hold what they should: `python -m bench.simulation.coverage` (4 minutes).

Simultaneous intervals where half of the rows have an effect, and the pooled effect where cells share their seeds.
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

from bench.simulation.error_rates import experiment
from bench.simulation.tables import Row, grid, percent, store
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.pooling import pool_effects, random_effects
from orchestrator.status import TrialStatus

SIMULTANEOUS, POOLED = "simultaneous", "pooled"
REPETITIONS = 4000
POOLED_REPETITIONS = 4000
CORRELATIONS = (0.0, 0.1, 0.2, 0.5, 0.9)
_NUM_CELLS, _NUM_SEEDS = 12, 6


def simultaneous_coverage(num_rows: int, num_pairs: int, effect_per_sd: float, repetitions: int, seed: int) -> Row:
    """Share of experiments in which every row's interval holds its effect; every other row has one."""
    rng = np.random.default_rng([seed, num_rows, num_pairs])
    effects = [effect_per_sd * (row % 2) for row in range(num_rows)]
    single = simultaneous = 0
    for _ in range(repetitions):
        found = experiment(num_rows, num_pairs, "normal", rng, effects)
        single += all(_holds(each.ci_low, each.ci_high, effect) for each, effect in zip(found, effects, strict=True))
        simultaneous += all(
            # An end of 0 is left out where the word names a direction.
            _holds(each.simultaneous_low, each.simultaneous_high, effect) and not (each.is_confirmed and effect == 0)
            for each, effect in zip(found, effects, strict=True)
        )
    return {
        "rows": num_rows,
        "pairs": num_pairs,
        "effect": effect_per_sd,
        "repetitions": repetitions,
        "single": single / repetitions,
        "simultaneous": simultaneous / repetitions,
    }


def _holds(low: float | None, high: float | None, effect_per_sd: float) -> bool:
    # `experiment` has an sd of 1 percentage point.
    return (low is None or low <= effect_per_sd) and (high is None or effect_per_sd <= high)


def pooled_coverage(correlation: float, repetitions: int, seed: int) -> Row:
    """Share of experiments whose pooled interval holds the mean effect, cells of 0.2 to 0.6 sd without any effect."""
    rng = np.random.default_rng([seed, round(100 * correlation)])
    sds = np.linspace(0.2, 0.6, _NUM_CELLS)[:, None]
    quantile = float(special.stdtrit(_NUM_CELLS - 1, 0.975))
    over_seeds = as_independent = 0
    for _ in range(repetitions):
        shared, own = rng.standard_normal(_NUM_SEEDS), rng.standard_normal((_NUM_CELLS, _NUM_SEEDS))
        differences = sds * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
        (pooled,) = pool_effects(_compared(differences))
        assert pooled.ci_low is not None
        assert pooled.ci_high is not None
        over_seeds += pooled.ci_low <= 0 <= pooled.ci_high
        naive = random_effects(list(differences.mean(axis=1)), list(differences.var(axis=1, ddof=1) / _NUM_SEEDS))
        as_independent += abs(naive.mean) <= quantile * naive.standard_error
    return {
        "correlation": correlation,
        "repetitions": repetitions,
        "independent": as_independent / repetitions,
        "seeds": over_seeds / repetitions,
    }


def _compared(differences: np.ndarray) -> Sequence[Comparison]:
    cells = [Cell(model="model", dataset=f"data-{index}") for index in range(len(differences))]
    outcomes = [
        TrialOutcome(cell=cell, arm=arm, seed=seed, status=TrialStatus.SUCCEEDED, metrics={"test/loss": value})
        for cell, row in zip(cells, differences, strict=True)
        for seed, difference in enumerate(row)
        for arm, value in (("control", 0.0), ("treatment", float(difference)))
    ]
    return compare_arms(
        cells=cells,
        control="control",
        treatments=["treatment"],
        seeds=range(differences.shape[1]),
        outcomes=outcomes,
        metric="test/loss",
        confidence=0.95,
        equivalence_margin=0.0,
    )


def simultaneous_table(rows: Sequence[Row]) -> str:
    """Every interval of an experiment at once."""
    headings = ["rows", "pairs", "effect of every other row (sd of a pair)", "all single hold", "all simultaneous hold"]
    shown = []
    for row in rows:
        shares = [percent(float(row[kind])) for kind in ("single", "simultaneous")]
        shown.append([str(row["rows"]), str(row["pairs"]), f"{row['effect']:g}", *shares])
    return grid(headings, shown)


def pooled_table(rows: Sequence[Row]) -> str:
    """Before: cells as if independent; after: mean over cells within each seed."""
    return grid(
        ["correlation between cells", "random effects, cells as if independent (before)", "over seeds (after)"],
        [[f"{row['correlation']:g}", percent(float(row["independent"])), percent(float(row["seeds"]))] for row in rows],
    )


def main() -> None:
    """Simulate all settings, store them and write the tables."""
    found = [
        simultaneous_coverage(num_rows, 12, effect, REPETITIONS, seed=12)
        for num_rows in (4, 12)
        for effect in (1.0, 3.0)
    ]
    store(SIMULTANEOUS, found, simultaneous_table)
    store(POOLED, [pooled_coverage(rho, POOLED_REPETITIONS, seed=12) for rho in CORRELATIONS], pooled_table)


if __name__ == "__main__":
    main()
