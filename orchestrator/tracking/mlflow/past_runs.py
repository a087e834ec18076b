"""Runs that others have logged to MLflow, as a table of results."""

import hashlib
import json
from collections import Counter

from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.addresses import without_password
from orchestrator.foreign.results import ForeignResultsError, Row, Table
from orchestrator.spec.complaints import suggestion
from orchestrator.tracking.mlflow.client import open_client, translated_errors

_PAGE = 1000
_OWN_TAGS = "mlflow."


def past_runs(tracking_uri: str, experiment: str) -> Table:
    """All runs of an MLflow experiment that were not deleted, the oldest first.

    Tags, params and metrics are columns of their names; where one of them has a name of another's, that is
    `tags.NAME`, `params.NAME` or `metrics.NAME`, which always exist. A metric is the value that was logged last.
    `status` is MLflow's own.

    Args:
        tracking_uri: address of the server, or a store that MLflow's client reads.
        experiment: the MLflow experiment's name.

    Raises:
        ForeignResultsError: there is no such experiment, or no run in it.
        TrackerUnavailableError: nobody answers.
        TrackerRefusedError: the server refuses.
    """
    client = open_client(tracking_uri)
    with translated_errors():
        found = client.get_experiment_by_name(experiment)
        if found is None:
            known = [each.name for each in client.search_experiments()]
            text = f"MLflow at {without_password(tracking_uri)} has no experiment `{experiment}`"
            raise ForeignResultsError([f"{text}{suggestion(experiment, known)}"])
        runs = _runs(client, found.experiment_id)
    source = f"MLflow experiment {experiment} at {without_password(tracking_uri)}"
    if not runs:
        raise ForeignResultsError([f"{source} has no run"])
    rows = tuple(Row(f"run {run.info.run_name or run.info.run_id}", _values(run)) for run in runs)
    columns = tuple(dict.fromkeys(column for row in rows for column in row.values))
    told = json.dumps([[run.info.run_id, sorted(row.values.items())] for run, row in zip(runs, rows, strict=True)])
    return Table(source, hashlib.sha256(told.encode()).hexdigest(), columns, rows)


def _runs(client: MlflowClient, experiment_id: str) -> list[Run]:
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=_PAGE, page_token=token, order_by=["start_time ASC"])
        runs += page
        token = page.token
        if not token:
            return runs


def _values(run: Run) -> dict[str, str | float | None]:
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith(_OWN_TAGS)}
    groups: dict[str, dict[str, str | float]] = {
        "tags": {**tags},
        "params": dict(run.data.params),
        "metrics": dict(run.data.metrics),
    }
    # Of two of one name, neither: one must say which is meant.
    counts = Counter(name for group in groups.values() for name in group)
    plain = {name: value for group in groups.values() for name, value in group.items() if counts[name] == 1}
    values: dict[str, str | float | None] = {**plain, "status": run.info.status}
    for kind, group in groups.items():
        values |= {f"{kind}.{name}": value for name, value in group.items()}
    return values
