"""The report's page in a browser: at no width is a table cut off."""

import pytest

from orchestrator.report.formats import html
from orchestrator.report.formats.html import to_html
from tests.chromium import browser, needs_chromium
from tests.orchestrator.report.test_search_history import LOG_SIGMA, SEEDS, SIGMA, spec_with, tried
from tests.orchestrator.synthetic import CELL, make_records, make_spec, report_on

__all__ = ["browser"]

pytestmark = needs_chromium
LR, DECAY, LAYERS = "optimization.optimizer.lr", "optimization.optimizer.weight_decay", "optimization.layer_decay"

CUT_OFF = """() => [...document.querySelectorAll('.scroll, td, th')]
    .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent.trim().slice(0, 80))"""


def plain() -> str:
    return to_html(report_on(make_spec(), make_records(make_spec())))


def searched() -> str:
    """Candidates with four long paths each."""
    rate = {"kind": "log_uniform", "low": 1e-4, "high": 1e-1}
    space = {SIGMA: LOG_SIGMA, LR: rate, DECAY: rate, LAYERS: rate}
    spec = spec_with(gaussian={"space": space, "seeds": SEEDS, "num_candidates": 3})
    params = [{SIGMA: 1.0 + i / 7, LR: 0.00123 * i, DECAY: 0.01234, LAYERS: 0.0654} for i in (1, 2, 3)]
    trials = [trial for each in params for trial in tried("gaussian", each, [0.5, 0.6])]
    chosen = {f"{CELL.key}/gaussian": params[0]}
    return to_html(report_on(spec, trials + make_records(spec), chosen_params=chosen))


@pytest.mark.parametrize("page", [plain, searched])
def test_no_cell_is_cut_off_at_any_width(browser, page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page())
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    for width in (1440, 1024, 800, 600, 390, 320):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert tab.evaluate(CUT_OFF) == [], width
    tab.close()


def test_paper_has_tables_that_fit_and_leaves_out_long_ones(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(html, "MAX_PRINTED_CELLS", 30)
    file = tmp_path / "report.html"
    file.write_text(searched())
    tab = browser.new_page(viewport={"width": 703, "height": 1000})  # A4 between its margins
    tab.goto(file.as_uri())
    left_out = tab.locator(".unprinted table")
    assert left_out.count() > 1
    assert left_out.first.is_visible()
    assert not tab.locator(".on-paper").first.is_visible()
    tab.emulate_media(media="print")
    assert not any(each.is_visible() for each in left_out.all())
    assert "not printed" in tab.locator(".on-paper").first.inner_text()
    # The answer's table is printed, as a table: each row as a list takes ten times the paper.
    assert tab.locator("thead").first.is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") == 703
    tab.close()
