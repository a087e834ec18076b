"""The MLflow server: one client that gives up quickly, and what its errors mean.

The outbox retries for ever, so a single call should not: MLflow's own retries would hold the shipper for minutes.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from orchestrator.addresses import without_passwords
from orchestrator.loopback import keep_from_proxies
from orchestrator.tracking.mlflow.naming import SPEC_NAME
from orchestrator.tracking.tracker import TrackerRefusedError, TrackerUnavailableError

_log = logging.getLogger(__name__)

_GENTLE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    # A closed run would otherwise be announced on stdout, where a driver prints its report.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's client would otherwise report its use to the outside.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_NOT_FOUND = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)
_SERVER_ERRORS = frozenset({"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED"})
_FIRST_SERVER_ERROR = 500


def open_client(tracking_uri: str) -> MlflowClient:
    """A client of one server, whatever the process's own tracking URI is.

    MLflow reads its limits and proxies from the environment at every call: they are set for the whole process, unless
    it has its own.
    """
    for name, value in _GENTLE.items():
        os.environ.setdefault(name, value)
    keep_from_proxies(os.environ)
    return MlflowClient(tracking_uri=tracking_uri)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what MLflow's client raises into a tracker's two errors.

    Raises:
        TrackerUnavailableError: nobody answers, or the server fails.
        TrackerRefusedError: this request is refused.
    """
    try:
        yield
    except MlflowException as error:
        # Without an answer the client says INTERNAL_ERROR, too.
        if error.error_code in _SERVER_ERRORS:
            raise TrackerUnavailableError(_first_line(error)) from error
        raise TrackerRefusedError(_first_line(error), is_missing=error.error_code == _NOT_FOUND) from error
    except requests.RequestException as error:
        # Artifacts go past MLflow's own error handling.
        response = error.response
        if response is None or response.status_code >= _FIRST_SERVER_ERROR:
            raise TrackerUnavailableError(_first_line(error)) from error
        raise TrackerRefusedError(_first_line(error), is_missing=False) from error


def ensure_experiment(client: MlflowClient, name: str) -> str:
    """Id of the MLflow experiment of this name; made if it is not there, restored if somebody deleted it."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, tags={SPEC_NAME: name}))
        except MlflowException as error:
            # Somebody else was faster.
            _log.debug("MLflow experiment %s: %s", name, _first_line(error))
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    if not _is_ours(found, name):
        client.set_experiment_tag(found.experiment_id, SPEC_NAME, name)
    return str(found.experiment_id)


def has_experiment(client: MlflowClient, mlflow_experiment_id: str, name: str) -> bool:
    """Whether this server is the one that gave us this id (another server may use it for something else)."""
    try:
        found = client.get_experiment(mlflow_experiment_id)
    except MlflowException as error:
        if error.error_code == _NOT_FOUND:
            return False
        raise
    return _is_ours(found, name)


def _is_ours(experiment: Experiment, name: str) -> bool:
    # By tag, not by name: people rename experiments.
    return SPEC_NAME in experiment.tags and bool(experiment.tags[SPEC_NAME] == name)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    # MLflow quotes the address that it asked, password and all.
    return without_passwords(lines[0]) if lines else type(error).__name__
