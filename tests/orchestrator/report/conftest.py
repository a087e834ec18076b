"""The report of the synthetic experiment, and of changed ones."""

import pytest

from orchestrator.report import Report
from tests.orchestrator.synthetic import make_records, make_spec, report_on


@pytest.fixture(scope="session")
def report() -> Report:
    """Three arms x seven seeds (six could confirm nothing in two rows); the Gaussian improves, the placebo does not."""
    spec = make_spec(seeds=list(range(7)))
    return report_on(spec, make_records(spec))
