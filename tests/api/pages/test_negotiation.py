"""Who gets a page, who JSON; what comes with a page."""

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from api.pages.accept import prefers_html
from tests.api.conftest import JsonObject

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/html;q=0.5, */*", True),
        ("text/html;q=0.5, application/json;q=0.4", True),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0", False),
        ("text/html;q=nan, application/json", False),
        ("text/html;q=x", False),
        ("*/*", False),
        ("application/json", False),
        ("text/*", False),
        ("image/avif,image/webp,*/*;q=0.8", False),
        ("", False),
        (",;,;q=1", False),
    ],
)
def test_who_names_html_gets_a_page(accept: str, is_page: bool) -> None:
    assert prefers_html(Headers({"Accept": accept})) is is_page


def test_programs_get_json_at_the_same_addresses(http: TestClient, browser: TestClient, spec: JsonObject) -> None:
    experiment_id = http.post("/experiments", json=spec).json()["id"]
    for path in ("/", f"/experiments/{experiment_id}"):
        assert http.get(path).headers["content-type"] == "application/json"
        shown = browser.get(path)
        assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "Accept" in shown.headers["vary"]


def test_nothing_inline_runs_and_nothing_is_loaded_from_elsewhere(
    http: TestClient, browser: TestClient, spec: JsonObject
) -> None:
    experiment_id = http.post("/experiments", json=spec).json()["id"]
    for path in ("/", f"/experiments/{experiment_id}", "/experiments/nobody", "/?search=nothing"):
        answer = browser.get(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert " style=" not in answer.text
        assert "<style" not in answer.text
        assert "<script>" not in answer.text
        assert " onclick" not in answer.text
        assert 'src="http' not in answer.text
        assert 'href="//' not in answer.text


def test_a_problem_is_a_page_too(browser: TestClient, http: TestClient) -> None:
    answer = browser.get("/experiments/nobody")
    assert answer.status_code == http.get("/experiments/nobody").status_code == 404
    assert "no experiment has the id" in answer.text
    assert browser.get("/?cursor=<b>").status_code == 422
    assert browser.get("/nowhere").headers["content-type"] == "application/problem+json"


def test_pages_are_packed_for_who_can_unpack(browser: TestClient) -> None:
    packed = browser.get("/", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    plain = browser.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert packed.text.count("<h1>") == plain.text.count("<h1>") == 1


def test_what_pages_load_is_there(browser: TestClient) -> None:
    for name, kind in (("sigmalab.css", "text/css"), ("experiment.js", "text/javascript"), ("icon.svg", "image/svg")):
        answer = browser.get(f"/assets/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
    assert browser.get("/assets/../experiment.py").status_code == 404
    assert browser.get("/assets/..%2fexperiment.py").status_code == 404
