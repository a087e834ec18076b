"""An earlier version's experiments, in a database that it left: shown, compared and reported with their numbers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import StatusConflictError
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.database import Database, open_database
from orchestrator.store.telemetry import metrics_of
from orchestrator.store.trials import trials_of
from tests.orchestrator.kept_database import INTERRUPTED, SUCCEEDED, restore

TOP1 = {
    ("control", 0): 0.1,
    ("control", 1): 0.14,
    ("control", 2): 0.12,
    ("gaussian", 0): 0.1,
    ("gaussian", 1): 0.12,
    ("gaussian", 2): 0.12,
}
RUNS = {
    1: "142cc11c0de34a6c80da72fede03801e",
    2: "a933c4932acb42eda6327cdb033effb5",
    3: "ad2e7279698b4f7786b3b4499993eda4",
    10: "8447c7a46f75483e9871270a1d385f51",
    11: "31102b6f33ad4f109c2d189e215a50b0",
    12: "57f39f82cc434aafb86bfb1799d10a07",
    13: "dea012c3092c4f6da633a62359bedb9a",
    14: "53c003b0367c47a89a3ef74fb2ed5c1c",
}


@pytest.fixture
def kept(empty_database_url: str) -> Iterator[Database]:
    restore(empty_database_url)
    opened = open_database(empty_database_url)
    yield opened
    opened.close()


@pytest.fixture
def experiments(kept: Database, tmp_path: Path) -> Experiments:
    return Experiments(kept, Settings(home=tmp_path, mlflow_tracking_uri="http://127.0.0.1:1"))


def test_they_are_listed_and_shown(experiments: Experiments) -> None:
    listed = {view.id: view for view in experiments.list(limit=10).items}
    assert {name: view.status for name, view in listed.items()} == {
        INTERRUPTED: ExperimentStatus.RUNNING,
        SUCCEEDED: ExperimentStatus.SUCCEEDED,
    }
    assert listed[SUCCEEDED].mlflow_url.startswith("http://127.0.0.1:1/#/experiments/1/")
    shown, running = experiments.get(SUCCEEDED), experiments.get(INTERRUPTED)
    assert (shown.progress.pairs_complete, shown.progress.trials_done) == (3, 8)
    assert (running.progress.pairs_complete, running.progress.trials_running) == (0, 2)
    told = {
        view.id: next(condition.reason for condition in view.conditions if condition.type == "tracking")
        for view in (shown, running)
    }
    assert told == {SUCCEEDED: "MLflow has every value", INTERRUPTED: "10 values wait to be sent to MLflow"}
    assert len(experiments.events(SUCCEEDED)) == 40
    assert experiments.spec(INTERRUPTED).seeds == (0, 1)


def test_their_trials_have_their_results_curves_and_runs(experiments: Experiments, kept: Database) -> None:
    trials = experiments.trials(SUCCEEDED)
    assert {trial.id: trial.mlflow_run_id for trial in trials} == RUNS
    assert {trial.status for trial in trials} == {TrialStatus.SUCCEEDED}
    top1 = {(trial.arm, trial.seed): trial.metrics["test/top1"] for trial in trials if trial.phase is Phase.CONFIRM}
    assert top1 == TOP1
    searched = {trial.params["attention_bias.sigma"] for trial in trials if trial.phase is Phase.SEARCH}
    assert searched == {1.0, 3.0}
    running = {trial.id: (trial.status, trial.mlflow_run_id) for trial in experiments.trials(INTERRUPTED)}
    assert running == {
        15: (TrialStatus.RUNNING, "5f1223de9c2d45c1b737e629037a5a73"),
        16: (TrialStatus.SUCCEEDED, "33cbf34f4f4e4ebb8d001b5d0a1472f0"),
        17: (TrialStatus.RUNNING, None),
        18: (TrialStatus.PENDING, None),
    }
    with kept.read() as session:
        assert metrics_of(session, 1)["val/loss"] == [(0, 2.341400761604309), (1, 2.337527422904968)]
        assert sum(map(len, metrics_of(session, 16).values())) == 6 * 14
        assert [row.hardware for row in trials_of(session, SUCCEEDED)] == ["cpu-1"] * 8


def test_nothing_is_made_up_of_the_code_that_trained_them(experiments: Experiments, kept: Database) -> None:
    with kept.read() as session:
        assert {row.code for row in trials_of(session, SUCCEEDED)} == {None}
    with pytest.raises(StatusConflictError, match="by another version of the code or on other data; one table must"):
        experiments.extend(SUCCEEDED, [3])


def test_they_are_compared_and_reported(experiments: Experiments) -> None:
    (comparison,) = experiments.comparisons(SUCCEEDED)
    assert (comparison.num_pairs, comparison.p_value, comparison.p_holm, comparison.verdict) == (
        3, 1.0, 1.0, "inconclusive",
    )  # fmt: skip
    known = (-0.6666666666666673, -3.535101819832978, 2.201768486499643, 12.0, 11.333333333333334)
    assert (
        comparison.effect,
        comparison.ci_low,
        comparison.ci_high,
        comparison.control_mean,
        comparison.treatment_mean,
    ) == pytest.approx(known, rel=1e-12)
    (open_one,) = experiments.comparisons(INTERRUPTED)
    assert [pair.treatment for pair in open_one.pairs] == [pytest.approx(52.31388329979879), None]

    report = experiments.report(SUCCEEDED)
    assert report.comparisons == (comparison,)
    written = to_markdown(report)
    assert "| inconclusive | 3 | 12.0 ± 2.0 | 11.3 ± 1.2 | -0.7 |" in written
    assert "| 1.00 → 0.98 ± 0.04 | 1.00 → 1.08 ± 0.02 |" in written
    document = json.loads(report.model_dump_json())
    assert document["experiment"]["id"] == SUCCEEDED
    assert document["comparisons"][0]["effect"] == comparison.effect
    assert {trial["mlflow_run_id"] for trial in document["trials"]} == set(RUNS.values())
    assert experiments.report(INTERRUPTED).num_pending == 3
