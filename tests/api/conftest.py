"""The application with a real database and the real use cases; only Ray and MLflow are away."""

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from orchestrator.settings import Settings
from orchestrator.store.database import Database, open_database
from tests.orchestrator.conftest import Dashboard, dashboard

__all__ = ["Dashboard", "dashboard"]

JsonObject = dict[str, Any]

NOBODY = "http://127.0.0.1:1"
"""An address where nobody listens."""


@pytest.fixture
def spec() -> JsonObject:
    """One cell, a control and one treatment, three seeds: six trials."""
    return {
        "name": "small",
        "question": "Does it help?",
        "models": [{"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1}],
        "datasets": [{"kind": "digits", "num_train": 100}],
        "optimization": {"epochs": 2},
        "arms": [
            {"name": "control", "role": "control"},
            {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}},
        ],
        "seeds": [0, 1, 2],
    }


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database: migrating once and copying saves most of every test's time."""
    file = tmp_path_factory.mktemp("migrated") / "sigmalab.db"
    open_database(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def settings(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("SIGMALAB_API_TOKEN", "SIGMALAB_URL", "SIGMALAB_DATABASE_URL", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SIGMALAB_HOME", str(tmp_path / "home"))
    tmp_path.joinpath("home").mkdir()
    shutil.copy(migrated, tmp_path / "home" / migrated.name)
    return Settings(home=tmp_path / "home", data_root=tmp_path, ray_dashboard_url=NOBODY, report_processes=0)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings, with_background=False)


@pytest.fixture
def http(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def database(settings: Settings, http: TestClient) -> Iterator[Database]:
    """The application's database, opened once more: the driver is another process."""
    opened = open_database(settings.effective_database_url)
    yield opened
    opened.close()


@pytest.fixture
def experiment_id(http: TestClient, spec: JsonObject) -> str:
    """A queued experiment."""
    return str(http.post("/experiments", json=spec).json()["id"])


class ForwardProxy(BaseHTTPRequestHandler):
    """Says what it was asked for."""

    def do_GET(self) -> None:
        self.send_response(502, "Bad Gateway")
        self.end_headers()
        self.wfile.write(f"asked for {self.path}".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def forward_proxy() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), ForwardProxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
