"""The report of a stored experiment: rows in, `Report` out; the one place where the two meet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from orchestrator.planning.cells import cells_of
from orchestrator.planning.expansion import CellArm
from orchestrator.planning.findings import Findings
from orchestrator.report import ExperimentFacts, Report, TrialRecord, build_report
from orchestrator.report.parts import WHOLE, ReportParts
from orchestrator.spec import ExperimentSpec
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.inference import AnyTime, FixedNumber, Inference
from orchestrator.statistics.look_plan import Looks
from orchestrator.statistics.looks import PlannedLooks
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.pooling import pool_effects
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.experiments import get_experiment, num_extensions
from orchestrator.store.tables import ExperimentRow, TrialRow
from orchestrator.store.trials import trials_of
from orchestrator.stored_bias import views_of
from orchestrator.stored_maps import maps_of
from orchestrator.stored_predictions import discordant_images_of
from orchestrator.stored_spec import stored_spec
from trainers.config import TrialConfig
from trainers.result import TrialResult


class StoredExperiment(NamedTuple):
    """All that the database knows of an experiment, of one moment."""

    row: ExperimentRow
    """The experiment itself."""
    trials: Sequence[TrialRow]
    """Its trials of both phases."""
    num_extensions: int
    """How often seeds were added."""


def read_experiment(session: Session, experiment_id: str) -> StoredExperiment:
    """What a report is made of; its rows outlive the session, so that none stays open while files are read.

    Raises:
        ExperimentNotFoundError: no such experiment.
    """
    row = get_experiment(session, experiment_id)
    return StoredExperiment(row, trials_of(session, experiment_id), num_extensions(session, experiment_id))


def report_of(
    stored: StoredExperiment,
    *,
    mlflow_url: str | None = None,
    storage: Path | None = None,
    parts: ReportParts = WHOLE,
) -> Report:
    """The report as it stands now.

    Args:
        stored: the experiment.
        mlflow_url: link to the experiment in MLflow, if there is one.
        storage: folder of the trials' folders, for per-image predictions and maps; the report does without where it
            is not.
        parts: what of the maps is wanted.
    """
    row = stored.row
    spec = stored_spec(row)
    cells = _cells(spec)
    rows = newest_of_each(stored.trials)
    status = ExperimentStatus(row.status)
    inference = inference_of(status, stored.num_extensions, spec.planned_looks)
    comparisons = compare_rows(spec, cells, rows, inference, _reach(spec, rows))
    return build_report(
        experiment=ExperimentFacts(
            id=row.id,
            name=row.name,
            status=status,
            reason=row.reason,
            created_at=row.created_at,
            ended_at=row.ended_at,
            mlflow_url=mlflow_url,
            num_extensions=stored.num_extensions,
            data_found=row.data_found or {},
        ),
        spec=spec,
        digest=row.digest,
        cells=cells,
        trials=[trial_record(trial) for trial in rows],
        chosen_params=row.chosen_params,
        comparisons=comparisons,
        pooled=pool_effects(comparisons),
        discordant=discordant_images_of(comparisons, rows, storage),
        maps=maps_of(rows, storage) if parts.fields else {},
        views=views_of(rows, storage) if parts.views else {},
        is_measured=parts.fits,
    )


def comparisons_of(session: Session, row: ExperimentRow) -> tuple[Comparison, ...]:
    """The comparisons as they stand now."""
    spec = stored_spec(row)
    inference = inference_of(ExperimentStatus(row.status), num_extensions(session, row.id), spec.planned_looks)
    rows = confirm_trials(session, row.id)
    return compare_rows(spec, _cells(spec), rows, inference, _reach(spec, rows))


def inference_of(status: ExperimentStatus, num_extensions: int, looks: Looks | None = None) -> Inference:
    """What interval and p have to be right about, by how the experiment came to have so many pairs.

    Args:
        status: where it stands. Who looks at a running one may cancel it for what is seen, and one that was cancelled
            may have been for that.
        num_extensions: how often seeds were added once results could be known.
        looks: that were planned beforehand, and kept to: each comparison has ended at one of them.
    """
    if looks is not None:
        return PlannedLooks(looks) if status is ExperimentStatus.SUCCEEDED else AnyTime()
    is_as_planned = status.is_final and status is not ExperimentStatus.CANCELLED and not num_extensions
    return FixedNumber() if is_as_planned else AnyTime()


def confirm_trials(session: Session, experiment_id: str) -> list[TrialRow]:
    """Confirm trials, one of each, without config and curves (which are the bulk of a row and stay unread)."""
    query = select(TrialRow).where(TrialRow.experiment_id == experiment_id, TrialRow.phase == Phase.CONFIRM)
    bulk = (TrialRow.config, TrialRow.result)
    return newest_of_each(list(session.scalars(query.options(*(defer(column) for column in bulk)))))


def newest_of_each(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """One row per phase, cell, arm, seed and params: the one planned last.

    Several rows share them if the code changed between two attempts of the driver: their identities differ, and a
    pair counts only once.
    """
    newest: dict[tuple[str, str, str, int, str], TrialRow] = {}
    for row in sorted(rows, key=lambda row: row.id):
        # In the confirm phase params are fixed; in the search phase they are what tells candidates apart.
        params = repr(sorted(row.params.items())) if row.phase == Phase.SEARCH else ""
        newest[row.phase, row.cell, row.arm, row.seed, params] = row
    return list(newest.values())


def _reach(spec: ExperimentSpec, rows: Sequence[TrialRow]) -> dict[CellArm, int] | None:
    """(cell key, arm) -> how many of the seeds its rows reach to (`None`: all, no look ends one earlier)."""
    if spec.planned_looks is None:
        return None
    places = {seed: place for place, seed in enumerate(spec.seeds, start=1)}
    reach = {(cell.key, arm.name): 0 for cell in _cells(spec) for arm in spec.arms}
    for row in rows:
        if row.phase == Phase.CONFIRM:
            reach[row.cell, row.arm] = max(reach[row.cell, row.arm], places[row.seed])
    return reach


def compare_rows(
    spec: ExperimentSpec,
    cells: Sequence[Cell],
    rows: Sequence[TrialRow],
    inference: Inference,
    reach: Mapping[CellArm, int] | None,
) -> tuple[Comparison, ...]:
    """Comparisons of an experiment's rows; see `compare_arms`."""
    by_key = {cell.key: cell for cell in cells}
    outcomes = [
        TrialOutcome(
            cell=by_key[row.cell],
            arm=row.arm,
            seed=row.seed,
            status=TrialStatus(row.status),
            error=row.error,
            metrics=row.final_metrics,
        )
        for row in rows
        if row.phase == Phase.CONFIRM
    ]
    return compare_arms(
        cells=cells,
        control=spec.control.name,
        treatments=[arm.name for arm in spec.treatments],
        seeds=spec.seeds,
        outcomes=outcomes,
        metric=spec.primary_metric,
        confidence=spec.confidence,
        equivalence_margin=spec.equivalence_margin,
        inference=inference,
        reach=reach,
    )


def _cells(spec: ExperimentSpec) -> list[Cell]:
    # A stored spec was validated when it came in: there is nothing left to find.
    return [entry.cell for entry in cells_of(spec, Findings())]


def trial_record(row: TrialRow) -> TrialRecord:
    """All that is known of a trial, parsed."""
    # Labels of models and data sets have no slash.
    model, _, dataset = row.cell.partition("/")
    return TrialRecord(
        identity=row.identity,
        cell=Cell(model=model, dataset=dataset),
        arm=row.arm,
        seed=row.seed,
        phase=Phase(row.phase),
        params=row.params,
        config=TrialConfig.model_validate_json(row.config),
        status=TrialStatus(row.status),
        error=row.error,
        attempt=row.attempt,
        reused_from=row.reused_from,
        result=TrialResult.model_validate_json(row.result) if row.result else None,
        mlflow_run_id=row.run_id,
    )
