"""The page of what was learned: the numbers in it are those of the trials' results and maps."""

import html
import re

import numpy as np
import pytest
from fastapi.testclient import TestClient

from api.pages.learned import HeatMap, MapGroup, _ellipse, _first_looks, _pooled
from orchestrator.report.content.position_bias import BiasView, ViewFit
from orchestrator.report.drawing.band_glyph import Band, band_glyph
from orchestrator.report.drawing.heat_glyph import HeatRow, heat_glyph
from orchestrator.settings import Settings
from orchestrator.statistics.comparison import Cell
from orchestrator.store.database import Database
from orchestrator.store.trials import trials_of
from tests.api import playing
from tests.api.conftest import JsonObject
from tests.api.pages.test_experiment_pages import ask, text_of
from tests.orchestrator.planted_maps import planted_map, write_maps


def drawn(page: str, title: str, moment: str) -> np.ndarray:
    part = page.split(f'data-moment="{moment}"')[1].split('<div class="moment"')[0]
    shape, values = re.search(
        rf'data-shape="([\d ]+)"[^>]*data-values="([^"]+)"><figcaption>{re.escape(html.escape(title))}<', part
    ).groups()  # type: ignore[union-attr]
    return np.array(values.split(), dtype=float).reshape(*map(int, shape.split()))


def test_maps_and_courses(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database, settings: Settings
) -> None:
    experiment_id = ask(http, spec | {"analyses": [{"kind": "receptive_field"}]})
    playing.play(database, experiment_id)
    with database.read() as session:
        for row in trials_of(session, experiment_id):
            write_maps(settings.effective_storage, row.identity, row.arm, row.seed)
    page = browser.get(f"/experiments/{experiment_id}/learned").text
    means = {
        arm: np.mean([planted_map(arm, seed, "final") for seed in range(3)], axis=0) for arm in ("control", "gaussian")
    }
    np.testing.assert_allclose(drawn(page, "gaussian", "after training"), means["gaussian"], rtol=0.01)
    difference = drawn(page, "gaussian - control", "after training")
    np.testing.assert_allclose(difference, means["gaussian"] - means["control"], rtol=0.01, atol=1e-6)
    # One scale for all arms and moments: the trained Gaussian is the narrowest, so it has the greatest value.
    highs = set(re.findall(r'data-kind="field"[^>]*data-high="([^"]+)"', page))
    assert [float(high) for high in highs] == [pytest.approx(means["gaussian"].max())]
    assert "<title>0, epoch 1: 2.5</title>" in page
    assert "No trial that has ended has a position bias" in text_of(page)


def test_of_nothing_it_says_so(http: TestClient, browser: TestClient, spec: JsonObject) -> None:
    text = text_of(browser.get(f"/experiments/{ask(http, spec)}/learned").text)
    assert "No arm's attention bias has told anything yet" in text
    assert "was asked for its receptive field" in text


def test_large_maps_are_averaged_over_squares() -> None:
    values = np.arange(100.0 * 98).reshape(100, 98)
    pooled = _pooled(values)
    assert pooled.shape == (33, 32)
    assert pooled[0, 0] == values[:3, :3].mean()
    assert pooled[-1, -1] == values[96:99, 93:96].mean()


def view(num_heads: int, side: int, *heads: int | None) -> BiasView:
    fits = [
        ViewFit(head=head, num_seeds=2, num_gaussian=2, num_not_fitted=0, sigma_x=4, sigma_y=2, r_squared=1)
        for head in heads
    ]
    cell, middle = Cell(model="vit", dataset="digits"), ((side - 1) // 2, (side - 1) // 2)
    return BiasView(
        cell=cell, arm="a", part="own", layer=0, query=middle, shape=(num_heads, side, side), seeds=(0, 1), fits=fits
    )


def test_an_ellipse_stands_in_its_own_map_in_the_cells_that_are_drawn() -> None:
    assert _ellipse(view(1, 9, None), 0) == "4.500 4.500 4.000 2.000"
    # 64 tokens become 32 cells of a map.
    assert _ellipse(view(1, 64, None), 0) == "15.750 15.750 2.000 1.000"
    # Only the mean over heads was fitted: that is not what one head sees.
    assert _ellipse(view(2, 9, None), 1) == ""
    assert _ellipse(view(2, 9, None, 0, 1), 1) == "4.500 4.500 4.000 2.000"


def test_of_many_maps_whole_looks_are_shown() -> None:
    group = MapGroup("after training", (HeatMap("a", (1, 1), "1", 0, 1),) * 3)
    looks = [(name, (group, group)) for name in "abc"]
    assert [name for name, _ in _first_looks(looks, 12)] == ["a", "b"]
    assert [name for name, _ in _first_looks(looks, 5)] == ["a"]


def test_shades_and_bands() -> None:
    shades = heat_glyph([HeatRow("<b>", [1.0] * 99 + [3.0])], [f"epoch {place}" for place in range(100)], title="&")
    assert shades.count("<rect") == 48
    assert 'fill-opacity="1.00"><title>&lt;b&gt;, epoch 99: 3</title>' in shades
    assert 'fill-opacity="0.06"><title>&lt;b&gt;, epoch 0: 1</title>' in shades
    lines = band_glyph([Band("a", [0, 2], [[1, 2], [3, 6]]), Band("b", [0, 2], [[2, 4]])], title="<i>")
    assert "<title>a: 2 → 4</title>" in lines
    assert "<i>" not in lines
    first, second = re.findall(r'<text x="406" y="([\d.]+)">[ab]<', lines)
    # Both end at 4: their names still stand apart.
    assert abs(float(second) - float(first)) == 13
    assert ">before training<" in lines
    assert ">after 2 epochs<" in lines
    many = band_glyph([Band(f"layer {layer}", [0, 1], [[1, 2]]) for layer in range(24)], title="")
    height = float(re.search(r'viewBox="0 0 \d+ (\d+)"', many).group(1))  # type: ignore[union-attr]
    assert max(float(y) for y in re.findall(r'<text x="406" y="([\d.]+)"', many)) < height
