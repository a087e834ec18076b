"""The table of shared-out pairs in `docs/statistics.md` is what the script wrote; a small run says the same."""

import numpy as np
import pytest
from scipy import special, stats

from bench.simulation.allocation import NAME, SDS, simulate, table
from bench.simulation.tables import results_of, table_in_document


def test_the_document_has_the_stored_table():
    assert table_in_document(NAME) == table(results_of(NAME))


def test_steins_intervals_and_words_keep_their_level_where_noise_is_normal():
    for row in results_of(NAME):
        if row["noise"] == "normal":
            assert row["stein"] == pytest.approx(0.95, abs=0.006)
            assert row["word"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / row["repetitions"])


def test_corrected_intervals_gain_where_sds_differ_and_lose_where_they_do_not():
    """Against t quantiles by hand: 7 first pairs leave 6 degrees of freedom, 15 fixed ones 14."""
    (equal,) = [row for row in results_of(NAME) if row["noise"] == "normal" and row["sds"] == "1, 1, 1, 1"]
    for kind, degrees in (("corrected", 6), ("corrected fixed", 14)):
        # Mean of an sd of so many degrees of freedom, in units of the true one.
        mean_sd = np.sqrt(2 / degrees) * np.exp(special.gammaln((degrees + 1) / 2) - special.gammaln(degrees / 2))
        expected = stats.t.ppf(1 - 0.025 / 4, degrees) * mean_sd / np.sqrt(15)
        # Sharing out adds a little: a row whose first sd is small gets fewer pairs.
        assert equal[kind] == pytest.approx(expected, rel=0.05)
    noncentral = stats.nct(14, np.sqrt(15))
    critical = stats.t.ppf(1 - 0.025 / 4, 14)
    assert equal["found noisy fixed"] == pytest.approx(noncentral.sf(critical) + noncentral.cdf(-critical), abs=0.01)
    assert equal["found noisy"] < equal["found noisy fixed"] - 0.15
    for row in results_of(NAME):
        assert (row["corrected"] < row["corrected fixed"]) == (row["sds"] != "1, 1, 1, 1")
        assert row["found calm"] < row["found calm fixed"]


@pytest.mark.parametrize("noise", ["normal", "heavy tails"])
def test_a_small_run_finds_it_again(noise):
    again = simulate(SDS[2], noise, repetitions=2000, seed=99)
    (stored,) = [row for row in results_of(NAME) if (row["sds"], row["noise"]) == (again["sds"], noise)]
    for kind in ("usual", "stein", "word", "found noisy", "found calm"):
        share = stored[kind]
        assert again[kind] == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 2000) + 0.005)
    assert again["widest"] == pytest.approx(stored["widest"], rel=0.05)
