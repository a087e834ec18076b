"""One real MLflow server for all tests of tracking, and a store for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.store.database import Database, open_database
from orchestrator.tracking.client import open_client
from tests.orchestrator.mlflow_server import MlflowServer


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    try:
        server.start()
        yield server.url
    finally:
        server.kill()


@pytest.fixture
def client(mlflow_url: str) -> MlflowClient:
    return open_client(mlflow_url)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    yield database
    database.close()
