"""A control that was trained twice: exactly 0, or by how much the machine differs."""

import pytest

from orchestrator.null_spec import null_spec
from orchestrator.report import Report
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.spec.experiment import parse_spec
from tests.orchestrator.synthetic import make_record, make_spec, report_on

SPEC = parse_spec(
    null_spec(
        {
            "name": "twice",
            "models": [{"kind": "small_vit", "depth": 3}],
            "datasets": [{"kind": "digits", "num_train": 300}],
            "arms": [{"name": "control", "role": "control"}, {"name": "gaussian"}],
            "seeds": [0, 1, 2],
        }
    )
)


def report_with(changes: dict[int, dict[str, float]], ran: dict[int, dict[str, str]] | None = None) -> Report:
    """What each seed's second training found otherwise, and where it ran."""
    controls = [make_record("control", seed, num_epochs=3) for seed in SPEC.seeds]
    trials = list(controls)
    for trial in controls:
        metrics = {**trial.result.metrics, "images_per_second": 3.0, **changes.get(trial.seed, {})}
        provenance = {**trial.result.provenance, "trial": "another", **(ran or {}).get(trial.seed, {})}
        result = trial.result.model_copy(update={"metrics": metrics, "provenance": provenance})
        config = trial.config.model_copy(update={"replica": 1})
        trials.append(trial.model_copy(update={"arm": "null", "config": config, "result": result}))
    return report_on(SPEC, trials)


def test_equal_pairs_are_exactly_0() -> None:
    report = report_with({})
    (check,) = report.repeats
    assert check.is_exact
    (answer,) = report.answers
    assert answer.startswith("On digits-300 with small_vit_48x3_rel_bias, null is control trained once more: exactly 0")
    assert "in every one of 3 pairs, in each of " in answer
    written = to_markdown(report)
    assert "exactly 0 in every one of 3 pairs" in written
    assert "| exactly equal |" in written
    assert "inconclusive" not in written
    assert not any("airing" in remark for remark in report.remarks)
    assert report.arms[1].description == "trained once more"


def test_a_machine_that_is_not_deterministic_is_told_by_how_much() -> None:
    first = make_record("control", 1).result.metrics["test/top1"]
    report = report_with({1: {"test/top1": first + 0.012}, 2: {"test/loss": 1.0}})
    (check,) = report.repeats
    assert (check.num_pairs, check.num_equal, check.is_exact) == (3, 1, False)
    assert check.differing_metrics == ("test/loss", "test/top1")
    assert check.largest_difference == pytest.approx(1.2)
    assert check.mean_difference == pytest.approx(0.4)
    assert "| not equal |" in to_markdown(report)
    assert report.answers[0].endswith(
        "the machine is not deterministic. 2 of 3 pairs differ (in test/loss, test/top1), in test top-1 by 0.4 pp on "
        "average and 1.2 pp at most. So much a pair differs without any change: more pairs average it out, a single "
        "pair shows it."
    )


def test_pairs_that_ran_on_two_machines_are_not_judged() -> None:
    elsewhere = {"device": "NVIDIA H100", "torch": "2.14.0"}
    (check,) = report_with({1: {"test/loss": 1.0}}, {1: elsewhere}).repeats
    assert (check.num_pairs, check.num_equal, check.num_unlike, check.is_exact) == (3, 2, 1, False)
    assert check.text.endswith(
        "trained once more: 1 pair did not run alike (device: NVIDIA H100 and cpu, torch: 2.14.0 and 2.15.0), and what "
        "differs there says nothing of whether a machine repeats itself; the other 2 are exactly 0."
    )
    report = report_with({0: {"test/loss": 2.0}, 1: {"test/top5": 0.5}}, {1: elsewhere})
    (check,) = report.repeats
    assert check.differing_metrics == ("test/loss",)
    assert "the machine is not deterministic. 1 of 2 pairs that ran alike differs (in test/loss)" in report.answers[0]
    assert ". Of the others, 1 pair did not run alike (device: " in report.answers[0]
    every = report_with({1: {"test/loss": 1.0}}, dict.fromkeys(SPEC.seeds, elsewhere))
    assert "deterministic" not in every.answers[0]
    assert "3 pairs did not run alike" in every.answers[0]
    # Equal on two machines is more than was asked for.
    assert report_with({}, {1: elsewhere}).repeats[0].is_exact


def test_arms_that_change_something_are_no_repeats() -> None:
    spec = make_spec()
    trials = [make_record(arm.name, seed, num_epochs=3) for seed in spec.seeds for arm in spec.arms]
    assert report_on(spec, trials).repeats == ()
