"""The application of `tests/api/conftest.py` as a browser asks it, and experiments played into its store."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.api.conftest import app, database, http, migrated, settings, spec

__all__ = ["app", "database", "http", "migrated", "settings", "spec"]

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes its time; what pages show meanwhile is asked by a test of its own."""
    monkeypatch.setattr("api.pages.experiments.GLANCE_SECONDS", 60)
    monkeypatch.setattr("api.pages.experiment.REPORT_SECONDS", 60)
    monkeypatch.setattr("api.pages.pair.IMAGES_SECONDS", 60)
    monkeypatch.setattr("api.pages.learned.LEARNED_SECONDS", 60)
    monkeypatch.setattr("api.pages.health._WAIT_SECONDS", 60)


@pytest.fixture
def browser(app: FastAPI, http: TestClient) -> Iterator[TestClient]:
    """Asks for pages, keeps cookies, and says where its forms come from; of the same running application."""
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False, raise_server_exceptions=False)
    client.headers.update(BROWSER)
    yield client
    client.close()
