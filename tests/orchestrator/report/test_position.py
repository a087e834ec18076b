"""Fits of learned position embeddings: known fits of seeds in, known counts, means and marks out."""

import statistics

import pytest

from orchestrator.report import Report
from orchestrator.report.sections.learned_sigma.tables import sigma_by_dataset_table
from orchestrator.report.sections.position_bias.fits import position_fits
from orchestrator.report.sections.position_bias.tables import position_table
from orchestrator.statistics.comparison import Cell
from tests.orchestrator.synthetic import CELL, make_record, make_spec, report_on
from trainers.result import LayerFit


def test_every_arm_the_control_too_has_its_layers(report: Report) -> None:
    assert [(fit.arm, fit.part, fit.layer) for fit in report.position] == [
        ("control", "own", 0),
        ("control", "own", 1),
        ("control", "own", 2),
        *((arm, part, layer) for arm in ("gaussian", "placebo") for part in ("own", "sum") for layer in range(3)),
    ]


def test_the_last_layer_that_learned_no_gaussian_is_seen(report: Report) -> None:
    rows = [row for row in position_table(report.position).rows if row[2:4] == ("control", "its own")]
    assert [row[5] for row in rows] == ["7 of 7", "7 of 7", "0 of 7"]
    assert [row[7] == "-" for row in rows] == [False, False, True]
    last = next(fit for fit in report.position if (fit.arm, fit.layer) == ("control", 2))
    trials = [make_record("control", seed) for seed in range(7)]
    values = [trial.result.learned_bias[2].r_squared for trial in trials]
    assert last.r_squared_mean == pytest.approx(statistics.fmean(values))
    assert last.r_squared_sd == pytest.approx(statistics.stdev(values))


def test_nothing_learned_is_said() -> None:
    trial = make_record("control", 0)
    fits = (LayerFit(part="own", layer=0, spread=0.0, remark="nothing learned"), LayerFit(part="own", layer=0, head=1))
    trial = trial.model_copy(update={"result": trial.result.model_copy(update={"learned_bias": fits})})
    (fit,) = position_fits([trial])
    assert (fit.num_seeds, fit.num_not_fitted, fit.sigma_mean) == (1, 1, None)
    assert position_table([fit]).rows[0][5:] == ("nothing learned", "-", "-", "-")


def test_final_sigmas_of_data_sets_stand_side_by_side(report: Report) -> None:
    assert sigma_by_dataset_table(report.bias).rows == []
    cells = [CELL, Cell(model=CELL.model, dataset="other")]
    trials = [make_record(arm, seed, cell) for cell in cells for seed in range(2) for arm in ("control", "gaussian")]
    two = report_on(make_spec(seeds=[0, 1], arms=make_spec().model_dump(mode="json")["arms"][:2]), trials, cells=cells)
    table = sigma_by_dataset_table(two.bias)
    assert table.columns == ("model", "arm", "layer", CELL.dataset, "other")
    finals = [
        trial.result.metrics["sigma/01"] for trial in trials if trial.arm == "gaussian" and trial.cell == cells[1]
    ]
    expected = f"{statistics.fmean(finals):.2f} ± {statistics.stdev(finals):.2f}"
    assert table.rows[1] == (CELL.model, "gaussian", "1", table.rows[1][3], expected)
