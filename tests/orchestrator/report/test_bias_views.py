"""What query tokens see of an experiment's position biases: planted maps in, means and pictures out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from orchestrator.report import Report
from orchestrator.report.drawing.panels import render
from orchestrator.report.formats.folder import write_report
from orchestrator.report.sections.position_bias.building import mean_views
from orchestrator.report.sections.position_bias.map_figure import heads_figure, mean_views_figure, one_view_figure
from orchestrator.report.sections.position_bias.tiles import Tile, TileBlock, TileRow, draw_blocks, fit_remark
from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import ExperimentRow
from orchestrator.stored.report import read_experiment, report_of
from tests.orchestrator.planted_views import WINDOWS, planted_view, write_views
from tests.orchestrator.synthetic import CELL, make_records, make_spec, play
from trainers.result import LayerFit

SEEDS = (0, 1)


@pytest.fixture
def store(tmp_path: Path):
    database = open_database(f"sqlite:///{tmp_path / 'db'}")
    yield database
    database.close()


def reported(
    store: Database, storage: Path, *, windows: Sequence[tuple[int, int]] = WINDOWS, num_heads: int = 2
) -> tuple[Report, list[Path]]:
    spec = make_spec(seeds=list(SEEDS), arms=make_spec().arms[:2])
    records = make_records(spec, num_epochs=2)
    files = [
        write_views(storage, record.identity, record.arm, record.seed, windows=windows, num_heads=num_heads)
        for record in records
    ]
    experiment_id = play(store, spec, records)
    with store.read() as session:
        return report_of(read_experiment(session, experiment_id), storage=storage), files


def test_views_are_the_means_over_seeds(store: Database, tmp_path: Path) -> None:
    report, _ = reported(store, tmp_path / "storage")
    views = {(view.arm, view.part, view.layer, view.query): view for view in report.bias_views.means}
    # Own, and another query of layer 0, and the absolute one; the treatment has two parts more.
    assert len(views) == (3 + 1 + 1) + (9 + 1 + 1)
    for (arm, part, layer, query), view in views.items():
        assert (view.cell, view.seeds) == (CELL, SEEDS)
        if part == "absolute":
            expected = [planted_view("own", 0, seed, (8, 8), 2)[:1] for seed in SEEDS]
        else:
            expected = [planted_view(part, layer, seed, WINDOWS[layer], 2, query) for seed in SEEDS]
        np.testing.assert_allclose(view.map, np.mean(expected, axis=0), rtol=1e-6, err_msg=f"{arm} {part} {layer}")
    assert [view.is_central for view in views.values()].count(False) == 2
    fits = {
        trial.seed: trial
        for trial in make_records(report.spec, num_epochs=2)
        if trial.arm == "gaussian" and trial.result
    }
    known = views["gaussian", "gaussian", 1, (3, 3)].fit()
    expected_sigma = np.mean(
        [trial.result.epochs[trial.result.best_epoch].metrics["sigma/01"] for trial in fits.values()]
    )
    assert known.sigma_x == pytest.approx(expected_sigma)

    written = write_report(report, tmp_path / "report")
    assert {"learned_bias_png", "learned_bias_svg", "learned_bias_heads_png"} <= set(written)
    with np.load(written["learned_bias_maps"]) as arrays:
        assert arrays.files == [view.key for view in views.values()]
        np.testing.assert_array_equal(
            arrays[f"{CELL.key}/gaussian/sum/02/2_2"], views["gaussian", "sum", 2, (2, 2)].map
        )
    assert "learned_bias.png" in written["md"].read_text()
    assert "What a token sees" in written["html"].read_text()
    again = Report.model_validate_json(written["json"].read_text())
    assert len(again.bias_views.means) == len(views)


def test_one_broken_file_costs_its_own_views_only(store: Database, tmp_path: Path) -> None:
    _, files = reported(store, tmp_path / "storage")
    files[0].write_bytes(b"no archive")
    files[1].unlink()
    np.savez(files[2], own_00=np.ones((2, 15, 15)))
    with store.read() as session:
        experiment_id = session.query(ExperimentRow).one().id
        report = report_of(read_experiment(session, experiment_id), storage=tmp_path / "storage")
    assert {view.arm for view in report.bias_views.means} == {"gaussian"}
    assert {view.seeds for view in report.bias_views.means} == {(1,)}
    reasons = [trial.reason for trial in report.bias_views.unreadable]
    for reason, part in zip(
        sorted(reasons),
        ["learned_bias.npz has no view", "learned_bias.npz is not what", "no learned_bias.npz"],
        strict=True,
    ):
        assert part in reason


def test_twelve_heads_in_twelve_layers_can_be_drawn(store: Database, tmp_path: Path) -> None:
    report, _ = reported(store, tmp_path / "storage", windows=[(14, 14)] * 12, num_heads=12)
    for figure, num_blocks in (
        (mean_views_figure(report.bias_views.means), 2),
        (heads_figure(report.bias_views.means), 3),
    ):
        blocks = [axes for axes in figure.axes if len(axes.images) > 1]
        assert len(blocks) == num_blocks
        assert render(figure, "png")[:4] == b"\x89PNG"
    assert [len(axes.images) for axes in heads_figure(report.bias_views.means).axes[:3]] == [144, 144, 144]
    assert len(one_view_figure(report.bias_views.means[0]).axes[0].images) == 13


def _block(title: str, label: str, num_tiles: int, *, heads: bool = False) -> TileBlock:
    random = np.random.default_rng(0)
    tiles = [
        Tile(
            f"{'head' if heads else 'layer'} {place}",
            # As in Swin, grids differ.
            random.standard_normal((14, 14) if place % 3 else (4, 7)),
            (1, 2),
            (2.0, 3.0),
            "R² 0.12\nin 10/12 seeds",
        )
        for place in range(num_tiles)
    ]
    return TileBlock(title, [TileRow(label, tiles), TileRow(label, tiles, "cosine")])


@pytest.mark.parametrize(
    ("num_blocks", "num_tiles", "inches", "num_columns"),
    [(1, 1, 1.6, 1), (3, 2, 0.95, 3), (4, 4, 0.95, 2), (2, 12, 0.95, 1), (2, 24, 0.5, 1)],
)
def test_no_text_is_cut_or_touches_another(num_blocks: int, num_tiles: int, inches: float, num_columns: int) -> None:
    name = "gaussian-of-a-long-name_lr_multiplier_20: imagenette-300, vit_tiny_patch16_224.augreg_in21k_rel_bias"
    second_line = "own embedding" if num_blocks > 1 else "unbreakable" * 5
    blocks = [
        _block(f"{name}\n{second_line}", "own embedding\nfrom 13,13", num_tiles, heads=inches < 0.9)
        for _ in range(num_blocks)
    ]
    figure = draw_blocks(blocks, inches)
    assert len({axes.get_position().x0 for axes in figure.axes[:-1]}) == num_columns
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [text for part in (figure, *figure.axes) for text in part.texts if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in texts]
    images = [image.get_window_extent(renderer) for axes in figure.axes for image in axes.images]
    width, height = figure.bbox.size
    for place, (text, box) in enumerate(zip(texts, boxes, strict=True)):
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
        # A pixel of anti-aliasing is none.
        overlapped = [other for other in (*boxes[:place], *images) if _overlap(box, other) > 1]
        assert not overlapped, text


def _overlap(one: Bbox, other: Bbox) -> float:
    """The shorter side, in pixels."""
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    down = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(min(across, down))


def test_rounding_is_no_pattern_and_a_token_is_like_itself() -> None:
    noise = 0.3 + 1e-9 * np.random.default_rng(0).standard_normal((5, 5))
    assert fit_remark(Tile("", noise, (2, 2)), None, None) == "nothing\nlearned"
    similarity = 0.1 * np.random.default_rng(1).uniform(-1, 1, (6, 6))
    similarity[2, 2] = 1.0
    block = TileBlock(
        "", [TileRow("noise", [Tile("", noise, (2, 2))]), TileRow("same", [Tile("", similarity, (2, 2))], "cosine")]
    )
    flat, alike = draw_blocks([block], 1.0).axes[0].images
    assert np.abs(flat.norm(flat.get_array()) - 0.5).max() < 1e-6
    assert alike.norm.vmax < 0.2


def test_the_fit_of_an_absolute_embedding_is_the_middle_tokens() -> None:
    """Cosines depend on the token that looks; a relative embedding's fit is over displacements."""
    record = make_records(make_spec(name="absolute", seeds=[0]), num_epochs=1)[0]
    fits = (
        LayerFit(part="absolute", layer=None, sigma=2.0, r_squared=0.9),
        LayerFit(part="own", layer=0, sigma=1.0, r_squared=0.9),
    )
    record = record.model_copy(update={"result": record.result.model_copy(update={"learned_bias": fits})})
    grid = np.random.default_rng(0).normal(size=(8, 8))
    stored = {"absolute/3_3": grid, "absolute/0_5": grid, "own/00/3_3": grid[None], "own/00/0_5": grid[None]}
    views = {(view.part, view.query): view for view in mean_views(record.cell, record.arm, [record], {0: stored})}
    assert {key: len(view.fits) for key, view in views.items()} == {
        ("own", (0, 5)): 1,
        ("own", (3, 3)): 1,
        ("absolute", (0, 5)): 0,
        ("absolute", (3, 3)): 1,
    }
    one_view_figure(views["absolute", (0, 5)])
