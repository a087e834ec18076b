"""Names in figures: every arm and data set that any panel shows is in the legend, as its user wrote it."""

from collections.abc import Callable, Sequence

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from orchestrator.report import Report, TrialRecord
from orchestrator.report.drawing.arm_style import arm_style
from orchestrator.report.drawing.panels import MAX_PANELS, render
from orchestrator.report.sections.comparisons.figures import forest_figure, pair_figure
from orchestrator.report.sections.learned_sigma.curves_figure import sigma_figure
from orchestrator.report.sections.learned_sigma.figures import dataset_figure, heat_figure
from orchestrator.report.sections.order import pictures_of
from orchestrator.report.sections.position_bias.fits_figure import position_figure
from orchestrator.report.sections.position_bias.tiles import HEAD_INCHES, Tile, TileBlock, TileRow, draw_blocks
from orchestrator.report.sections.receptive_fields.curve_figure import field_curve_figure
from orchestrator.report.sections.receptive_fields.map_figure import mean_field_figure
from orchestrator.report.sections.receptive_fields.means import mean_fields
from orchestrator.report.sections.search.figure import search_figure
from orchestrator.statistics.comparison import Cell
from orchestrator.status import Phase
from tests.orchestrator.planted_maps import planted_map, with_fields
from tests.orchestrator.synthetic import CELL, make_record, make_spec, report_on
from trainers.analyses.field_maps import TrialMaps

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
        assert (words in pictures_of(report)["receptive_field_curves"].caption) == is_said


@pytest.mark.parametrize("draw", [forest_figure, pair_figure, sigma_figure, heat_figure, position_figure])
def test_panels_that_are_left_out_are_counted(draw: Callable[[Report], Figure]) -> None:
    cells = cells_of(MAX_PANELS + 1)
    trials = [make_record(arm, seed, cell, num_epochs=1) for cell in cells for seed in (0, 1) for arm in NAMES]
    figure = draw(report_on(make_spec(seeds=[0, 1]), trials, cells=cells))
    num_missing = {position_figure: 1, forest_figure: 2}.get(draw, MAX_PANELS + 2)
    told = " ".join((figure.get_supxlabel(), *(axes.get_xlabel() for axes in figure.axes)))
    assert f"Not shown: + {num_missing} more " in told


@pytest.mark.parametrize("name", [r"a$\frac$b", "cost$x_1$y"])
def test_a_name_is_no_formula(name: str) -> None:
    """The first is a broken one, the second would be set with an index."""
    cells = [Cell(model=CELL.model, dataset=f"{name}{ending}") for ending in ("", "2")]
    report = reported(cells)
    figures = [picture.draw() for picture in pictures_of(report).values()]
    assert len(figures) == 8
    stored = TrialMaps((8, 8), {"final/3_3": planted_map("control", 0, "final")})
    figures.append(mean_field_figure(list(mean_fields(cells[0], "control", {0: stored}, is_trained=True))))
    tile = Tile("", planted_map("control", 0, "final"), (3, 3))
    figures.append(draw_blocks([TileBlock(name, [TileRow("", [tile])])], HEAD_INCHES))
    for figure in figures:
        assert render(figure, "svg")
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = [text for text in figure.findobj(Text) if "$" in text.get_text()]
        assert texts
        for text in texts:
            box = text.get_window_extent(renderer).bounds
            text.set_parse_math(False)
            assert text.get_window_extent(renderer).bounds == box


def test_powers_of_ten_are_written_without_a_formula() -> None:
    path = "optimization.optimizer.lr"
    space = {path: {"kind": "log_uniform", "low": 1e-5, "high": 1.0}}
    arms = make_spec().model_dump(mode="json")["arms"]
    arms[1]["search"] = {"space": space, "seeds": [100], "num_candidates": 2}
    trials = [
        make_record("gaussian", 100, num_epochs=1, phase=Phase.SEARCH, params={path: value}) for value in (1e-4, 0.1)
    ]
    figure = search_figure(report_on(make_spec(arms=arms), trials))
    figure.draw_without_rendering()
    texts = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert {"10⁻⁴", "10⁻¹"} < set(texts)
    assert not any("$" in text for text in texts)
