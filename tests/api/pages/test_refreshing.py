"""Pages as scripts load them again: made once for all, and with nothing in them that is one browser's own."""

import re

import pytest
from fastapi.testclient import TestClient

from orchestrator.store.database import Database
from tests.api import playing
from tests.api.conftest import JsonObject
from tests.api.pages.test_experiment_pages import ask

AGAIN = {"Sigmalab-Refresh": "1"}


def regions(page: str) -> dict[str, str]:
    """What a script takes, the elements that may change, by their id: from each to the end of its part of the page."""
    found = re.split(r'<\w+[^>]* id="([^"]+)" data-live', page)[1:]
    ends = ("<form", "</section>")
    texts = (min((text.partition(end)[0] for end in ends), key=len) for text in found[1::2])
    return dict(zip(found[::2], texts, strict=True))


@pytest.mark.parametrize("path", ["/", "/experiments/{id}"])
def test_a_script_gets_the_same_regions_and_no_token(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database, path: str
) -> None:
    experiment_id = ask(http, spec)
    attempt = playing.begin(database, experiment_id)
    playing.train(database, experiment_id, attempt, limit=4)
    path = path.replace("{id}", experiment_id)
    whole = browser.get(path)
    again = browser.get(path, headers=AGAIN)
    assert len(regions(whole.text)) >= 2
    assert regions(again.text) == regions(whole.text)
    assert "set-cookie" not in again.headers
    assert not re.search(r'name="form_token" value="[^"]', again.text)
    assert again.headers["content-security-policy"] == whole.headers["content-security-policy"]


def test_it_is_made_once_for_all_who_ask_within_a_moment(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id = ask(http, spec)
    attempt = playing.begin(database, experiment_id)
    path = f"/experiments/{experiment_id}"
    monkeypatch.setattr("api.pages.refreshing.FRESH_SECONDS", 60)
    first = browser.get(path, headers=AGAIN).text
    playing.train(database, experiment_id, attempt)
    assert browser.get(path, headers=AGAIN).text == first
    # A page that a person opens is always new.
    assert "3 of 3 pairs" in browser.get(path).text
    assert "3 of 3 pairs" not in first
    monkeypatch.setattr("api.pages.refreshing.FRESH_SECONDS", 0)
    assert "3 of 3 pairs" in browser.get(path, headers=AGAIN).text
    assert browser.get("/experiments/nobody", headers=AGAIN).status_code == 404
