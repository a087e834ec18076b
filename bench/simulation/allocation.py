"""Pairs that are put where the sd is large: `python -m bench.simulation.allocation` (a minute).

Rows whose differences have other sds, shared out by the sds of the first pairs; intervals are those of reports.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.simulation.error_rates import NOISES, draw
from bench.simulation.tables import Row, grid, percent, store
from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.two_stage import allocated

NAME = "allocation"
REPETITIONS = 20_000
PLAN = Allocation(total=60, first=7)
SDS = ((1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 3.0), (0.5, 1.0, 2.0, 4.0))
"""Of each row's pairs."""
_SHARED = 0.5
_EFFECT = 1.0
"""In sds of the row's own pairs."""


def simulate(sds: Sequence[float], noise: str, repetitions: int, seed: int, plan: Allocation = PLAN) -> Row:
    """What shared-out pairs claim without an effect, how wide intervals are, and which effects they confirm.

    Beside each stands the same of as many pairs in each row, judged by t. Confirmed is what the level over the number
    of rows confirms: Holm's first step.

    Args:
        sds: of each row's pairs.
        noise: one of `NOISES`.
        repetitions: experiments.
        seed: of the draws.
        plan: how many pairs there are.
    """
    rng, num_rows = np.random.default_rng([seed, NOISES.index(noise)]), len(sds)
    most = plan.total - (num_rows - 1) * plan.first
    shared, own = draw(noise, (repetitions, 1, most), rng), draw(noise, (repetitions, num_rows, most), rng)
    sample = np.asarray(sds)[:, None] * (np.sqrt(_SHARED) * shared + np.sqrt(1 - _SHARED) * own)
    first_sd = sample[:, :, : plan.first].std(axis=2, ddof=1)
    numbers = np.array([allocated(list(each), plan) for each in first_sd])
    means, all_sd = _upto(sample, numbers)
    stein = float(special.stdtrit(plan.first - 1, 0.975)) * first_sd / np.sqrt(numbers)
    usual = special.stdtrit(numbers - 1, 0.975) * all_sd / np.sqrt(numbers)
    corrected = float(special.stdtrit(plan.first - 1, 1 - 0.025 / num_rows)) * first_sd / np.sqrt(numbers)
    equal = plan.total // num_rows
    fixed_error = sample[:, :, :equal].std(axis=2, ddof=1) / np.sqrt(equal)
    fixed = float(special.stdtrit(equal - 1, 0.975)) * fixed_error
    fixed_corrected = float(special.stdtrit(equal - 1, 1 - 0.025 / num_rows)) * fixed_error
    # An effect moves means alone, so neither sds nor who gets the pairs.
    effects = _EFFECT * np.asarray(sds)
    found = (np.abs(means + effects) > corrected).mean(axis=0)
    fixed_found = (np.abs(sample[:, :, :equal].mean(axis=2) + effects) > fixed_corrected).mean(axis=0)
    calm, noisy = int(np.argmin(sds)), num_rows - 1 - int(np.argmax(sds[::-1]))
    return {
        "sds": ", ".join(f"{sd:g}" for sd in sds),
        "noise": noise,
        "repetitions": repetitions,
        "usual": float((np.abs(means) <= usual).mean(axis=0).min()),
        "stein": float((np.abs(means) <= stein).mean(axis=0).min()),
        "word": float((np.abs(means) > corrected).any(axis=1).mean()),
        "widest fixed": float(np.median(fixed.max(axis=1))),
        "widest": float(np.median(stein.max(axis=1))),
        "corrected fixed": float(fixed_corrected[:, noisy].mean()),
        "corrected": float(corrected[:, noisy].mean()),
        "found noisy fixed": float(fixed_found[noisy]),
        "found noisy": float(found[noisy]),
        "found calm fixed": float(fixed_found[calm]),
        "found calm": float(found[calm]),
    }


def _upto(sample: NDArray[np.float64], numbers: NDArray[np.int_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and sd of the first so many pairs of each row."""
    last = numbers[:, :, None] - 1
    total = np.take_along_axis(sample.cumsum(axis=2), last, axis=2)[:, :, 0]
    squares = np.take_along_axis((sample**2).cumsum(axis=2), last, axis=2)[:, :, 0]
    means = total / numbers
    return means, np.sqrt((squares - numbers * means**2) / (numbers - 1))


_WIDTHS = ("widest fixed", "widest", "corrected fixed", "corrected")
_FOUND = ("found noisy fixed", "found noisy", "found calm fixed", "found calm")


def table(rows: Sequence[Row]) -> str:
    """As `docs/statistics.md` has it."""
    return grid(
        [
            "sds of 4 rows",
            "noise",
            "usual t interval, worst row",
            "Stein's, worst row",
            "any such word",
            "widest interval, 15 pairs each",
            "shared out",
            "corrected, row of largest sd, 15 pairs each",
            "shared out",
            "finds 1 sd there, 15 pairs each",
            "shared out",
            "finds 1 sd in row of smallest sd, 15 pairs each",
            "shared out",
        ],
        [
            [
                str(row["sds"]),
                str(row["noise"]),
                *(percent(float(row[kind])) for kind in ("usual", "stein", "word")),
                *(f"± {float(row[kind]):.2f}" for kind in _WIDTHS),
                *(percent(float(row[kind])) for kind in _FOUND),
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    store(NAME, [simulate(sds, noise, REPETITIONS, seed=12) for sds in SDS for noise in NOISES], table)
