"""Clients of the one real MLflow server, and a store for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.store.database import Database, open_database
from orchestrator.tracking.mlflow.client import open_client
from orchestrator.tracking.mlflow.tracker import MlflowTracker


@pytest.fixture
def client(mlflow_url: str) -> MlflowClient:
    return open_client(mlflow_url)


@pytest.fixture
def tracker(mlflow_url: str) -> MlflowTracker:
    return MlflowTracker(mlflow_url)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    yield database
    database.close()
