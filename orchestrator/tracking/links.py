"""Links into MLflow's pages. Pure: importing this loads no MLflow."""

import json
from collections.abc import Sequence
from urllib.parse import quote


def experiment_link(tracking_uri: str, mlflow_experiment_id: str) -> str:
    """All runs of an MLflow experiment."""
    return f"{tracking_uri.rstrip('/')}/#/experiments/{quote(mlflow_experiment_id)}"


def run_link(tracking_uri: str, mlflow_experiment_id: str, run_id: str) -> str:
    """One run."""
    return f"{experiment_link(tracking_uri, mlflow_experiment_id)}/runs/{quote(run_id)}"


def chart_link(tracking_uri: str, mlflow_experiment_id: str, experiment_id: str) -> str:
    """Curves of one experiment's trials, each arm in its colour (others may share the name, hence the MLflow one)."""
    runs = quote(f"tags.`sigmalab.experiment_id` = '{experiment_id}' and tags.phase = 'confirm'")
    page = f"{experiment_link(tracking_uri, mlflow_experiment_id)}/runs"
    return f"{page}?searchFilter={runs}&orderByKey=tags.%60pair%60&orderByAsc=true&compareRunsMode=CHART"


def compare_link(tracking_uri: str, mlflow_experiment_id: str, run_ids: Sequence[str]) -> str:
    """Several runs side by side (MLflow's page gets slow beyond about 100 runs)."""
    runs, experiments = (quote(json.dumps(ids)) for ids in (list(run_ids), [mlflow_experiment_id]))
    return f"{tracking_uri.rstrip('/')}/#/compare-runs?runs={runs}&experiments={experiments}"
