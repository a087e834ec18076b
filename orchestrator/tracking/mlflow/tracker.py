"""The runs of experiments as MLflow has them: a spec's name is the MLflow experiment, runs are flat in it.

MLflow stores a point that is sent again with its time, step and value once, and refuses a param that changes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag

from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.tracking.mlflow.client import ensure_experiment, has_experiment, open_client, translated_errors
from orchestrator.tracking.mlflow.links import NAME, chart_link
from orchestrator.tracking.mlflow.naming import NOTE, RUN_STATUS, milliseconds, run_tags, tracked_key
from orchestrator.tracking.naming import EXPERIMENT_ID, KEY
from orchestrator.tracking.tracker import NewRun, Point, Tracker, TrackerRefusedError

_MAX_PER_BATCH = 900
"""Metrics in one `log_batch` (MLflow takes 1,000 metrics, params and tags together)."""
_MAX_TAG, _MAX_PARAM = 5000, 6000


class MlflowTracker(Tracker):
    """One MLflow server."""

    name = NAME
    title = "MLflow"

    def __init__(self, tracking_uri: str, link: str | None = None) -> None:
        """Nothing is sent yet.

        Args:
            tracking_uri: the server.
            link: the server as people's browsers reach it (`None`: the same).
        """
        self._client = open_client(tracking_uri)
        self._link = link or tracking_uri
        # Experiments of ours that are known to be on this server.
        self._checked: set[tuple[str, str]] = set()

    @translated_errors()
    def ensure_group(self, experiment_id: str, name: str, known: str | None) -> str:
        """The MLflow experiment with this name."""
        if known is None:
            known = ensure_experiment(self._client, name)
        elif (experiment_id, known) not in self._checked and not has_experiment(self._client, known, name):
            raise TrackerRefusedError(f"MLflow has no experiment {known}", is_missing=True)
        self._checked.add((experiment_id, known))
        return known

    @translated_errors()
    def ensure_run(self, group: str, run: NewRun) -> str:
        """The run with the tag of this key."""
        found = self._client.search_runs([group], filter_string=f"tags.`{KEY}` = '{run.key}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        made = self._client.create_run(
            group, start_time=milliseconds(run.started_at), tags=run_tags(run), run_name=run.name
        )
        return str(made.info.run_id)

    @translated_errors()
    def known_runs(self, group: str, experiment_id: str) -> list[tuple[str, str]]:
        """By the tag of their experiment, oldest first."""
        return list(self._pages(group, experiment_id))

    def _pages(self, group: str, experiment_id: str) -> Iterator[tuple[str, str]]:
        page_token: str | None = None
        while True:
            page = self._client.search_runs(
                [group],
                filter_string=f"tags.`{EXPERIMENT_ID}` = '{experiment_id}'",
                max_results=1000,
                order_by=["attributes.start_time ASC"],
                page_token=page_token,
            )
            for run in page:
                yield run.data.tags[KEY], run.info.run_id
            page_token = page.token
            if not page_token:
                return

    @translated_errors()
    def discard(self, run: str) -> None:
        """MLflow keeps deleted runs in its bin."""
        self._client.delete_run(run)

    @translated_errors()
    def reopen(self, run: str) -> None:
        """Its page says RUNNING again."""
        self._client.update_run(run, status="RUNNING")

    @translated_errors()
    def params(self, run: str, params: Mapping[str, bool | float | str], at: datetime) -> None:
        """Far below the 100 params that one request holds."""
        self._client.log_batch(run, params=[Param(name, str(value)[:_MAX_PARAM]) for name, value in params.items()])

    @translated_errors()
    def log(self, run: str, points: Sequence[Point]) -> None:
        """In batches; the original time makes a second sending the same point."""
        metrics = [Metric(tracked_key(each.key), each.value, milliseconds(each.at), each.step) for each in points]
        for start in range(0, len(metrics), _MAX_PER_BATCH):
            self._client.log_batch(run, metrics=metrics[start : start + _MAX_PER_BATCH])

    @translated_errors()
    def describe(self, run: str, note: str, tags: Mapping[str, str], at: datetime) -> None:
        """The note is the run's description."""
        described = {name: value[:_MAX_TAG] for name, value in tags.items()} | {NOTE: note}
        self._client.log_batch(run, tags=[RunTag(name, value) for name, value in described.items()])

    @translated_errors()
    def attach(self, run: str, folder: Path, at: datetime, tables: Sequence[str] = ()) -> None:
        """As artifacts. A table's file is as `log_table` writes it, which itself would append to an earlier one."""
        self._client.log_artifacts(run, str(folder))
        if tables:
            listed = json.dumps([{"path": table, "type": "table"} for table in tables])
            self._client.log_batch(run, tags=[RunTag("mlflow.loggedArtifacts", listed)])

    @translated_errors()
    def close(self, run: str, status: TrialStatus | ExperimentStatus, at: datetime) -> None:
        """With its end in the run's duration."""
        self._client.set_terminated(run, status=RUN_STATUS[status], end_time=milliseconds(at))

    def link(self, group: str, experiment_id: str) -> str:
        """The charts of its confirm trials."""
        return chart_link(self._link, group, experiment_id)
