"""Runs that somebody else's script has logged to a real MLflow server, compared."""

from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient

from orchestrator.foreign.columns import results_of
from orchestrator.foreign.measure import measure_of
from orchestrator.foreign.report import foreign_report
from orchestrator.foreign.results import ForeignQuestion, ForeignResultsError
from orchestrator.tracking.mlflow.past_runs import past_runs

pytestmark = pytest.mark.mlflow


def test_runs_are_paired_by_their_tags_and_params(client: MlflowClient, mlflow_url: str) -> None:
    experiment = client.create_experiment("somebody-elses")
    losses = {"baseline": (0.50, 0.47, 0.52), "mine": (0.44, 0.42, 0.47)}
    for variant, values in losses.items():
        for seed, loss in enumerate(values):
            run = client.create_run(experiment, tags={"variant": variant, "note": "a tag"})
            client.log_param(run.info.run_id, "seed", seed)
            client.log_param(run.info.run_id, "note", "a param")
            client.log_metric(run.info.run_id, "val_loss", 9.0, step=0)
            client.log_metric(run.info.run_id, "val_loss", loss, step=1)
            client.set_terminated(run.info.run_id)
    lost = client.create_run(experiment, tags={"variant": "mine"})
    client.log_param(lost.info.run_id, "seed", 3)
    client.log_metric(lost.info.run_id, "val_loss", 0.1)
    client.set_terminated(lost.info.run_id, "KILLED")

    table = past_runs(mlflow_url, "somebody-elses")
    assert {"variant", "seed", "val_loss", "status", "tags.note", "params.note"} <= set(table.columns)
    assert "note" not in table.columns
    results = results_of(table, "val_loss", columns={"arm": "variant"})
    question = ForeignQuestion("baseline", "val_loss", measure_of("val_loss", "lower", None, results.results))
    report = foreign_report(results, question, name="somebody-elses", read_at=datetime.now(UTC))

    (comparison,) = report.comparisons
    assert (comparison.num_pairs, comparison.num_planned_pairs) == (3, 4)
    assert comparison.effect == pytest.approx((-0.06 - 0.05 - 0.05) / 3)
    (killed,) = report.exclusions
    assert killed.reason.startswith("its status is KILLED (run ")


def test_an_experiment_that_is_not_there_is_named_with_those_that_are(client: MlflowClient, mlflow_url: str) -> None:
    client.create_experiment("vit-small")
    with pytest.raises(ForeignResultsError, match=r"no experiment `vit-smal`; did you mean `vit-small`\?"):
        past_runs(mlflow_url, "vit-smal")
