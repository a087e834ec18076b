"""Learned sigma by layer: known curves in, known means and spreads out."""

import statistics

import pytest

from orchestrator.report import Report
from orchestrator.report.figures import sigma_panels
from orchestrator.report.learned_bias import bias_series
from orchestrator.report.tables import bias_table
from tests.orchestrator.synthetic import make_record
from trainers.result import EpochReport


def test_one_series_per_arm_quantity_and_layer(report: Report) -> None:
    assert {(series.arm, series.quantity, series.layer) for series in report.bias} == {
        (arm, quantity, layer)
        for arm in ("gaussian", "placebo")
        for quantity in ("sigma", "amplitude")
        for layer in range(3)
    }


def test_means_and_spread_over_seeds() -> None:
    trials = [make_record("gaussian", seed) for seed in range(3)]
    series = next(entry for entry in bias_series(trials) if entry.quantity == "sigma" and entry.layer == 2)
    finals = [trial.result.epochs[-1].metrics["sigma/02"] for trial in trials]
    assert series.initial == 2.0
    assert series.final_mean == pytest.approx(statistics.fmean(finals))
    assert series.final_sd == pytest.approx(statistics.stdev(finals))
    firsts = [trial.result.epochs[0].metrics["sigma/02"] for trial in trials]
    assert series.mean_by_epoch[0] == pytest.approx(statistics.fmean(firsts))
    assert [seed.seed for seed in series.seeds] == [0, 1, 2]


def test_heads_are_told_apart() -> None:
    trial = make_record("gaussian", 0)
    epoch = EpochReport(
        epoch=0, metrics={"sigma/00_head0": 1.5, "sigma/00_head1": 2.5, "amplitude/00_head0": 1.0}, seconds=1.0
    )
    trial = trial.model_copy(update={"result": trial.result.model_copy(update={"epochs": [epoch]})})
    series = bias_series([trial])
    assert [(entry.quantity, entry.layer, entry.head) for entry in series] == [
        ("sigma", 0, 0),
        ("sigma", 0, 1),
        ("amplitude", 0, 0),
    ]
    assert [row[3] for row in bias_table(series).rows] == ["0, head 0", "0, head 1"]


def test_a_fixed_sigma_is_marked() -> None:
    trial = make_record("gaussian", 0)
    bias = trial.config.attention_bias.model_copy(update={"learn_sigma": False})
    trial = trial.model_copy(update={"config": trial.config.model_copy(update={"attention_bias": bias})})
    assert bias_table(bias_series([trial])).rows[0][5] == "2.00 (fixed)"


def test_no_curve_of_sigma_leaves_its_picture(report: Report) -> None:
    """Panels share their axis: one that hardly moves must not hide the next."""
    still, moved = (series for series in report.bias if series.quantity == "sigma" and series.layer == 0)
    still = still.model_copy(update={"seeds": (), "initial": 2.0, "mean_by_epoch": (1.999, 1.998)})
    moved = moved.model_copy(update={"seeds": (), "initial": 2.0, "mean_by_epoch": (9.0, 21.0)})
    figure = sigma_panels([still, moved])
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert all(low <= value <= high for line in axes.lines for value in line.get_ydata())
    (alone, *_) = sigma_panels([still]).axes
    assert alone.get_ylim()[1] - alone.get_ylim()[0] == pytest.approx(0.1)
