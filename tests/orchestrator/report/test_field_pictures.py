"""Receptive fields as pictures, captions and remarks: planted maps, and what a reader sees of them."""

import itertools
from functools import cache
from pathlib import Path

import markupsafe
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle

from orchestrator.report import Report
from orchestrator.report.content.receptive_fields import FieldDifference, MeanField, Unreadable
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.markdown import escape, to_markdown
from orchestrator.report.sections.order import pictures_of
from orchestrator.report.sections.receptive_fields import study as field_study
from orchestrator.report.sections.receptive_fields.captions import r_squared_text
from orchestrator.report.sections.receptive_fields.choice import choose, in_report
from orchestrator.report.sections.receptive_fields.map_figure import field_map_figure, mean_field_figure
from orchestrator.report.sections.receptive_fields.means import mean_fields
from orchestrator.report.sections.receptive_fields.tables import left_out_notes, mean_field_table, remark_notes
from orchestrator.report.sections.receptive_fields.tiles import FieldTile
from orchestrator.report.words.unreadable import unreadable_notes
from orchestrator.statistics.comparison import Cell
from tests.orchestrator.planted_maps import PLACE, SIGMA_PX, planted_map, with_fields
from tests.orchestrator.synthetic import CELL, make_records, make_spec, report_on
from trainers.analyses.field_maps import FIELD_MAPS, TrialMaps
from trainers.analyses.map_metrics import ReceptiveField, measure
from trainers.analyses.study import LookedAt, Study

ARMS = tuple(SIGMA_PX)


def drawn(report: Report) -> Figure:
    """The report's picture of maps."""
    return field_map_figure(report.receptive_fields.maps, [arm.name for arm in report.arms], report.control)


@pytest.fixture(scope="module")
def report() -> Report:
    """With the maps of seed 0, whose means they are."""
    spec = make_spec(analyses=[{"kind": "receptive_field", "every_epochs": 2}])
    made = report_on(spec, [with_fields(record) for record in make_records(spec, num_epochs=5)])
    name = f"{PLACE[0]}_{PLACE[1]}"
    means = [
        mean
        for arm in ARMS
        for mean in mean_fields(
            CELL,
            arm,
            {
                0: TrialMaps(
                    (8, 8), {f"{moment}/{name}": planted_map(arm, 0, moment) for moment in ("initial", "final")}
                )
            },
            is_trained=True,
        )
    ]
    return with_means(made, means)


def with_means(report: Report, means: list[MeanField]) -> Report:
    """Of one seed each: differences over pairs are those of the means."""
    control = {(mean.cell, mean.moment, mean.target): mean for mean in means if mean.arm == report.control}
    differences = [
        FieldDifference(
            **mean.model_dump(include={"cell", "arm", "moment", "target", "shape_px", "seeds"}),
            pixels=(mean.map - control[place].map).tobytes(),
        )
        for mean in means
        if mean.arm != report.control and (place := (mean.cell, mean.moment, mean.target)) in control
    ]
    fields = report.receptive_fields.model_copy(update={"means": tuple(means), "differences": tuple(differences)})
    return report.model_copy(update={"receptive_fields": fields})


@cache
def lattice(arm: str) -> list[MeanField]:
    """3 x 3 tokens, before and after training."""
    tokens = [(row, column) for row in (1, 3, 6) for column in (1, 3, 6)]
    maps = {
        f"{moment}/{row}_{column}": np.roll(planted_map(arm, 0, moment), (4 * (row - 3), 4 * (column - 3)), (0, 1))
        for (row, column), moment in itertools.product(tokens, ("initial", "final"))
    }
    return list(mean_fields(CELL, arm, {0: TrialMaps((8, 8), maps)}, is_trained=True))


def lattice_of(report: Report, *, num_cells: int, arms: tuple[str, ...] = ARMS) -> Report:
    """The same report, of so many models with a lattice each."""
    cells = [
        Cell(model=f"model{number}_with_a_name_of_some_length", dataset=CELL.dataset) for number in range(num_cells)
    ]
    places = itertools.product(cells, arms)
    return with_means(report, [mean.model_copy(update={"cell": cell}) for cell, arm in places for mean in lattice(arm)])


def test_arms_share_one_scale(report: Report) -> None:
    panels = [axes for axes in drawn(report).axes if axes.images]
    # Three arms and two differences, before and after.
    assert len(panels) == 10
    assert len({axes.images[0].get_clim() for axes in panels[:3]}) == 1
    np.testing.assert_allclose(
        panels[3].images[0].get_array() / 32**2,
        planted_map("gaussian", 0, "initial") - planted_map("control", 0, "initial"),
        atol=1e-9,
    )


def test_the_ellipse_and_the_token_lie_where_the_numbers_say(report: Report) -> None:
    """Planted: wider down than across, at a token off the diagonal; x and y must not change places."""
    down, across = np.mgrid[:32, :32]
    values = np.exp(-((across - 21.5) ** 2) / (2 * 3.0**2) - (down - 9.5) ** 2 / (2 * 5.0**2))
    stored = TrialMaps((8, 8), {"final/2_5": values / values.sum()})
    (mean,) = mean_fields(CELL, "gaussian", {0: stored}, is_trained=True)
    axes = mean_field_figure([mean]).axes[0]
    (ellipse,) = (patch for patch in axes.patches if isinstance(patch, Ellipse))
    (token,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    assert ellipse.center == pytest.approx((21.5, 9.5), abs=1e-3)
    assert (ellipse.width, ellipse.height) == pytest.approx((6, 10), rel=1e-3)
    assert (*token.get_xy(), token.get_width(), token.get_height()) == pytest.approx((19.5, 7.5, 4, 4))
    metrics = mean.metrics
    assert (metrics.sigma_x_tokens, metrics.sigma_y_tokens) == pytest.approx((0.75, 1.25), rel=1e-3)
    assert metrics.anisotropy == pytest.approx(5 / 3, rel=1e-3)


def test_a_study_is_drawn_with_its_ellipse_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    down, across = np.mgrid[:32, :32]
    values = np.exp(-((across - 21.5) ** 2) / (2 * 3.0**2) - (down - 9.5) ** 2 / (2 * 5.0**2))
    field = ReceptiveField(values / values.sum(), place=(2, 5), grid=(8, 8), num_images=1)
    np.savez(tmp_path / FIELD_MAPS, **{"none/2_5": field.map})
    looked_at = LookedAt(
        key="none/2_5",
        intervention="none",
        place=field.place,
        grid=field.grid,
        num_images=1,
        gradient_sum=1.0,
        metrics=measure(field),
        remark="",
        warnings=(),
    )
    figures = []
    monkeypatch.setattr(field_study, "render", lambda figure, _kind: figures.append(figure) or b"")
    field_study.draw_study(tmp_path, Study(model="model", dataset="data", fields=(looked_at,)))
    (ellipse,) = (patch for patch in figures[0].axes[0].patches if isinstance(patch, Ellipse))
    assert ellipse.center == pytest.approx((21.5, 9.5), abs=1e-3)
    assert (ellipse.width, ellipse.height) == pytest.approx((6, 10), rel=1e-3)


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_every_cell_shows_its_middle_token_before_any_shows_more(report: Report) -> None:
    many = lattice_of(report, num_cells=2)
    shown, left_out = in_report(many.receptive_fields.means)
    assert [(cell.model[:6], token) for cell, token in shown if token in ((3, 3), (1, 1))] == [
        ("model0", (3, 3)),
        ("model0", (1, 1)),
        ("model1", (3, 3)),
        ("model1", (1, 1)),
    ]
    assert left_out == f"Not shown: + {18 - len(shown)} more tokens; the arrays in receptive_field_maps.npz have all."
    figure = drawn(many)
    assert sum(bool(axes.images) for axes in figure.axes) == len(shown) * 2 * 5
    assert left_out in " ".join(" ".join(texts_of(figure)).split())
    for written in (to_markdown(many), to_html(many, dict.fromkeys(pictures_of(many), b"<svg/>"))):
        assert f"{18 - len(shown)} more tokens" in written.replace("\\", "")
    twelve = in_report(lattice_of(report, num_cells=12, arms=("control",)).receptive_fields.means)
    assert [token for _, token in twelve.places] == [(3, 3)] * 8
    assert "+ 64 more tokens, + 4 more models on data sets" in twelve.left_out


def test_nothing_is_hidden_that_needs_no_more_room_than_saying_so(report: Report) -> None:
    means = lattice_of(report, num_cells=1).receptive_fields.means
    assert choose(means, 8).left_out == ""
    assert "+ 2 more tokens" in choose(means, 7).left_out
    unreadable = [Unreadable(cell=CELL, arm="a", seed=seed, reason="lost") for seed in range(7)]
    assert "a/seed5): lost" in unreadable_notes(unreadable[:6], what="Receptive fields")[0]
    assert "a/seed4 and 2 more): lost" in unreadable_notes(unreadable, what="Receptive fields")[0]


@pytest.mark.parametrize("arms", [("gaussian",), ("control", "gaussian", "placebo")])
def test_a_picture_of_many_maps_fits_a_screen_and_cuts_no_text(report: Report, arms: tuple[str, ...]) -> None:
    many = lattice_of(report, num_cells=2, arms=arms)
    one = [mean for mean in many.receptive_fields.means if (mean.cell.model[5], mean.arm) == ("1", "gaussian")]
    for figure in (drawn(many), mean_field_figure(one), mean_field_figure(one[::2])):
        width, height = figure.get_size_inches() * 200
        assert width <= 2400
        assert height <= 9000
        canvas = FigureCanvasAgg(figure)
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in figure.texts if text.get_text()]
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        assert not any(box.overlaps(axes.bbox) for box in boxes for axes in figure.axes)


def test_a_moment_differs_from_the_one_before(report: Report) -> None:
    one = [mean for mean in lattice_of(report, num_cells=1).receptive_fields.means if mean.arm == "gaussian"]
    panels = [axes.images[0].get_array() for axes in mean_field_figure(one).axes if axes.images]
    assert len(panels) == 9 * 3
    np.testing.assert_allclose(
        panels[2] / 32**2, planted_map("gaussian", 0, "final") - planted_map("gaussian", 0, "initial")
    )


def test_markdown_names_the_pictures_with_the_words_of_the_page(report: Report) -> None:
    text = to_markdown(report)
    page = to_html(report, dict.fromkeys(pictures_of(report), b"<svg/>"))
    captions = {name: picture.caption for name, picture in pictures_of(report).items() if picture.caption}
    assert set(captions) == {"receptive_field_maps", "receptive_field_curves"}
    for name, caption in captions.items():
        assert f"[{name}.png]({name}.png): {escape(caption)}" in text
        assert str(markupsafe.escape(caption)) in page
    assert "best validation epoch" in captions["receptive_field_maps"]
    assert "each epoch's own weights" in captions["receptive_field_curves"]


def test_the_table_of_mean_maps_ends_where_the_figure_does(report: Report) -> None:
    """Two models with 9 tokens, 3 arms and 2 moments; a figure of 16 lines has room for 8 tokens, four a model."""
    many = lattice_of(report, num_cells=2)
    table = mean_field_table(many.receptive_fields)
    places = {(row[0][:6], row[table.columns.index("token")]) for row in table.rows}
    assert places == set(itertools.product(("model0", "model1"), ("1,1", "1,3", "1,6", "3,3")))
    assert len(table.rows) == 8 * 3 * 2
    (note,) = left_out_notes(many.receptive_fields)
    assert "48 of 108 rows. Not shown: + 10 more tokens" in note
    for written in (to_markdown(many), to_html(many, dict.fromkeys(pictures_of(many), b"<svg/>"))):
        assert "48 of 108 rows" in written
    assert left_out_notes(report.receptive_fields) == ()


def test_what_no_table_shows_is_not_measured(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    many = lattice_of(report, num_cells=2)
    asked = []
    plain = MeanField.__getattribute__

    def noted(mean: MeanField, name: str) -> object:
        if name in ("metrics", "remark"):
            asked.append(plain(mean, "target"))
        return plain(mean, name)

    monkeypatch.setattr(MeanField, "__getattribute__", noted)
    to_markdown(many)
    assert set(asked) == {(1, 1), (1, 3), (1, 6), (3, 3)}


def test_remarks_are_short_and_explained_once(report: Report) -> None:
    many = lattice_of(report, num_cells=2)
    table = mean_field_table(many.receptive_fields)
    remarks = {row[table.columns.index("remark")] for row in table.rows}
    assert "no Gaussian" in remarks
    assert max(map(len, remarks)) < 25
    (note,) = remark_notes(many.receptive_fields)
    assert '"no Gaussian": R² of the mean map below 0.8' in note
    assert to_markdown(many).count("the widths describe little") == 1


def test_a_study_shows_what_each_intervention_changes() -> None:
    """Planted: one narrower map; the second intervention changes nothing."""
    wide, narrow = planted_map("control", 0, "final"), planted_map("gaussian", 0, "final")
    looks, tiles = [], {}
    for name, values in (("none", wide), ("gaussian", narrow), ("zero-position", wide)):
        field = ReceptiveField(values, place=PLACE, grid=(8, 8), num_images=4)
        metrics = measure(field)
        looks.append(
            LookedAt(
                key=f"{name}/3_3",
                intervention=name,
                place=PLACE,
                grid=field.grid,
                num_images=4,
                gradient_sum=1.0,
                metrics=metrics,
                remark="",
                warnings=(),
            )
        )
        tiles[name, PLACE] = FieldTile(values, PLACE, field.grid, metrics)
    study = Study(model="vit_tiny", dataset="digits-300", fields=tuple(looks))
    figure = field_study.study_figure(study, tiles)
    panels = [axes.images[0] for axes in figure.axes if axes.images]
    np.testing.assert_allclose(panels[3].get_array() / 32**2, narrow - wide)
    assert not panels[4].get_array().any()
    texts = texts_of(figure)
    assert "vit_tiny, 4 images of digits-300" in texts
    assert "no difference" in texts
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()] == [
        "density (1: even)",
        "difference of densities",
    ]


@pytest.mark.parametrize(("r_squared", "text"), [(0.7962, "0.796"), (0.8, "0.80"), (0.794, "0.79")])
def test_what_is_no_gaussian_does_not_read_as_one(r_squared: float, text: str) -> None:
    fit = lattice("control")[0].metrics.fit_px.model_copy(update={"r_squared": r_squared})
    assert r_squared_text(fit) == text
