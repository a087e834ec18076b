"""One trial as one run.

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
from sqlalchemy import select

from orchestrator.arm_labels import arm_labels
from orchestrator.report.content.curves import BiasSeries
from orchestrator.report.content.report import TrialRecord
from orchestrator.report.drawing.arm_style import arm_style
from orchestrator.report.drawing.panels import render
from orchestrator.report.formats.markdown import escape, grid
from orchestrator.report.sections.learned_sigma.curves import bias_series
from orchestrator.report.sections.learned_sigma.curves_figure import sigma_panels
from orchestrator.report.sections.learned_sigma.tables import bias_table
from orchestrator.report.sections.position_bias.building import mean_views
from orchestrator.report.sections.position_bias.map_figure import mean_views_figure
from orchestrator.report.sections.receptive_fields.map_figure import mean_field_figure
from orchestrator.report.sections.receptive_fields.means import mean_fields
from orchestrator.report.words.numbers import with_unit
from orchestrator.report.words.table import without_constant_columns
from orchestrator.statistics.metric import metric_named
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.tables import ExperimentRow, MetricRow, TrialRow
from orchestrator.store.tracking import runs_of
from orchestrator.stored.position_bias import has_views, read_trial_views
from orchestrator.stored.receptive_fields import read_trial_maps
from orchestrator.stored.spec import stored_spec
from orchestrator.stored.trials import trial_record
from orchestrator.tracking.naming import closing_tags, delta_key, params_of, run_name, trial_key, trial_tags
from orchestrator.tracking.outbox import OpenTrial, Outbox, pair_partners
from orchestrator.tracking.tracker import NewRun, Point, Tracker
from trainers.analyses.receptive_field_in_trial import receptive_field_in
from trainers.result import TrialResult

TABLE = "sigma_by_layer.json"
FIGURE = "sigma_by_layer.png"
FIELD_FIGURE, VIEW_FIGURE = "receptive_field.png", "learned_bias.png"
_VALUES_AT_ONCE = 900
"""Values between two notes of what was sent."""


class Shipped(NamedTuple):
    """What was sent."""

    metrics: int
    """Metric values."""
    closed: bool
    """Whether the run is complete now."""


class TrialRuns:
    """Ships the trials of one experiment."""

    def __init__(
        self, tracker: Tracker, database: Database, experiment: ExperimentRow, group: str, storage: Path | None = None
    ) -> None:
        self._tracker = tracker
        self._outbox = Outbox(tracker.name)
        self._database = database
        self._experiment = experiment
        self._group = group
        self._storage = storage
        spec = stored_spec(experiment)
        self._metric, self._measure = spec.primary_metric, metric_named(spec.primary_metric, spec.task)
        self._arms = spec.arms

    def ship(self, trial: OpenTrial) -> Shipped:
        """Send all that is new of a trial, and close its run if it has ended."""
        row = trial.row
        if _never_ran(row):
            with self._database.write() as session:
                return Shipped(0, self._outbox.close_trial(session, row))
        run = self._run_of(trial)
        if row.status == TrialStatus.RUNNING and row.attempt > 1:
            # The run may have been closed by an attempt that failed.
            self._tracker.reopen(run)
        shipped = self._ship_curves(row, run)
        is_ended = TrialStatus(row.status).is_final
        return Shipped(shipped, is_ended and self._close(row, run))

    def _run_of(self, trial: OpenTrial) -> str:
        """The trial's run; made once, whoever dies in between."""
        if trial.run_id is not None:
            return trial.run_id
        row = trial.row
        run = self._tracker.ensure_run(self._group, self._new_run(row))
        with self._database.write() as session:
            counts = self._outbox.claim_run(session, row.experiment_id, row.id, run)
        if counts != run:
            self._tracker.discard(run)
        # Now, so that a running trial shows them; once more at its end, in case this process dies here.
        self._tracker.params(counts, params_of(trial_record(row).config), _started_at(row))
        return counts

    def _new_run(self, trial: TrialRow) -> NewRun:
        return NewRun(
            experiment_id=trial.experiment_id,
            key=trial_key(trial),
            name=run_name(trial, arm_labels(self._arms)),
            tags=trial_tags(trial, self._experiment),
            started_at=_started_at(trial),
            color=arm_style(trial.arm, [arm.name for arm in self._arms], self._experiment.control).color,
        )

    def _ship_curves(self, trial: TrialRow, run: str) -> int:
        shipped = 0
        while True:
            with self._database.read() as session:
                rows = self._outbox.unshipped_metrics(session, trial, _VALUES_AT_ONCE)
            if not rows:
                return shipped
            self._tracker.log(run, [_point_of(row) for row in rows])
            with self._database.write() as session:
                self._outbox.mark_shipped(session, trial, rows)
            shipped += len(rows)

    def _close(self, trial: TrialRow, run: str) -> bool:
        with self._database.read() as session:
            partners = pair_partners(session, trial, self._experiment.control)
            runs = runs_of(session, self._tracker.name, trial.experiment_id)
            known = select(MetricRow.key, MetricRow.step).where(MetricRow.trial_id == trial.id)
            sent = {(key, step) for key, step in session.execute(known)}
        record, ended_at = trial_record(trial), _ended_at(trial)
        bias = bias_series([record])
        tags, points = closing_tags(trial), []
        if record.result is not None:
            if record.result.best_epoch is not None:
                tags["sigmalab.best_epoch"] = str(record.result.best_epoch)
            points = _final_points(trial, record.result)
            if trial.reused_from is not None or not sent:
                # Epochs that were trained here before another training stood in are there already, at their own time.
                curves = _curves_of_result(trial, record.result)
                points += [point for point in curves if (point.key, point.step) not in sent]
        self._attach(run, trial, record, bias)
        effect = None
        if trial.arm == self._experiment.control:
            self._ship_deltas(trial, partners, runs)
        else:
            delta = next((found for found in (self._delta(control, trial) for control in partners) if found), None)
            effect = delta.value if delta else None
            points += [delta] if delta else []
        self._tracker.log(run, points)
        self._tracker.params(run, params_of(record.config), _started_at(trial))
        self._tracker.describe(run, _note(record, self._experiment, self._metric, effect, bias), tags, ended_at)
        self._tracker.close(run, TrialStatus(trial.status), ended_at)
        with self._database.write() as session:
            return self._outbox.close_trial(session, trial)

    def _ship_deltas(self, control: TrialRow, treatments: Sequence[TrialRow], runs: Mapping[int, str]) -> None:
        """A control that ends last completes the pairs of treatments whose runs are closed already."""
        for treatment in treatments:
            delta = self._delta(control, treatment)
            # A treatment without a run sends its difference itself when its turn comes.
            if delta is not None and treatment.id in runs:
                self._tracker.log(runs[treatment.id], [delta])

    def _delta(self, control: TrialRow, treatment: TrialRow) -> Point | None:
        """The pair's difference, timed by whichever ended last (`None`: the pair is incomplete)."""
        effect = self._effect(control, treatment)
        if effect is None:
            return None
        return Point(delta_key(self._metric), effect, max(_ended_at(control), _ended_at(treatment)), 0)

    def _effect(self, control: TrialRow, treatment: TrialRow) -> float | None:
        """Difference in the unit of comparisons (`None`: the pair is incomplete)."""
        for row in (control, treatment):
            if row.status != TrialStatus.SUCCEEDED or row.phase != Phase.CONFIRM:
                return None
            if self._metric not in row.final_metrics:
                return None
        difference = float(treatment.final_metrics[self._metric] - control.final_metrics[self._metric])
        return difference * self._measure.scale

    def _attach(self, run: str, trial: TrialRow, record: TrialRecord, bias: Sequence[BiasSeries]) -> None:
        """What there is to see of it: sigma layer by layer, its own maps; nothing where these can't be read.

        The summary's report says so.
        """
        with tempfile.TemporaryDirectory() as name:
            folder, tables = Path(name), []
            if bias:
                tables.append(TABLE)
                (folder / TABLE).write_text(json.dumps(sigma_by_layer(bias)))
                (folder / FIGURE).write_bytes(render(sigma_panels(bias), "png"))
            if field := self._receptive_field(trial, record):
                (folder / FIELD_FIGURE).write_bytes(render(field, "png"))
            if view := self._position_bias(trial, record):
                (folder / VIEW_FIGURE).write_bytes(render(view, "png"))
            if any(folder.iterdir()):
                self._tracker.attach(run, folder, _ended_at(trial), tables)

    def _receptive_field(self, trial: TrialRow, record: TrialRecord) -> Figure | None:
        """The trial's own maps."""
        if record.result is None or receptive_field_in(record.config.analyses) is None:
            return None
        stored = read_trial_maps(trial, self._storage)
        if isinstance(stored, str):
            return None
        is_trained = bool(record.result.epochs)
        means = list(mean_fields(record.cell, record.arm, {record.seed: stored}, is_trained=is_trained))
        return mean_field_figure(means)

    def _position_bias(self, trial: TrialRow, record: TrialRecord) -> Figure | None:
        """What the trial's middle token sees of it, layer by layer."""
        if trial.status != TrialStatus.SUCCEEDED or not has_views(record):
            return None
        stored = read_trial_views(trial, self._storage)
        if isinstance(stored, str):
            return None
        return mean_views_figure(list(mean_views(record.cell, record.arm, [record], {record.seed: stored})))


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


def _point_of(row: MetricRow) -> Point:
    # The original time makes a second sending the same point.
    return Point(row.key, row.value, row.recorded_at, row.step)


def _final_points(trial: TrialRow, result: TrialResult) -> list[Point]:
    """`best_val/...` and `test/...`; the last epoch's values are in the curves already.

    At step 0, for which trackers draw bars side by side (at any other step: dots on a line).
    """
    in_curves = {key for report in result.epochs for key in report.metrics}
    when = _ended_at(trial)
    return [Point(key, value, when, 0) for key, value in result.metrics.items() if key not in in_curves]


def _curves_of_result(trial: TrialRow, result: TrialResult) -> list[Point]:
    """Curves of a trial without values in the store, from its start on.

    It was not trained again (as if it had ended when it was taken over), or ended so long ago that they were removed.
    """
    start = _started_at(trial)
    ends = accumulate(report.seconds for report in result.epochs)
    return [
        Point(key, value, start + timedelta(seconds=seconds), report.epoch)
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
        shown = metric_named(metric, trial.config.task)
        unit = "%" if shown.unit == "pp" else shown.unit
        best_epoch = trial.result.best_epoch
        at = "of the initial weights" if best_epoch is None else f"at the best validation epoch ({best_epoch}, from 0)"
        text = with_unit(f"{metric} = {trial.result.metrics[metric] * shown.scale:.2f}", unit)
        measured = "as its script wrote it" if trial.config.task.runs_itself else f"measured once {at}"
        lines.append(escape(f"{text}, {measured}"))
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
