"""The table of looks in `docs/statistics.md` is what the script wrote, and a small run of it says the same."""

import pytest

from bench.simulation.looks import NAME, RULES, row_of, simulate, table
from bench.simulation.tables import results_of, table_in_document


def test_the_document_has_the_stored_table():
    rows = results_of(NAME)
    assert [row["rule"] for row in rows] == list(RULES)
    assert table_in_document(NAME) == table(rows)


@pytest.mark.parametrize("row", results_of(NAME), ids=lambda row: str(row["rule"]))
def test_a_small_run_says_the_same(row):
    """Of other draws: three standard errors of a share of 4,000."""
    share, _ = simulate(str(row["rule"]), "normal", 0.0, 4000, seed=5)
    stored = float(row["normal"])
    assert share == pytest.approx(stored, abs=3 * (stored * (1 - stored) / 4000) ** 0.5 + 0.001)


def test_the_same_seed_gives_the_same_row():
    first = row_of("12 pairs, one look", 500, seed=1)
    assert first == row_of("12 pairs, one look", 500, seed=1)
