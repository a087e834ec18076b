"""One trial as one MLflow run.

Everything that is sent is a function of the store's rows (timestamps included), so sending it again after a crash
changes nothing.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from orchestrator.arm_labels import arm_labels
from orchestrator.report.bias_view_figure import mean_views_figure
from orchestrator.report.bias_views import mean_views
from orchestrator.report.content import BiasSeries, TrialRecord
from orchestrator.report.field_map_figure import mean_field_figure
from orchestrator.report.field_means import mean_fields
from orchestrator.report.figures import render, sigma_panels
from orchestrator.report.learned_bias import bias_series
from orchestrator.report.markdown import escape, grid
from orchestrator.report.numbers import with_unit
from orchestrator.report.tables import bias_table, without_constant_columns
from orchestrator.statistics.metric import metric_named
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.tables import ExperimentRow, MetricRow, TrialRow
from orchestrator.store.telemetry import mark_shipped
from orchestrator.stored_bias import has_views, read_views
from orchestrator.stored_maps import read_maps
from orchestrator.stored_report import trial_record
from orchestrator.stored_spec import stored_spec
from orchestrator.tracking.client import MAX_METRICS_PER_BATCH
from orchestrator.tracking.naming import (
    NOTE,
    RUN_STATUS,
    closing_tags,
    delta_key,
    params_of,
    run_name,
    tracked_key,
    trial_key,
    trial_tags,
)
from orchestrator.tracking.outbox import claim_run, close_trial, pair_partners, unshipped_metrics
from trainers.result import TrialResult

TABLE = "sigma_by_layer.json"
FIGURE = "sigma_by_layer.png"
FIELD_FIGURE, VIEW_FIGURE = "receptive_field.png", "learned_bias.png"


class Shipped(NamedTuple):
    """What was sent."""

    metrics: int
    """Metric values."""
    closed: bool
    """Whether the run is complete now."""


class TrialRuns:
    """Ships the trials of one experiment."""

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
        spec = stored_spec(experiment)
        self._metric = spec.primary_metric
        self._arms = spec.arms

    def ship(self, trial: TrialRow, known_runs: Mapping[str, str]) -> Shipped:
        """Send all that is new of a trial, and close its run if it has ended.

        Args:
            trial: the trial.
            known_runs: trial key -> run, of runs that exist on the server but may be missing in the store (a crash
                between making a run and noting it).
        """
        if _never_ran(trial):
            with self._database.write() as session:
                return Shipped(0, close_trial(session, trial))
        run_id = self._run_of(trial, known_runs)
        if trial.status == TrialStatus.RUNNING and trial.attempt > 1:
            # The run may have been closed by an attempt that failed.
            self._client.update_run(run_id, status="RUNNING")
        shipped = self._ship_curves(trial, run_id)
        is_ended = TrialStatus(trial.status).is_final
        return Shipped(shipped, is_ended and self._close(trial, run_id))

    def _run_of(self, trial: TrialRow, known_runs: Mapping[str, str]) -> str:
        """The trial's run; made once, whoever dies in between."""
        if trial.run_id is not None:
            return trial.run_id
        key = trial_key(trial)
        if key in known_runs:
            run_id = known_runs[key]
        else:
            run = self._client.create_run(
                self._mlflow_id,
                start_time=_milliseconds(_started_at(trial)),
                tags=trial_tags(trial, self._experiment, self._arms),
                run_name=run_name(trial, arm_labels(self._arms)),
            )
            run_id = run.info.run_id
        with self._database.write() as session:
            counts = claim_run(session, trial.id, run_id)
        if counts != run_id:
            self._client.delete_run(run_id)
        # Now, so that a running trial shows them; once more at its end, in case this process dies here.
        self._client.log_batch(counts, params=_params(trial))
        return counts

    def _ship_curves(self, trial: TrialRow, run_id: str) -> int:
        shipped = 0
        while True:
            with self._database.read() as session:
                rows = unshipped_metrics(session, trial.id, MAX_METRICS_PER_BATCH)
            if not rows:
                return shipped
            self._client.log_batch(run_id, metrics=[_metric_of(row) for row in rows])
            with self._database.write() as session:
                mark_shipped(session, [row.id for row in rows])
            shipped += len(rows)

    def _close(self, trial: TrialRow, run_id: str) -> bool:
        with self._database.read() as session:
            partners = pair_partners(session, trial, self._experiment.control)
        record = trial_record(trial)
        bias = bias_series([record])
        tags, metrics = closing_tags(trial), []
        if record.result is not None:
            if record.result.best_epoch is not None:
                tags["sigmalab.best_epoch"] = str(record.result.best_epoch)
            metrics = _final_metrics(trial, record.result)
            if trial.reused_from is not None:
                metrics += _reused_curves(trial, record.result)
        if bias:
            self._log_sigma(run_id, bias)
            tags["mlflow.loggedArtifacts"] = json.dumps([{"path": TABLE, "type": "table"}])
        if record.result is not None and any(each.kind == "receptive_field" for each in record.config.analyses):
            self._log_receptive_field(run_id, trial, record)
        if trial.status == TrialStatus.SUCCEEDED and has_views(trial):
            self._log_position_bias(run_id, trial, record)
        effect = None
        if trial.arm == self._experiment.control:
            self._ship_deltas(trial, partners)
        else:
            delta = next((found for found in (self._delta(control, trial) for control in partners) if found), None)
            effect = delta.value if delta else None
            metrics += [delta] if delta else []
        tags[NOTE] = _note(record, self._experiment, self._metric, effect, bias)
        for start in range(0, len(metrics), MAX_METRICS_PER_BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + MAX_METRICS_PER_BATCH])
        run_tags = [RunTag(name, value) for name, value in tags.items()]
        self._client.log_batch(run_id, params=_params(trial), tags=run_tags)
        self._client.set_terminated(
            run_id, status=RUN_STATUS[TrialStatus(trial.status)], end_time=_milliseconds(_ended_at(trial))
        )
        with self._database.write() as session:
            return close_trial(session, trial)

    def _ship_deltas(self, control: TrialRow, treatments: Sequence[TrialRow]) -> None:
        """A control that ends last completes the pairs of treatments whose runs are closed already."""
        for treatment in treatments:
            delta = self._delta(control, treatment)
            # A treatment without a run sends its difference itself when its turn comes.
            if delta is not None and treatment.run_id is not None:
                self._client.log_batch(treatment.run_id, metrics=[delta])

    def _delta(self, control: TrialRow, treatment: TrialRow) -> Metric | None:
        """The pair's difference, timed by whichever ended last (`None`: the pair is incomplete)."""
        effect = self._effect(control, treatment)
        if effect is None:
            return None
        when = _milliseconds(max(_ended_at(control), _ended_at(treatment)))
        return Metric(delta_key(self._metric), effect, when, 0)

    def _effect(self, control: TrialRow, treatment: TrialRow) -> float | None:
        """Difference in the unit of comparisons (`None`: the pair is incomplete)."""
        for row in (control, treatment):
            if row.status != TrialStatus.SUCCEEDED or row.phase != Phase.CONFIRM:
                return None
            if self._metric not in row.final_metrics:
                return None
        scale = metric_named(self._metric).scale
        return float(treatment.final_metrics[self._metric] - control.final_metrics[self._metric]) * scale

    def _log_sigma(self, run_id: str, bias: Sequence[BiasSeries]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            # MLflow's own table format. Its `log_table` appends to what is there: sent twice, it would double.
            Path(folder, TABLE).write_text(json.dumps(sigma_by_layer(bias)))
            Path(folder, FIGURE).write_bytes(render(sigma_panels(bias), "png"))
            self._client.log_artifacts(run_id, folder)

    def _log_receptive_field(self, run_id: str, trial: TrialRow, record: TrialRecord) -> None:
        """The trial's own maps as a picture; nothing where they can't be read (the summary's report says so)."""
        stored = read_maps(trial, self._storage)
        if isinstance(stored, str):
            return
        is_trained = record.result is not None and bool(record.result.epochs)
        means = list(mean_fields(record.cell, record.arm, {record.seed: stored}, is_trained=is_trained))
        self._log_picture(run_id, FIELD_FIGURE, mean_field_figure(means))

    def _log_position_bias(self, run_id: str, trial: TrialRow, record: TrialRecord) -> None:
        """What the trial's middle token sees of it, layer by layer; nothing where that can't be read."""
        stored = read_views(trial, self._storage)
        if isinstance(stored, str):
            return
        views = list(mean_views(record.cell, record.arm, [record], {record.seed: stored}))
        self._log_picture(run_id, VIEW_FIGURE, mean_views_figure(views))

    def _log_picture(self, run_id: str, name: str, figure: Figure) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, name)
            file.write_bytes(render(figure, "png"))
            self._client.log_artifact(run_id, str(file))


def sigma_by_layer(bias: Sequence[BiasSeries]) -> dict[str, list[object]]:
    """Learned sigma and A of one trial, a row per layer (or head), in pandas' `split` orientation."""
    rows: dict[tuple[int, int | None], list[float | None]] = {}
    for series in bias:
        row = rows.setdefault((series.layer, series.head), [None, None, None, None])
        start = 0 if series.quantity == "sigma" else 2
        row[start : start + 2] = [series.initial, series.final_mean]
    return {
        "columns": ["layer", "head", "sigma_initial", "sigma_final", "amplitude_initial", "amplitude_final"],
        "data": [[layer, head, *values] for (layer, head), values in rows.items()],
    }


def _never_ran(trial: TrialRow) -> bool:
    """Cancelled before it began: there is nothing to show."""
    return trial.status == TrialStatus.CANCELLED and trial.attempt == 0


def _params(trial: TrialRow) -> list[Param]:
    """The trial's config; far below the 100 params that one request holds."""
    return [Param(name, value) for name, value in params_of(trial_record(trial).config).items()]


def _metric_of(row: MetricRow) -> Metric:
    # The original time makes a second sending the same point, which MLflow stores once.
    return Metric(tracked_key(row.key), row.value, _milliseconds(row.recorded_at), row.step)


def _final_metrics(trial: TrialRow, result: TrialResult) -> list[Metric]:
    """`best_val/...` and `test/...`; the last epoch's values are in the curves already.

    At step 0, for which MLflow draws bars side by side (at any other step: dots on a line).
    """
    in_curves = {key for report in result.epochs for key in report.metrics}
    when = _milliseconds(_ended_at(trial))
    return [Metric(tracked_key(key), value, when, 0) for key, value in result.metrics.items() if key not in in_curves]


def _reused_curves(trial: TrialRow, result: TrialResult) -> list[Metric]:
    """Curves of a trial that was not trained again, as if it had ended when it was taken over."""
    start = _started_at(trial)
    ends = accumulate(report.seconds for report in result.epochs)
    return [
        Metric(tracked_key(key), value, _milliseconds(start + timedelta(seconds=seconds)), report.epoch)
        for report, seconds in zip(result.epochs, ends, strict=True)
        for key, value in report.metrics.items()
    ]


def _note(
    trial: TrialRecord, experiment: ExperimentRow, metric: str, effect: float | None, bias: Sequence[BiasSeries]
) -> str:
    """The run's description."""
    where = f"{trial.cell.dataset} with {trial.cell.model}"
    lines = [
        f"**{escape(trial.arm)}**, seed {trial.seed}, {escape(where)}; {trial.phase.value} phase of `{experiment.id}`"
    ]
    if trial.reused_from is not None:
        lines.append(f"Not trained again: an identical trial of `{trial.reused_from}` stands in.")
    if trial.error:
        lines.append(f"**{trial.status.value}**: {escape(trial.error)}")
    if trial.result is not None and metric in trial.result.metrics:
        shown = metric_named(metric)
        unit = "%" if shown.unit == "pp" else shown.unit
        best_epoch = trial.result.best_epoch
        at = "of the initial weights" if best_epoch is None else f"at the best validation epoch ({best_epoch}, from 0)"
        text = with_unit(f"{metric} = {trial.result.metrics[metric] * shown.scale:.2f}", unit)
        lines.append(escape(f"{text}, measured once {at}"))
        if effect is not None:
            lines.append(f"Difference from the control of the same seed: **{with_unit(f'{effect:+.2f}', shown.unit)}**")
    if bias:
        lines.append(grid(without_constant_columns(bias_table(bias))))
    return "\n\n".join(lines)


def _started_at(trial: TrialRow) -> datetime:
    if trial.started_at is not None:
        return trial.started_at
    # A stand-in never started: its run shows the time that the original took.
    return _ended_at(trial) - timedelta(seconds=trial.training_seconds or 0.0)


def _ended_at(trial: TrialRow) -> datetime:
    if trial.ended_at is None:
        raise ValueError(f"trial {trial.id} ({trial.status}) has no time of its end")
    return trial.ended_at


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
