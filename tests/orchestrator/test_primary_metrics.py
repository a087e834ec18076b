"""Every metric that may carry the claim: measured by trials, known to statistics, said in words, shown by reports."""

from pathlib import Path

import pytest
import torch

from orchestrator.report.formats.folder import write_report
from orchestrator.report.formats.terminal import to_text
from orchestrator.report.words.answers import metric_words
from orchestrator.statistics.metric import claimable, ever_claimable, metric_named
from orchestrator.statistics.verdict import Verdict
from tests.orchestrator.synthetic import make_records, make_spec, report_on
from trainers.kinds import TASKS
from trainers.tasks.classification.task import ClassificationConfig

METRICS = tuple(ever_claimable())


def test_all_that_a_trial_scores_may_carry_the_claim() -> None:
    task = ClassificationConfig()
    scored = set(task.evidence([task.look(torch.eye(3), torch.arange(3), torch.arange(3))]).metrics())
    assert set(claimable(task, ())) == {f"{split}/{name}" for split in ("test", "best_val") for name in scored}


@pytest.mark.parametrize("metric", METRICS)
def test_each_has_a_unit_sds_for_the_plan_and_words(metric: str) -> None:
    assert metric_named(metric).assumed_sds
    words = metric_words(metric)
    assert words
    assert "_" not in words
    assert "/" not in words


def test_words() -> None:
    assert metric_words("test/top1") == "test top-1"
    assert metric_words("best_val/loss") == "best validation loss"
    assert metric_words("test/balanced_accuracy") == "test balanced accuracy"
    assert metric_words("best_val/macro_f1") == "best validation macro-F1"
    assert metric_words("test/ece") == "test expected calibration error"
    assert metric_words("receptive_field/rms_radius_tokens") == "receptive field rms radius"
    assert metric_words("receptive_field/area_50_fraction") == "receptive field area 50"


@pytest.mark.parametrize(
    ("metric", "verdict"),
    [
        ("test/balanced_accuracy", Verdict.IMPROVED),
        ("test/macro_f1", Verdict.IMPROVED),
        # The same numbers: more of an error is worse.
        ("test/ece", Verdict.WORSE),
    ],
)
def test_a_report_judges_it_in_its_direction(metric: str, verdict: Verdict, tmp_path: Path) -> None:
    spec = make_spec(primary_metric=metric, seeds=list(range(12)))
    records = []
    for record in make_records(spec, num_epochs=3):
        assert record.result is not None
        metrics = record.result.metrics | {metric: record.result.metrics["test/top1"]}
        records.append(record.model_copy(update={"result": record.result.model_copy(update={"metrics": metrics})}))
    report = report_on(spec, records)
    gaussian = report.comparisons[0]
    assert (gaussian.verdict, gaussian.unit) == (verdict, "pp")
    text = to_text(report)
    assert f"changed {metric_words(metric)} by +" in " ".join(text.split())
    files = write_report(report, tmp_path)
    latex = files["latex"].read_text()
    assert metric_words(metric).removeprefix("test ") in latex
    assert metric_words(metric) in files["html"].read_text()


def test_trials_of_an_older_version_have_none_and_the_report_says_so() -> None:
    spec = make_spec(primary_metric="test/ece")
    report = report_on(spec, make_records(spec, num_epochs=3))
    assert all(comparison.effect is None for comparison in report.comparisons)
    assert "succeeded without `test/ece`" in str(report.comparisons[0].pairs[0].missing_because)
    assert "nothing can be said about gaussian" in " ".join(to_text(report).split())


def test_a_name_means_one_thing_in_every_task() -> None:
    """Or a comparison of one task would be told in another one's unit: a metric is looked up by its name."""
    for task in TASKS:
        for metric in task.metrics:
            assert metric_named(f"test/{metric.name}") == metric
