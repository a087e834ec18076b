"""How runs and metrics are called in MLflow: what its pages and its limits ask for."""

import re
from datetime import datetime

from orchestrator.status import TrialStatus
from orchestrator.tracking.tracker import NewRun

NOTE = "mlflow.note.content"
SPEC_NAME = "sigmalab.name"

RUN_STATUS: dict[str, str] = {
    TrialStatus.SUCCEEDED: "FINISHED",
    TrialStatus.FAILED: "FAILED",
    TrialStatus.PRUNED: "KILLED",
    TrialStatus.CANCELLED: "KILLED",
}
"""Of trials; an experiment's statuses have the same names."""

_NOT_IN_KEY = re.compile(r"[^\w\-. :/]")


def run_tags(run: NewRun) -> dict[str, str]:
    """A run's own tags, and those that MLflow's pages read."""
    tags = {"mlflow.runName": run.name, "mlflow.source.name": "sigmalab", "mlflow.user": "sigmalab", **run.tags}
    return tags if run.color is None else tags | {"mlflow.runColor": run.color}


def tracked_key(key: str) -> str:
    """A metric, as MLflow calls it: characters that it refuses become `_`, `amplitude/00` is `gaussian_amplitude/00`.

    MLflow sorts its chart sections by name; accuracies and differences should come before amplitudes.
    """
    renamed = key.replace("amplitude/", "gaussian_amplitude/", 1) if key.startswith("amplitude/") else key
    return _NOT_IN_KEY.sub("_", renamed)


def milliseconds(time: datetime) -> int:
    """A moment as MLflow counts it: since 1970, UTC."""
    return int(time.timestamp() * 1000)
