"""Planned looks in a driver: what a look settles takes no further seed, the rest goes on.

All trainings are finished already, with planted accuracies, and stand in; so nothing is trained, and no Ray is needed.
"""

import pytest

from orchestrator.driving import driver
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Basis, Verdict
from orchestrator.status import Phase
from orchestrator.store.database import Database
from orchestrator.stored.report import read_experiment, report_of
from tests.orchestrator.small_experiments import (
    TINY,
    begin,
    experiment_of,
    finish_all,
    rows_of,
    settings_in,
    spec_of,
    submit,
)

SEEDS = list(range(12))
ARMS = [*TINY["arms"], {"name": "wide", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 4.0}}}]
LOOKS = {"kind": "obrien_fleming", "at": [6, 9, 12]}
CLEAR = [0.10, 0.11, 0.09, 0.10, 0.12, 0.08, 0.10, 0.11, 0.09, 0.10, 0.12, 0.08]
"""Treatment - control by seed: settled at the first look."""
OPEN = [0.04, -0.03, 0.05, -0.02, 0.04, 0.00, 0.03, -0.02, 0.04, 0.01, -0.01, 0.03]
"""Never settled."""


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    monkeypatch.setattr(driver, "connect", lambda: None)


def plant(database: Database, settings, effects: dict[str, list[float]]) -> None:
    """Finish every training that any look may ask for."""
    spec = spec_of(name="planted", arms=ARMS, seeds=SEEDS)
    finish_all(database, settings, spec, lambda arm, seed: 0.5 + effects.get(arm, [0.0] * 12)[seed])


def drive(database: Database, settings, spec: ExperimentSpec) -> tuple[str, list[str]]:
    lines: list[str] = []
    experiment_id = submit(database, settings, spec)
    driver.run_experiment(database, settings, experiment_id, begin(database, experiment_id), on_progress=lines.append)
    return experiment_id, [line for line in lines if line.startswith("look after")]


def seeds_of(database: Database, experiment_id: str, arm: str) -> set[int]:
    return {row.seed for row in rows_of(database, experiment_id, Phase.CONFIRM) if row.arm == arm}


def test_a_row_ends_at_the_look_that_settles_it_and_the_control_goes_on_with_the_rest(database, tmp_path):
    settings = settings_in(tmp_path)
    plant(database, settings, {"gaussian": CLEAR, "wide": OPEN})
    spec = spec_of(arms=ARMS, seeds=SEEDS, looks=LOOKS)
    experiment_id, told = drive(database, settings, spec)
    assert seeds_of(database, experiment_id, "gaussian") == set(range(6))
    assert seeds_of(database, experiment_id, "wide") == seeds_of(database, experiment_id, "control") == set(SEEDS)
    assert [line.split(": ")[0] + line[line.rindex(": ") :].split(" (")[0] for line in told] == [
        "look after 6 pairs: improved",
        "look after 6 pairs: open",
        "look after 9 pairs: open",
        "look after 12 pairs: open",
    ]
    row = experiment_of(database, experiment_id)
    assert (row.status, row.num_pairs, row.num_confirm_trials) == ("succeeded", 18, 30)
    assert row.reason == "ended by planned looks after 18 of at most 24 pairs"
    with database.read() as session:
        report = report_of(read_experiment(session, experiment_id))
    gaussian, wide = report.comparisons
    assert (gaussian.basis, gaussian.verdict, gaussian.num_pairs) == (Basis.LOOKS, Verdict.IMPROVED, 6)
    assert (wide.basis, wide.verdict, wide.num_pairs) == (Basis.LOOKS, Verdict.INCONCLUSIVE, 12)
    assert not report.exclusions
    text = to_markdown(report)
    assert "Looks were planned after 6, 9 and 12 pairs (O'Brien-Fleming" in text
    assert "crossed the boundary after 6 pairs" in text
    assert "ended as planned after 12 pairs" in text


def test_futility_ends_a_row_only_where_it_binds(database, tmp_path):
    settings = settings_in(tmp_path)
    plant(database, settings, {"gaussian": OPEN, "wide": OPEN})
    ends = {}
    for binding in (True, False):
        futility = {"conditional_power_below": 0.5, "binding": binding}
        spec = spec_of(arms=TINY["arms"], seeds=SEEDS, looks=LOOKS | {"futility": futility})
        experiment_id, told = drive(database, settings, spec)
        ends[binding] = (seeds_of(database, experiment_id, "gaussian"), told[0].rpartition(": futile, ")[2])
    assert ends == {
        True: (set(range(6)), "ended"),
        False: (set(SEEDS), "not ended: the plan does not bind"),
    }


def test_an_attempt_that_goes_on_looks_again_at_what_the_first_one_saw(database, tmp_path):
    """The rows of later looks are there already: the first look must not see them."""
    settings = settings_in(tmp_path)
    plant(database, settings, {"gaussian": OPEN})
    spec = spec_of(arms=TINY["arms"], seeds=SEEDS, looks=LOOKS)
    experiment_id, first = drive(database, settings, spec)
    again: list[str] = []
    driver.run_experiment(database, settings, experiment_id, begin(database, experiment_id), on_progress=again.append)
    assert [line for line in again if line.startswith("look after")] == first
    assert experiment_of(database, experiment_id).status == "succeeded"
