"""Names in figures: every arm and data set that any panel shows is in the legend, as its user wrote it."""

from collections.abc import Callable, Sequence

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from orchestrator.report import Report, TrialRecord
from orchestrator.report.arm_style import arm_style
from orchestrator.report.bias_figures import dataset_figure, heat_figure, position_figure
from orchestrator.report.field_captions import field_captions
from orchestrator.report.field_curve_figure import field_curve_figure
from orchestrator.report.figures import MAX_PANELS, forest_figure, pair_figure, sigma_figure
from orchestrator.statistics.comparison import Cell
from tests.orchestrator.planted_maps import with_fields
from tests.orchestrator.synthetic import make_record, make_spec, report_on

SPEC = make_spec(seeds=[0, 1], analyses=[{"kind": "receptive_field", "every_epochs": 2}])
NAMES = [arm.name for arm in SPEC.arms]


def reported(cells: Sequence[Cell], *, is_kept: Callable[[TrialRecord], bool] = lambda trial: True) -> Report:
    trials = [
        with_fields(make_record(arm, seed, cell, num_epochs=3))
        for cell in cells
        for seed in SPEC.seeds
        for arm in NAMES
    ]
    return report_on(SPEC, [trial for trial in trials if is_kept(trial)], cells=cells)


def cells_of(number: int) -> list[Cell]:
    return [Cell(model=f"model{place:02d}", dataset="digits-300") for place in range(number)]


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.fixture(scope="module")
def uneven() -> Report:
    """Of the first cell all treatments failed."""
    cells = cells_of(2)
    return reported(cells, is_kept=lambda trial: trial.cell != cells[0] or trial.arm == "control")


@pytest.mark.parametrize("draw", [field_curve_figure, position_figure])
def test_an_arm_has_one_colour_in_all_figures(uneven: Report, draw: Callable[[Report], Figure]) -> None:
    expected = {name: arm_style(name, NAMES, "control").color for name in NAMES}
    assert len(set(expected.values())) == len(NAMES)
    figure = draw(uneven)
    assert legend_of(figure) == NAMES
    colors = [handle.get_color() for handle in figure.legends[0].legend_handles]
    assert [to_hex(color if isinstance(color, str) else color[0]).upper() for color in colors] == [*expected.values()]


def test_a_data_set_that_the_first_panel_lacks_is_in_the_legend() -> None:
    """Its name may begin with what matplotlib takes for a line that is in no legend."""
    cells = [Cell(model=model, dataset=dataset) for model in ("a", "b") for dataset in ("_first", "second")]
    lacking = reported(cells, is_kept=lambda trial: trial.cell != cells[0])
    assert legend_of(dataset_figure(lacking)) == ["_first", "second"]
    assert legend_of(dataset_figure(reported(cells))) == ["_first", "second"]


def test_what_the_curves_leave_out_is_said() -> None:
    words = "Not shown: + 2 more models on data sets"
    for number, num_rows, is_said in ((9, 9, False), (10, 8, True)):
        report = reported(cells_of(number))
        figure = field_curve_figure(report)
        assert len(figure.axes) == 2 * num_rows
        assert (words in figure.get_supxlabel()) == is_said
        assert (words in field_captions(report)["receptive_field_curves"]) == is_said


@pytest.mark.parametrize("draw", [forest_figure, pair_figure, sigma_figure, heat_figure, position_figure])
def test_panels_that_are_left_out_are_counted(draw: Callable[[Report], Figure]) -> None:
    cells = cells_of(MAX_PANELS + 1)
    trials = [make_record(arm, seed, cell, num_epochs=1) for cell in cells for seed in (0, 1) for arm in NAMES]
    figure = draw(report_on(make_spec(seeds=[0, 1]), trials, cells=cells))
    num_missing = {position_figure: 1, forest_figure: 2}.get(draw, MAX_PANELS + 2)
    told = " ".join((figure.get_supxlabel(), *(axes.get_xlabel() for axes in figure.axes)))
    assert f"Not shown: + {num_missing} more " in told
