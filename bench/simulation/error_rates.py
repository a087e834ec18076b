"""How often an experiment without any effect claims one: `python -m bench.simulation.error_rates` (10 minutes).

Simulated outcomes go through the whole comparison (`compare_arms`): pairs, intervals, p, Holm's correction, verdicts.
Rows share half of their variance (arms of a cell share their control, cells their seeds).
"""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bench.simulation.tables import Row, grid, percent, store
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Comparison, Verdict
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.status import TrialStatus

NAME = "error_rates"
REPETITIONS = 4000
SHAPES = {1: (1, 1), 4: (2, 2), 12: (4, 3), 36: (12, 3)}
"""Rows -> cells x treatments."""
SETTINGS = ((1, 7), (4, 7), (1, 12), (4, 12), (12, 12), (36, 12))
"""Rows and pairs. With 7 pairs, p can't confirm anything from 4 rows on."""
NOISES = ("normal", "heavy tails", "skewed")
_SD, _SHARED = 0.01, 0.5


def draw(noise: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws with mean 0 and variance 1 (`heavy tails`: Student's t, 3 degrees of freedom; `skewed`: exponential)."""
    if noise == "normal":
        return rng.standard_normal(shape)
    if noise == "heavy tails":
        return rng.standard_t(3, shape) / np.sqrt(3)
    return rng.standard_exponential(shape) - 1


def experiment(
    num_rows: int, num_pairs: int, noise: str, rng: np.random.Generator, effects: Sequence[float] | None = None
) -> tuple[Comparison, ...]:
    """One simulated experiment.

    Args:
        num_rows: one of `SHAPES`.
        num_pairs: seeds.
        noise: one of `NOISES`.
        rng: where draws come from.
        effects: true effect of each row in sds of a pair's difference (`None`: none anywhere).
    """
    num_cells, num_treatments = SHAPES[num_rows]
    cells = [Cell(model="model", dataset=f"data-{index}") for index in range(num_cells)]
    shared = draw(noise, (1, 1, num_pairs), rng)
    own = draw(noise, (num_cells, num_treatments, num_pairs), rng)
    differences = np.sqrt(_SHARED) * shared + np.sqrt(1 - _SHARED) * own
    differences += np.reshape(np.zeros(num_rows) if effects is None else effects, (num_cells, num_treatments, 1))
    levels = rng.normal(0.5, 0.05, (num_cells, num_pairs))
    values = {"control": levels}
    values |= {f"arm-{index}": levels + _SD * differences[:, index] for index in range(num_treatments)}
    outcomes = [
        TrialOutcome(
            cell=cell, arm=arm, seed=seed, status=TrialStatus.SUCCEEDED, metrics={"test/top1": float(by_cell[i, seed])}
        )
        for arm, by_cell in values.items()
        for i, cell in enumerate(cells)
        for seed in range(num_pairs)
    ]
    return compare_arms(
        cells=cells,
        control="control",
        treatments=[f"arm-{index}" for index in range(num_treatments)],
        seeds=range(num_pairs),
        outcomes=outcomes,
        metric="test/top1",
        confidence=0.95,
        equivalence_margin=0.0,
    )


def error_rates(num_rows: int, num_pairs: int, noise: str, repetitions: int, seed: int) -> Row:
    """Share of experiments in which any row claims an effect that is not there: by its interval alone, by its word."""
    rng = np.random.default_rng([seed, num_rows, num_pairs, NOISES.index(noise)])
    by_interval = by_word = 0
    for _ in range(repetitions):
        found = experiment(num_rows, num_pairs, noise, rng)
        by_interval += any(each.is_confirmed or each.verdict is Verdict.SUGGESTIVE for each in found)
        by_word += any(each.is_confirmed for each in found)
    return {
        "rows": num_rows,
        "pairs": num_pairs,
        "noise": noise,
        "repetitions": repetitions,
        "interval": by_interval / repetitions,
        "word": by_word / repetitions,
    }


def table(rows: Iterable[Row]) -> str:
    """Before: what the interval alone claims; after: `improved` or `worse`."""
    headings = ["noise of a pair", "rows", "pairs", "any interval excludes 0 (before)", "any such word (after)"]
    shown = []
    for row in rows:
        shares = [percent(float(row[kind])) for kind in ("interval", "word")]
        shown.append([str(row["noise"]), str(row["rows"]), str(row["pairs"]), *shares])
    return grid(headings, shown)


def main() -> None:
    """Simulate all settings, store them and write the table."""
    found = []
    for noise, (num_rows, num_pairs) in product(NOISES, SETTINGS):
        found.append(error_rates(num_rows, num_pairs, noise, REPETITIONS, seed=12))
        print(found[-1], flush=True)
    store(NAME, found, table)


if __name__ == "__main__":
    main()
