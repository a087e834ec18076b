"""Learned sigma by layer: known curves in, known means and spreads out."""

import statistics

import pytest

from orchestrator.report import Report
from orchestrator.report.sections.learned_sigma.curves import bias_series
from orchestrator.report.sections.learned_sigma.curves_figure import sigma_panels
from orchestrator.report.sections.learned_sigma.tables import bias_table
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


def test_a_start_is_what_the_trial_has_kept_and_else_what_its_config_says() -> None:
    trial = make_record("gaussian", 0)
    result = trial.result.model_copy(update={"initial_bias": {"sigma/02": 3.25}})
    kept = bias_series([trial.model_copy(update={"result": result})])
    starts = {(series.quantity, series.layer): series.initial for series in kept}
    assert starts["sigma", 2] == 3.25
    assert starts["sigma", 1] == 2.0
    assert starts["amplitude", 2] == 1.0


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


@pytest.mark.parametrize(
    ("sides", "in_pixels"),
    [((4, 8, 8), ["8.0 → 8.0", "16.0 → 16.0"]), ((8, 8, 8), None), ((), None), ((None, 8), None)],
)
def test_sigma_stands_in_pixels_where_tokens_differ_in_size(sides, in_pixels) -> None:
    trial = make_record("gaussian", 0)
    epoch = EpochReport(epoch=0, metrics={"sigma/00": 2.0, "sigma/01": 2.0}, seconds=1.0)
    result = trial.result.model_copy(update={"epochs": [epoch], "token_sides_px": sides})
    table = bias_table(bias_series([trial.model_copy(update={"result": result})]))
    assert ("sigma (px)" in table.columns) == (in_pixels is not None)
    if in_pixels:
        assert [row[table.columns.index("sigma (px)")] for row in table.rows] == in_pixels


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
