"""What an earlier version accepted is shown, compared, reported and driven, though nobody may submit it anew."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from orchestrator.driving.driver import run_experiment
from orchestrator.errors import SpecError, StatusConflictError
from orchestrator.planning.expansion import Expansion
from orchestrator.report.formats.appendix import to_latex_appendix
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.search.acceptance import ACCEPTED
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec, Resources, parse_spec
from orchestrator.status import ExperimentStatus, Phase
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt, get_experiment, insert_experiment, move, set_chosen_params
from orchestrator.store.trials import plan_trials, start_trial, succeed_trial
from orchestrator.stored.spec import stored_spec
from orchestrator.tracking.mlflow.tracker import MlflowTracker
from orchestrator.tracking.trial_run import TrialRuns
from trainers.result import EpochReport, TrialResult

SIGMA, BIAS = "attention_bias.sigma", "attention_bias"
GAUSSIAN = {"kind": "gaussian", "sigma": 1}
GRID = {"algorithm": {"kind": "grid"}, "seeds": [7]}
EARLIER = {
    "two GPUs for one process": (
        {"resources": {"gpus_per_worker": 2}},
        "a training process uses one GPU, so 1 more would be idle",
    ),
    "two workers on one GPU": (
        {"resources": {"num_workers": 2, "gpus_per_worker": 0.5}},
        "2 workers of one trial can't share a GPU",
    ),
    "one number twice": (
        {"search": {**GRID, "space": {SIGMA: {"kind": "choice", "values": [1, 1.0]}}}},
        "the value 1.0 is listed twice, as 1 too",
    ),
    "a path in another one": (
        {
            "search": {
                **GRID,
                "space": {
                    BIAS: {"kind": "choice", "values": [GAUSSIAN]},
                    SIGMA: {"kind": "choice", "values": [1, 2]},
                },
            }
        },
        f"this value says what `{SIGMA}` is, which is searched too",
    ),
}
"""Changes to a small spec that were accepted once, and how they are refused now."""


@pytest.fixture(params=EARLIER)
def document(request: pytest.FixtureRequest, small_spec: ExperimentSpec) -> dict[str, object]:
    return changed(small_spec, EARLIER[request.param][0])


@pytest.fixture
def settings(tmp_path: Path, dashboard) -> Settings:
    return Settings(home=tmp_path, ray_dashboard_url=dashboard.url, mlflow_tracking_uri=None)


@pytest.fixture
def experiments(database: Database, settings: Settings) -> Experiments:
    return Experiments(database, settings)


def changed(spec: ExperimentSpec, changes: Mapping[str, object]) -> dict[str, object]:
    document = spec.model_dump(mode="json")
    if "search" in changes:
        document["arms"][1]["search"] = changes["search"]
    else:
        document |= changes
    return document


def accepted(document: Mapping[str, object]) -> ExperimentSpec:
    return ExperimentSpec.model_validate_json(json.dumps(document), context=ACCEPTED)


def store(database: Database, small_spec: ExperimentSpec, document: Mapping[str, object]) -> tuple[str, int]:
    """An experiment as the earlier version left it while it ran: its id and its attempt."""
    trials = Expansion(small_spec, data_root=None).confirm_trials({})
    spec = accepted(document)
    with database.write() as session:
        row = insert_experiment(session, spec, "digest")
        searched = [
            trials[1].model_copy(
                update={"identity": f"{i}", "phase": Phase.SEARCH, "seed": 7, "params": point(spec, i)}
            )
            for i in (1, 2)
            if spec.arms[1].search
        ]
        ids = list(plan_trials(session, row.id, [*trials, *searched]).values())
        attempt = begin_attempt(session, row.id, None)
        move(session, row.id, ExperimentStatus.STARTING)
        for number, trial_id in enumerate(ids):
            start_trial(session, trial_id, attempt)
            succeed_trial(session, trial_id, result(0.5 + number / 100), attempt)
        if searched:
            set_chosen_params(session, row.id, trials[0].cell.key, "gaussian", point(spec, 1), attempt)
    return row.id, attempt


def point(spec: ExperimentSpec, sigma: int) -> dict[str, object]:
    search = spec.arms[1].search
    return {path: GAUSSIAN if path == BIAS else sigma for path in (search.space if search else ())}


def result(accuracy: float) -> TrialResult:
    return TrialResult(
        epochs=[EpochReport(epoch=epoch, metrics={"train/loss": 1.0}, seconds=1.0) for epoch in (0, 1)],
        best_epoch=1,
        metrics={"test/top1": accuracy, "best_val/top1": accuracy},
        predictions_file=None,
        training_seconds=3.0,
        provenance={"device": "cpu", "num_workers": "1"},
    )


def test_it_is_shown_compared_and_reported(
    experiments: Experiments, database: Database, small_spec: ExperimentSpec, document: dict[str, object]
) -> None:
    experiment_id, attempt = store(database, small_spec, document)
    with database.write() as session:
        move(session, experiment_id, ExperimentStatus.RUNNING, attempt=attempt)
        move(session, experiment_id, ExperimentStatus.SUCCEEDED, attempt=attempt)
    assert experiments.get(experiment_id).status == "succeeded"
    assert [view.id for view in experiments.list(limit=10).items] == [experiment_id]
    assert experiments.spec(experiment_id) == accepted(document)
    (comparison,) = experiments.comparisons(experiment_id)
    assert (comparison.num_pairs, comparison.effect) == (2, pytest.approx(1.0))
    report = experiments.report(experiment_id)
    assert report.comparisons == (comparison,)
    for written in (to_text(report), to_html(report), to_markdown(report), to_latex_appendix(report)):
        assert "small" in written


def test_its_driver_and_its_runs_read_it(
    database: Database, settings: Settings, small_spec: ExperimentSpec, document: dict[str, object]
) -> None:
    experiment_id, attempt = store(database, small_spec, document)
    with database.read() as session:
        TrialRuns(MlflowTracker("http://127.0.0.1:1"), database, get_experiment(session, experiment_id), "1")
    assert run_experiment(database, settings, experiment_id, attempt) is ExperimentStatus.FAILED
    with database.read() as session:
        reason = get_experiment(session, experiment_id).reason
    # This version would not do as the earlier one did, and says why.
    assert reason.startswith(("the code or the data differ", "the experiment can't be run here")), reason


def test_a_driver_that_can_not_read_its_spec_says_so(
    database: Database, settings: Settings, small_spec: ExperimentSpec
) -> None:
    experiment_id, attempt = store(database, small_spec, small_spec.model_dump(mode="json"))
    with database.write() as session:
        get_experiment(session, experiment_id).spec = '{"name": "of a later version"}'
    assert run_experiment(database, settings, experiment_id, attempt) is ExperimentStatus.FAILED
    with database.read() as session:
        row = get_experiment(session, experiment_id)
        assert "was written by another version of sigmalab" in row.reason
        with pytest.raises(StatusConflictError, match="can't read it"):
            stored_spec(row)


@pytest.mark.parametrize("name", EARLIER)
def test_nobody_may_submit_it_anew(small_spec: ExperimentSpec, name: str) -> None:
    changes, message = EARLIER[name]
    with pytest.raises(SpecError) as caught:
        parse_spec(changed(small_spec, changes))
    assert message in str(caught.value)


def test_nonsense_is_refused_though_it_is_stored() -> None:
    assert Resources.model_validate({"gpus_per_worker": 2}, context=ACCEPTED).gpus_per_worker == 2
    with pytest.raises(ValidationError, match="less than or equal to 64"):
        Resources.model_validate({"gpus_per_worker": 65}, context=ACCEPTED)
    # Another context is none.
    with pytest.raises(ValidationError, match="one GPU"):
        Resources.model_validate({"gpus_per_worker": 2}, context={})
