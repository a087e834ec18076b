"""Training curves by arm: what they hold, and where they are shown."""

import statistics

import pytest

from orchestrator.report import Report
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.latex import to_latex
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.sections.learning_curves.figure import curve_figure
from orchestrator.report.sections.order import pictures_of
from tests.orchestrator.synthetic import make_records, make_spec, report_on


def test_hold_the_loss_and_the_compared_metric_of_every_seed(report: Report) -> None:
    records = make_records(report.spec)
    assert {(curve.arm, curve.metric) for curve in report.curves} == {
        (arm, metric) for arm in ("control", "gaussian", "placebo") for metric in ("train/loss", "val/top1")
    }
    for curve in report.curves:
        own = {record.seed: record for record in records if record.arm == curve.arm}
        # Accuracies are recorded as fractions, and shown in per cent.
        scale = 100 if curve.metric == "val/top1" else 1
        assert [seed.seed for seed in curve.seeds] == sorted(own)
        for seed in curve.seeds:
            epochs = own[seed.seed].result.epochs
            assert seed.values == pytest.approx([scale * epoch.metrics[curve.metric] for epoch in epochs])


def test_show_the_mean_of_each_arm(report: Report) -> None:
    figure = curve_figure(report)
    top1, loss = figure.axes
    assert top1.get_title().startswith("validation top-1 (%)")
    assert loss.get_title().startswith("training loss (nats)")
    assert len(top1.lines) == len(loss.lines) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["control", "gaussian", "placebo"]
    gaussian = next(c for c in report.curves if (c.arm, c.metric) == ("gaussian", "val/top1"))
    assert top1.lines[1].get_ydata()[-1] == pytest.approx(statistics.fmean(s.values[-1] for s in gaussian.seeds))


def test_are_in_every_folder(report: Report) -> None:
    assert "training" in pictures_of(report)
    assert "<h2>Training</h2>" in to_html(report)
    assert "[training.png](training.png)" in to_markdown(report)
    assert "training.png" in to_latex(report)


def test_without_training_there_are_none() -> None:
    untrained = [
        record.model_copy(update={"result": record.result.model_copy(update={"epochs": (), "best_epoch": None})})
        for record in make_records(make_spec())
    ]
    report = report_on(make_spec(), untrained)
    assert report.curves == ()
    assert "training" not in pictures_of(report)
    assert "<h2>Training</h2>" not in to_html(report)
    assert "training.png" not in to_markdown(report) + to_latex(report)


@pytest.mark.parametrize(
    ("metric", "twin"), [("test/loss", "val/loss"), ("best_val/top1", "val/top1"), ("test/top5", "val/top5")]
)
def test_follow_the_compared_metric(metric: str, twin: str) -> None:
    spec = make_spec(primary_metric=metric)
    found = {curve.metric for curve in report_on(spec, make_records(spec)).curves}
    assert found == {"train/loss", twin} & (found | {"train/loss"})
    assert twin in found or twin not in make_records(spec)[0].result.epochs[0].metrics
