"""How often t crosses a boundary at several looks: against simulation, a single look, and looks that nobody limits."""

import numpy as np
import pytest
from scipy import stats

from orchestrator.statistics.crossing import crossing_probability


def simulated(at: tuple[int, ...], p_bounds: tuple[float, ...], repetitions: int = 60_000) -> tuple[float, float]:
    """Share of simulated experiments without an effect that cross, and its standard error."""
    sample = np.random.default_rng(5).standard_normal((repetitions, at[-1]))
    crossed = np.zeros(repetitions, dtype=bool)
    for num_pairs, p_bound in zip(at, p_bounds, strict=True):
        part = sample[:, :num_pairs]
        t = part.mean(axis=1) / part.std(axis=1, ddof=1) * np.sqrt(num_pairs)
        crossed |= np.abs(t) >= stats.t.isf(p_bound / 2, num_pairs - 1)
    share = float(crossed.mean())
    return share, np.sqrt(share * (1 - share) / repetitions)


@pytest.mark.parametrize("num_pairs", [2, 6, 40])
def test_a_single_look_crosses_as_often_as_its_p_says(num_pairs):
    assert crossing_probability((num_pairs,), (0.03,)) == pytest.approx(0.03, rel=1e-12)


@pytest.mark.parametrize(
    ("at", "p_bounds"),
    [
        ((6, 9, 12), (0.0038, 0.018, 0.0405)),
        ((3, 5, 6), (0.02, 0.03, 0.2)),
        ((2, 3, 4, 5, 6, 7, 8), (0.01,) * 7),
        (tuple(range(3, 31)), (0.05,) * 28),
    ],
)
def test_equals_simulated_t_tests(at, p_bounds):
    share, error = simulated(at, p_bounds)
    assert crossing_probability(at, p_bounds) == pytest.approx(share, abs=3.5 * error)


def test_naive_looks_after_every_pair_from_3_to_30_err_in_26_percent():
    assert crossing_probability(tuple(range(3, 31)), (0.05,) * 28) == pytest.approx(0.265, abs=0.001)


def test_looks_that_nearly_never_cross_add_up():
    """Far out, crossing twice is rarer still: the chance is nearly the sum of the looks' own."""
    assert crossing_probability((5, 50), (1e-7, 1e-7)) == pytest.approx(2e-7, rel=0.03)
