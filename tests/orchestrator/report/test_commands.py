"""What a report says of trainings by a script of the user's own: in its metrics, and nothing that nobody saw."""

from pathlib import Path

import pytest

from orchestrator.report import Report
from orchestrator.report.formats.folder import write_report
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.spec.experiment import parse_spec
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.verdict import Verdict
from orchestrator.status import Phase, TrialStatus
from orchestrator.tracking.naming import params_of
from tests.orchestrator.synthetic import report_on
from trainers.config import TrialConfig
from trainers.result import EpochReport, TrialResult
from trainers.strict_json import JsonObject

SPEC: JsonObject = {
    "name": "script",
    "code": "/somewhere",
    "task": {
        "kind": "command",
        "results": {
            "kind": "csv",
            "file": "summary.csv",
            "row": "best",
            "metrics": {
                "test/latency": {"unit": "ms", "better": "lower"},
                "test/top1": {"unit": "percent", "better": "higher"},
                "val/top1": {"unit": "percent", "better": "higher"},
                "train/loss": {"better": "lower"},
            },
        },
    },
    "models": [
        {"kind": "command", "argv": ["python", "train.py", "{seed}", "{lr}"], "arguments": {"lr": 0.1}, "label": "net"}
    ],
    "datasets": [{"kind": "command", "label": "pets"}],
    "arms": [
        {"name": "slow", "role": "control"},
        {"name": "fast", "patch": {"model": {"arguments": {"lr": 0.2}}}},
    ],
    "seeds": [0, 1, 2, 3, 4, 5],
}
CELL = Cell(model="net", dataset="pets")


def report_of(**changes: object) -> Report:
    from orchestrator.report.content.report import TrialRecord

    spec = parse_spec(SPEC | changes)
    trials = []
    for seed in spec.seeds:
        for arm in spec.arms:
            base = {"task": SPEC["task"], "model": SPEC["models"][0], "dataset": {"kind": "command"}, "seed": seed}
            base["model"] = {key: value for key, value in base["model"].items() if key != "label"}
            if arm.name == "fast":
                base["model"] = base["model"] | {"arguments": {"lr": 0.2}}
            gain = 2 + 0.1 * seed if arm.name == "fast" else 0
            epochs = [
                EpochReport(
                    epoch=epoch, metrics={"val/top1": 50 + epoch + gain, "train/loss": 2 - epoch / 4}, seconds=1
                )
                for epoch in range(3)
            ]
            metrics = {
                **epochs[-1].metrics,
                "best_val/top1": 52 + gain,
                "test/top1": 48 + gain + seed / 5,
                "test/latency": 30 - gain,
            }
            result = TrialResult(
                epochs=epochs,
                best_epoch=2,
                metrics=metrics,
                predictions_file=None,
                training_seconds=3,
                provenance={"device": "cpu", "num_workers": "1", "data_fingerprint": "not looked at"},
            )
            trials.append(
                TrialRecord(
                    identity=f"{arm.name}-{seed}",
                    cell=CELL,
                    arm=arm.name,
                    seed=seed,
                    phase=Phase.CONFIRM,
                    params={},
                    config=TrialConfig.model_validate(base),
                    status=TrialStatus.SUCCEEDED,
                    attempt=1,
                    result=result,
                )
            )
    return report_on(spec, trials, cells=[CELL])


@pytest.mark.parametrize(
    ("metric", "unit", "effect"),
    [("test/latency", "ms", -2.25), ("test/top1", "pp", 2.25), ("best_val/top1", "pp", 2.25)],
)
def test_effects_are_in_the_units_that_the_user_declared(metric: str, unit: str, effect: float) -> None:
    report = report_of(primary_metric=metric)
    (comparison,) = report.comparisons
    assert (comparison.unit, comparison.effect) == (unit, pytest.approx(effect))
    # Less of a latency is better.
    assert comparison.verdict is Verdict.IMPROVED
    assert report.unit == unit


def test_other_metrics_and_curves_have_theirs(tmp_path: Path) -> None:
    report = report_of()
    (other,) = report.other_metrics
    assert (other.metric, other.unit, other.effect) == ("test/top1", "pp", pytest.approx(2.25))
    assert {curve.metric for curve in report_of(primary_metric="test/top1").curves} == {"val/top1", "train/loss"}
    curve = next(each for each in report_of(primary_metric="test/top1").curves if each.metric == "val/top1")
    assert curve.seeds[0].values == (50, 51, 52)
    write_report(report, tmp_path)
    assert (tmp_path / "report.html").exists()


def test_it_says_what_nobody_saw_and_shows_nothing_that_is_not_there() -> None:
    text = to_markdown(report_of())
    assert "A script of the user's own trained and scored" in text
    assert "model.arguments.lr" in text
    for absent in ("sigma", "receptive field", "global_batch_size", "attention_bias", "20 epochs", "start alike"):
        assert absent not in text.lower().replace("sigmalab", ""), absent


def test_a_tracker_gets_what_the_script_was_given_and_no_settings_of_ours() -> None:
    params = params_of(report_config())
    assert params["model.arguments.lr"] == 0.1
    assert not [name for name in params if name.partition(".")[0] in ("optimization", "attention_bias", "augmentation")]


def report_config() -> TrialConfig:
    model = {key: value for key, value in SPEC["models"][0].items() if key != "label"}
    return TrialConfig.model_validate({"task": SPEC["task"], "model": model, "dataset": {"kind": "command"}})
