"""What looks at the results cost, planned or not: `python -m bench.simulation.looks` (a minute).

Differences of independent pairs go through the boundaries, the any-time interval and the t interval of reports.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.simulation.error_rates import NOISES, draw
from bench.simulation.tables import Row, grid, percent, store
from orchestrator.statistics.anytime import anytime_interval
from orchestrator.statistics.look_plan import BoundaryKind, Futility, Looks
from orchestrator.statistics.looks import boundary, chance_at_the_end

NAME = "looks"
REPETITIONS = 40_000
PLAN, EVERY = (6, 9, 12), tuple(range(3, 31))


def _planned(kind: BoundaryKind, rows: int = 1) -> Callable[[], dict[int, float]]:
    def critical() -> dict[int, float]:
        bounds = boundary(kind, PLAN, 0.05 / rows)
        return {count: _t_of(count, p_bound) for count, p_bound in zip(PLAN, bounds, strict=True)}

    return critical


def _naive(at: Sequence[int]) -> Callable[[], dict[int, float]]:
    return lambda: {count: _t_of(count, 0.05) for count in at}


def _anytime() -> dict[int, float]:
    found = {}
    for count in EVERY:
        sample = np.arange(count, dtype=float)
        low, high = anytime_interval(list(sample), 0.95) or (-np.inf, np.inf)
        found[count] = float((high - low) / 2 / (sample.std(ddof=1) / np.sqrt(count)))
    return found


def _t_of(num_pairs: int, p_value: float) -> float:
    return -float(special.stdtrit(num_pairs - 1, p_value / 2))


_GIVES_UP = Looks(kind="obrien_fleming", at=PLAN, futility=Futility())


def _is_futile(t: NDArray[np.float64], num_pairs: int) -> NDArray[np.bool_]:
    assert _GIVES_UP.futility is not None
    z = -special.ndtri(np.maximum(special.stdtr(num_pairs - 1, -np.abs(t)), 1e-15))
    return chance_at_the_end(z, num_pairs, _GIVES_UP, 0.05) < _GIVES_UP.futility.conditional_power_below


RULES: dict[str, Callable[[], dict[int, float]]] = {
    "12 pairs, one look": _naive((12,)),
    "t interval at 6 and 12": _naive((6, 12)),
    "t interval at 6, 9, 12": _naive(PLAN),
    "t interval after each of 3 to 30": _naive(EVERY),
    "O'Brien-Fleming at 6, 9, 12": _planned("obrien_fleming"),
    "O'Brien-Fleming, giving up below 0.1": _planned("obrien_fleming"),
    "Pocock at 6, 9, 12": _planned("pocock"),
    "any-time after each of 3 to 30": _anytime,
}
"""How often and by what one looks -> |t| that ends it, after so many pairs."""
_FUTILITY = {"O'Brien-Fleming, giving up below 0.1": _is_futile}
"""Rules that give up -> where, by t and the pairs so far."""


def simulate(rule: str, noise: str, effect: float, repetitions: int, seed: int) -> tuple[float, float]:
    """Share of experiments that claim an effect, and the pairs that they take on average; the sd of a pair is 1."""
    critical = RULES[rule]()
    rng = np.random.default_rng([seed, NOISES.index(noise)])
    sample = draw(noise, (repetitions, max(critical)), rng) + effect
    is_open, pairs = np.ones(repetitions, dtype=bool), np.zeros(repetitions)
    has_claimed = np.zeros(repetitions, dtype=bool)
    for count, bound in critical.items():
        pairs[is_open] = count
        part = sample[:, :count]
        t = part.mean(axis=1) / part.std(axis=1, ddof=1) * np.sqrt(count)
        has_claimed |= is_open & (np.abs(t) >= bound)
        is_open &= ~has_claimed
        if rule in _FUTILITY:
            is_open &= ~_FUTILITY[rule](t, count)
    return float(has_claimed.mean()), float(pairs.mean())


def row_of(rule: str, repetitions: int, seed: int) -> Row:
    """One line: false alarms by noise, then power and pairs where there is an effect."""
    row: Row = {"rule": rule, "repetitions": repetitions}
    for noise in NOISES:
        row[noise] = simulate(rule, noise, 0.0, repetitions, seed)[0]
    row["pairs at 0"] = simulate(rule, "normal", 0.0, repetitions, seed)[1]
    for effect in (1.0, 2.0):
        row[f"power at {effect:g}"], row[f"pairs at {effect:g}"] = simulate(rule, "normal", effect, repetitions, seed)
    return row


def table(rows: Sequence[Row]) -> str:
    """As `docs/statistics.md` has it."""
    headings = ("looks", *NOISES, "pairs without an effect", "finds d = 1", "pairs", "finds d = 2", "pairs")
    return grid(
        headings,
        [
            (
                str(row["rule"]),
                *(percent(float(row[noise])) for noise in NOISES),
                f"{float(row['pairs at 0']):.1f}",
                *(
                    text
                    for effect in (1, 2)
                    for text in (percent(float(row[f"power at {effect}"])), f"{float(row[f'pairs at {effect}']):.1f}")
                ),
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    store(NAME, [row_of(rule, REPETITIONS, seed=12) for rule in RULES], table)
