"""The tables of docs/statistics.md: as the scripts wrote them, and what a small run of the same scripts finds again."""

import numpy as np
import pytest

from bench.simulation import coverage, error_rates
from bench.simulation.tables import results_of, table_in_document

TABLES = {
    error_rates.NAME: error_rates.table,
    coverage.SIMULTANEOUS: coverage.simultaneous_table,
    coverage.POOLED: coverage.pooled_table,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_document_has_the_stored_numbers(name: str) -> None:
    assert table_in_document(name) == TABLES[name](results_of(name))


def test_no_word_errs_more_often_than_it_may() -> None:
    for row in results_of(error_rates.NAME):
        error = np.sqrt(0.05 * 0.95 / row["repetitions"])
        if row["noise"] != "skewed":
            assert row["word"] <= 0.05 + 3 * error, row
        if row["rows"] > 1:
            assert row["interval"] > 0.08, row


def test_no_interval_over_several_rows_or_cells_covers_less_than_the_document_says() -> None:
    # Holm's words for the rows without an effect, and Bonferroni's share for the half that has one.
    for name, kind, least in ((coverage.SIMULTANEOUS, "simultaneous", 0.925), (coverage.POOLED, "seeds", 0.95)):
        for row in results_of(name):
            assert row[kind] >= least - 3 * np.sqrt(least * (1 - least) / row["repetitions"]), row


@pytest.mark.parametrize(("num_rows", "num_pairs", "noise"), [(4, 7, "normal"), (4, 12, "skewed")])
def test_a_small_run_finds_the_stored_rates_again(num_rows: int, num_pairs: int, noise: str) -> None:
    again = error_rates.error_rates(num_rows, num_pairs, noise, repetitions=200, seed=99)
    (stored,) = [
        row
        for row in results_of(error_rates.NAME)
        if (row["rows"], row["pairs"], row["noise"]) == (num_rows, num_pairs, noise)
    ]
    for kind in ("interval", "word"):
        share = stored[kind]
        assert again[kind] == pytest.approx(share, abs=4 * np.sqrt((share * (1 - share) + 0.002) / 200))


def test_a_small_run_finds_the_stored_coverage_again() -> None:
    again = coverage.pooled_coverage(0.2, repetitions=150, seed=99)
    (stored,) = [row for row in results_of(coverage.POOLED) if row["correlation"] == 0.2]
    for kind in ("independent", "seeds"):
        assert again[kind] == pytest.approx(stored[kind], abs=4 * np.sqrt(stored[kind] * (1 - stored[kind]) / 150))
