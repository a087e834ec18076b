"""One MLflow run per experiment that holds its comparisons, its report and its figures."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from orchestrator.report.content import Report
from orchestrator.report.files import write_report
from orchestrator.report.markdown import escape, to_short_markdown
from orchestrator.report.numbers import signed, with_unit
from orchestrator.report.tables import comparison_table
from orchestrator.statistics.comparison import Comparison
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.tables import ExperimentRow, TrialRow
from orchestrator.store.trials import summaries_of
from orchestrator.stored_report import comparisons_of, confirm_trials, read_experiment, report_of
from orchestrator.tracking.client import MAX_METRICS_PER_BATCH
from orchestrator.tracking.naming import EXPERIMENT_ID, NOTE, SUMMARY, SUMMARY_STATUS, TRIAL, metric_key
from orchestrator.tracking.outbox import claim_summary_run, close_summary

TABLE = "comparisons.json"
REPORT_FOLDER = "report"


class SummaryRuns:
    """Ships the summary of one experiment: deltas while it runs, everything once it has ended."""

    def __init__(
        self,
        client: MlflowClient,
        database: Database,
        experiment: ExperimentRow,
        mlflow_id: str,
        storage: Path | None = None,
    ) -> None:
        self._client = client
        self._database = database
        self._experiment = experiment
        self._mlflow_id = mlflow_id
        self._storage = storage

    def ship_progress(self, known_runs: Mapping[str, str]) -> None:
        """Bring the deltas up to date with the pairs that are complete."""
        run_id = self._run(known_runs)
        self._client.update_run(run_id, status="RUNNING")
        with self._database.read() as session:
            comparisons = comparisons_of(session, self._experiment)
            trials = confirm_trials(session, self._experiment.id)
        self._log_metrics(run_id, list(_delta_metrics(comparisons, trials)))

    def ship_end(self, known_runs: Mapping[str, str], mlflow_url: str) -> bool:
        """Send deltas, report and figures, close the run; gives whether it is up to date now."""
        run_id = self._run(known_runs)
        with self._database.read() as session:
            stored = read_experiment(session, self._experiment.id)
            trials = confirm_trials(session, self._experiment.id)
        report = report_of(stored, mlflow_url=mlflow_url, storage=self._storage)
        self._log_metrics(run_id, list(_delta_metrics(report.comparisons, trials)))
        ended_at = _milliseconds(self._experiment.ended_at or self._experiment.updated_at)
        self._log_metrics(run_id, list(_final_metrics(report, ended_at)))
        with tempfile.TemporaryDirectory() as folder:
            write_report(report, Path(folder, REPORT_FOLDER))
            # MLflow's own table format (its `log_table` would append to what an earlier sending left).
            table = comparison_table(report.for_people())
            Path(folder, TABLE).write_text(json.dumps({"columns": table.columns, "data": table.rows}))
            self._client.log_artifacts(run_id, folder)
        tags = _tags(report)
        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        self._delete_doubles()
        status = SUMMARY_STATUS[ExperimentStatus(self._experiment.status)]
        self._client.set_terminated(run_id, status=status, end_time=ended_at)
        with self._database.write() as session:
            return close_summary(session, self._experiment)

    def _run(self, known_runs: Mapping[str, str]) -> str:
        """The summary's run; made once, whoever dies in between."""
        experiment = self._experiment
        if experiment.summary_run_id is not None:
            return experiment.summary_run_id
        key = summary_key(experiment.id)
        if key in known_runs:
            run_id = known_runs[key]
        else:
            tags = {
                "mlflow.source.name": "sigmalab",
                "mlflow.user": "sigmalab",
                "phase": SUMMARY,
                EXPERIMENT_ID: experiment.id,
                TRIAL: key,
                "sigmalab.digest": experiment.digest,
                NOTE: escape(experiment.question),
            }
            run = self._client.create_run(
                self._mlflow_id,
                start_time=_milliseconds(experiment.created_at),
                tags=tags,
                run_name=f"{SUMMARY} {experiment.id}",
            )
            run_id = run.info.run_id
        with self._database.write() as session:
            counts = claim_summary_run(session, experiment.id, run_id)
        if counts != run_id:
            self._client.delete_run(run_id)
        self._client.log_batch(counts, params=[Param("control", experiment.control)])
        return counts

    def _log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        for start in range(0, len(metrics), MAX_METRICS_PER_BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + MAX_METRICS_PER_BATCH])

    def _delete_doubles(self) -> None:
        """Delete runs of a shipper that died between losing a race for a run and deleting its own."""
        with self._database.read() as session:
            rows = summaries_of(session, self._experiment.id)
        counting = {row.run_id for row in rows}
        for key, run_id in all_runs(self._client, self._mlflow_id, self._experiment.id):
            if key != summary_key(self._experiment.id) and run_id not in counting:
                self._client.delete_run(run_id)


def summary_key(experiment_id: str) -> str:
    """What the summary's run is searched by before another one is made."""
    return f"{experiment_id}/{SUMMARY}"


def all_runs(client: MlflowClient, mlflow_id: str, experiment_id: str) -> Iterator[tuple[str, str]]:
    """(trial key, run) of every run of an experiment on the server."""
    page_token: str | None = None
    while True:
        page = client.search_runs(
            [mlflow_id],
            filter_string=f"tags.`{EXPERIMENT_ID}` = '{experiment_id}'",
            max_results=1000,
            order_by=["attributes.start_time ASC"],
            page_token=page_token,
        )
        for run in page:
            yield run.data.tags[TRIAL], run.info.run_id
        page_token = page.token
        if not page_token:
            return


def _delta_metrics(comparisons: Sequence[Comparison], trials: Sequence[TrialRow]) -> Iterator[Metric]:
    """Effect and interval by number of pairs (the step), so that the chart shows them settle.

    A point's time is the end of the last trial behind it: sent while the experiment runs and again at its end, it is
    the same point.
    """
    ended_at = {(row.cell, row.arm, row.seed): row.ended_at for row in trials}
    for comparison in comparisons:
        if comparison.effect is None:
            continue
        when = _milliseconds(max(_ends(comparison, ended_at)))
        values = {
            "delta": comparison.effect,
            "delta_ci_low": comparison.ci_low,
            "delta_ci_high": comparison.ci_high,
            "p_value": comparison.p_value,
        }
        yield from _metrics(values, comparison, when)


def _metrics(values: Mapping[str, float | None], comparison: Comparison, when: int) -> Iterator[Metric]:
    """Those that there are, by name, cell and treatment."""
    for name, value in values.items():
        if value is not None:
            key = metric_key(name, comparison.cell.key, comparison.treatment)
            yield Metric(key, value, when, comparison.num_pairs)


def _ends(comparison: Comparison, ended_at: Mapping[tuple[str, str, int], datetime | None]) -> Iterator[datetime]:
    for pair in comparison.pairs:
        if pair.effect is None:
            continue
        for arm in (comparison.control, comparison.treatment):
            end = ended_at[comparison.cell.key, arm, pair.seed]
            if end is not None:
                yield end


def _final_metrics(report: Report, when: int) -> Iterator[Metric]:
    """What depends on all comparisons together."""
    for comparison in report.comparisons:
        corrected = {
            "p_holm": comparison.p_holm,
            "delta_simultaneous_low": comparison.simultaneous_low,
            "delta_simultaneous_high": comparison.simultaneous_high,
        }
        yield from _metrics(corrected, comparison, when)
    for effect in report.pooled:
        values = {"delta": effect.effect, "delta_ci_low": effect.ci_low, "delta_ci_high": effect.ci_high}
        for name, value in values.items():
            if value is not None:
                yield Metric(metric_key(f"{name}_pooled", effect.treatment), value, when, effect.num_seeds)
    for comparison in report.receptive_fields.comparisons if report.receptive_fields else ():
        yield from _field_metrics(comparison, when)


def _field_metrics(comparison: Comparison, when: int) -> Iterator[Metric]:
    """`receptive_field_delta/<metric>/<cell>/<treatment>`: what training made of it; `..._initial_delta/...` before."""
    prefix, _, name = comparison.metric.partition("/")
    values = {"delta": comparison.effect, "delta_ci_low": comparison.ci_low, "delta_ci_high": comparison.ci_high}
    for kind, value in values.items():
        if value is not None:
            key = metric_key(f"{prefix}_{kind}", name, comparison.cell.key, comparison.treatment)
            yield Metric(key, value, when, comparison.num_pairs)


def _tags(report: Report) -> dict[str, str]:
    answers = [
        f"{comparison.treatment}: {comparison.verdict.value} "
        f"({with_unit(signed(comparison.effect, report.decimals), comparison.unit)})"
        for comparison in report.comparisons
    ]
    return {
        NOTE: to_short_markdown(report.for_people()),
        # A tag holds 5,000 characters; the description and the report have all of them.
        "verdict": "; ".join(answers)[:500],
        "sigmalab.status": report.experiment.status.value,
        "mlflow.loggedArtifacts": json.dumps([{"path": TABLE, "type": "table"}]),
    }


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
