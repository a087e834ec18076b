"""The page of promises names tests that are there, and is what the last runs have written."""

import re
from pathlib import Path

import pytest

from tests.simulation.guarantees import PAGE, PROMISES, page

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_runs_have_written() -> None:
    assert PAGE.read_text() == page(), "make simulate WRITE=1, make mutants WRITE=1"


@pytest.mark.parametrize("name", sorted({test for promise in PROMISES for test in promise.tests}))
def test_a_test_that_is_named_is_there(name: str) -> None:
    file, _, function = name.partition("::")
    assert re.search(rf"^def {function}\(", (ROOT / file).read_text(), re.MULTILINE)
