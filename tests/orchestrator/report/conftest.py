"""The report of the synthetic experiment, and of changed ones."""

import pytest

from orchestrator.report import Report
from tests.orchestrator.synthetic import make_records, make_spec, report_on


@pytest.fixture(scope="session")
def report() -> Report:
    """Three arms x six seeds, one cell; the Gaussian improves, the placebo does not."""
    spec = make_spec()
    return report_on(spec, make_records(spec))
