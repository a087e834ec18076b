"""One run per experiment that holds its comparisons, its report and its figures."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from orchestrator.report.content.report import Report
from orchestrator.report.formats.folder import write_report
from orchestrator.report.formats.markdown import escape, to_short_markdown
from orchestrator.report.sections.comparisons.tables import comparison_table
from orchestrator.report.words.numbers import signed, with_unit
from orchestrator.statistics.comparison import Comparison
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.tables import TrialRow
from orchestrator.store.tracking import EXPERIMENT, runs_of
from orchestrator.stored.report import comparisons_of, read_experiment, report_of
from orchestrator.stored.trials import confirm_trials
from orchestrator.tracking.naming import SUMMARY, summary_key, summary_tags
from orchestrator.tracking.outbox import OpenExperiment, Outbox
from orchestrator.tracking.tracker import NewRun, Point, Tracker

TABLE = "comparisons.json"
REPORT_FOLDER = "report"


class SummaryRuns:
    """Ships the summary of one experiment: deltas while it runs, everything once it has ended."""

    def __init__(
        self, tracker: Tracker, database: Database, experiment: OpenExperiment, group: str, storage: Path | None = None
    ) -> None:
        self._tracker = tracker
        self._outbox = Outbox(tracker.name)
        self._database = database
        self._experiment = experiment.row
        self._known_run = experiment.run_id
        self._group = group
        self._storage = storage

    def ship_progress(self) -> None:
        """Bring the deltas up to date with the pairs that are complete."""
        run = self._run()
        self._tracker.reopen(run)
        with self._database.read() as session:
            comparisons = comparisons_of(session, self._experiment)
            trials = confirm_trials(session, self._experiment.id)
        self._tracker.log(run, list(_delta_points(comparisons, trials)))

    def ship_end(self) -> bool:
        """Send deltas, report and figures, close the run; gives whether it is up to date now."""
        run = self._run()
        with self._database.read() as session:
            stored = read_experiment(session, self._experiment.id)
            trials = confirm_trials(session, self._experiment.id)
        link = self._tracker.link(self._group, self._experiment.id)
        report = report_of(stored, mlflow_url=link, storage=self._storage)
        ended_at = self._experiment.ended_at or self._experiment.updated_at
        self._tracker.log(run, [*_delta_points(report.comparisons, trials), *_final_points(report, ended_at)])
        with tempfile.TemporaryDirectory() as folder:
            write_report(report, Path(folder, REPORT_FOLDER))
            table = comparison_table(report.for_people())
            Path(folder, TABLE).write_text(json.dumps({"columns": table.columns, "data": table.rows}))
            self._tracker.attach(run, Path(folder), ended_at, [TABLE])
        self._tracker.describe(run, to_short_markdown(report.for_people()), _tags(report), ended_at)
        self._discard_doubles()
        self._tracker.close(run, ExperimentStatus(self._experiment.status), ended_at)
        with self._database.write() as session:
            return self._outbox.close_summary(session, self._experiment)

    def _run(self) -> str:
        """The summary's run; made once, whoever dies in between."""
        if self._known_run is not None:
            return self._known_run
        experiment = self._experiment
        new = NewRun(
            experiment_id=experiment.id,
            key=summary_key(experiment.id),
            name=f"{SUMMARY} {experiment.id}",
            tags=summary_tags(experiment),
            started_at=experiment.created_at,
        )
        run = self._tracker.ensure_run(self._group, new)
        with self._database.write() as session:
            counts = self._outbox.claim_run(session, experiment.id, EXPERIMENT, run)
        if counts != run:
            self._tracker.discard(run)
        self._tracker.params(counts, {"control": experiment.control}, experiment.created_at)
        self._tracker.describe(counts, escape(experiment.question), {}, experiment.created_at)
        return counts

    def _discard_doubles(self) -> None:
        """Remove runs of a shipper that died between losing a race for a run and discarding its own."""
        with self._database.read() as session:
            counting = set(runs_of(session, self._tracker.name, self._experiment.id).values())
        for key, run in self._tracker.known_runs(self._group, self._experiment.id):
            if key != summary_key(self._experiment.id) and run not in counting:
                self._tracker.discard(run)


def _delta_points(comparisons: Sequence[Comparison], trials: Sequence[TrialRow]) -> Iterator[Point]:
    """Effect and interval by number of pairs (the step), so that the chart shows them settle.

    A point's time is the end of the last trial behind it: sent while the experiment runs and again at its end, it is
    the same point.
    """
    ended_at = {(row.cell, row.arm, row.seed): row.ended_at for row in trials}
    for comparison in comparisons:
        if comparison.effect is None:
            continue
        when = max(_ends(comparison, ended_at))
        values = {
            "delta": comparison.effect,
            "delta_ci_low": comparison.ci_low,
            "delta_ci_high": comparison.ci_high,
            "p_value": comparison.p_value,
        }
        yield from _points(values, comparison, when)


def _points(values: Mapping[str, float | None], comparison: Comparison, when: datetime) -> Iterator[Point]:
    """Those that there are, by name, cell and treatment."""
    for name, value in values.items():
        if value is not None:
            yield Point(f"{name}/{comparison.cell.key}/{comparison.treatment}", value, when, comparison.num_pairs)


def _ends(comparison: Comparison, ended_at: Mapping[tuple[str, str, int], datetime | None]) -> Iterator[datetime]:
    for pair in comparison.pairs:
        if pair.effect is None:
            continue
        for arm in (comparison.control, comparison.treatment):
            end = ended_at[comparison.cell.key, arm, pair.seed]
            if end is not None:
                yield end


def _final_points(report: Report, when: datetime) -> Iterator[Point]:
    """What depends on all comparisons together."""
    for comparison in report.comparisons:
        corrected = {
            "p_holm": comparison.p_holm,
            "delta_simultaneous_low": comparison.simultaneous_low,
            "delta_simultaneous_high": comparison.simultaneous_high,
        }
        yield from _points(corrected, comparison, when)
    for effect in report.pooled:
        values = {"delta": effect.effect, "delta_ci_low": effect.ci_low, "delta_ci_high": effect.ci_high}
        for name, value in values.items():
            if value is not None:
                yield Point(f"{name}_pooled/{effect.treatment}", value, when, effect.num_seeds)
    for comparison in report.receptive_fields.comparisons if report.receptive_fields else ():
        yield from _field_points(comparison, when)


def _field_points(comparison: Comparison, when: datetime) -> Iterator[Point]:
    """`receptive_field_delta/<metric>/<cell>/<treatment>`: what training made of it; `..._initial_delta/...` before."""
    prefix, _, name = comparison.metric.partition("/")
    values = {"delta": comparison.effect, "delta_ci_low": comparison.ci_low, "delta_ci_high": comparison.ci_high}
    for kind, value in values.items():
        if value is not None:
            key = f"{prefix}_{kind}/{name}/{comparison.cell.key}/{comparison.treatment}"
            yield Point(key, value, when, comparison.num_pairs)


def _tags(report: Report) -> dict[str, str]:
    answers = [
        f"{comparison.treatment}: "
        f"{comparison.verdict_text(is_over=report.is_over, is_repeated=report.is_repeated(comparison))} "
        f"({with_unit(signed(comparison.effect, report.decimals), comparison.unit)})"
        for comparison in report.comparisons
    ]
    return {
        # A table of runs has little room; the description and the report have all of them.
        "verdict": "; ".join(answers)[:500],
        "sigmalab.status": report.experiment.status.value,
    }
