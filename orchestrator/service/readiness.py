"""Whether the servers that an experiment needs answer right now, each with its reason."""

import httpx

from orchestrator.errors import RayUnavailableError, StoreError
from orchestrator.service.jobs import RayJobs
from orchestrator.service.views import Condition
from orchestrator.store.database import Database

_TIMEOUT_SECONDS = 2.0


def check_readiness(database: Database, jobs: RayJobs, mlflow_uri: str | None) -> dict[str, Condition]:
    """Ask the database, Ray's dashboard and MLflow; none may take long."""
    checks = (_database(database), _ray(jobs), _mlflow(mlflow_uri))
    return {condition.type: condition for condition in checks}


def _database(database: Database) -> Condition:
    try:
        database.ping()
    except StoreError as error:
        return Condition(type="database", ok=False, reason=str(error))
    return Condition(type="database", ok=True, reason=f"{database.name} answers")


def _ray(jobs: RayJobs) -> Condition:
    try:
        jobs.check()
    except RayUnavailableError as error:
        return Condition(type="ray", ok=False, reason=str(error))
    return Condition(type="ray", ok=True, reason="the dashboard answers")


def _mlflow(uri: str | None) -> Condition:
    if uri is None:
        return Condition(type="mlflow", ok=True, reason="no MLflow server is set; the store keeps everything")
    try:
        url = httpx.URL(uri)
        answer = httpx.get(f"{uri.rstrip('/')}/health", timeout=_TIMEOUT_SECONDS, trust_env=False)
    except httpx.InvalidURL as error:
        return Condition(type="mlflow", ok=False, reason=f"MLFLOW_TRACKING_URI is no URL: {error}")
    except httpx.HTTPError as error:
        return Condition(type="mlflow", ok=False, reason=f"MLflow at {url.host} does not answer: {error}")
    if answer.is_error:
        return Condition(type="mlflow", ok=False, reason=f"MLflow at {url.host} answers HTTP {answer.status_code}")
    return Condition(type="mlflow", ok=True, reason=f"MLflow at {url.host} answers")
