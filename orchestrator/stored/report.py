"""The report of a stored experiment: rows in, `Report` out; the one place where the two meet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy.orm import Session

from orchestrator.planning.expansion import CellArm
from orchestrator.report import ExperimentFacts, Report, build_report
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.inference import AnyTime, FixedNumber, Inference
from orchestrator.statistics.look_plan import Looks
from orchestrator.statistics.looks import PlannedLooks
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.pooling import pool_effects
from orchestrator.statistics.two_stage import TwoStages
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.experiments import get_experiment, num_extensions
from orchestrator.store.tables import ExperimentRow, TrialRow
from orchestrator.store.tracking import runs_of
from orchestrator.store.trials import trials_of
from orchestrator.stored.code_diffs import code_diffs_of
from orchestrator.stored.position_bias import views_of
from orchestrator.stored.predictions import class_scores_of, discordant_images_of, guesses_of, image_scores_of
from orchestrator.stored.receptive_fields import maps_of
from orchestrator.stored.shown_images import kept_images_of
from orchestrator.stored.spec import stored_cells, stored_spec
from orchestrator.stored.trials import confirm_trials, stored_trials
from orchestrator.tracking.mlflow.links import NAME as MLFLOW


class StoredExperiment(NamedTuple):
    """All that the database knows of an experiment, of one moment."""

    row: ExperimentRow
    """The experiment itself."""
    trials: Sequence[TrialRow]
    """Its trials of both phases."""
    num_extensions: int
    """How often seeds were added."""
    runs: Mapping[int, str] = MappingProxyType({})
    """Trial -> its run in MLflow, where there is one."""


def read_experiment(session: Session, experiment_id: str) -> StoredExperiment:
    """What a report is made of; its rows outlive the session, so that none stays open while files are read.

    Raises:
        ExperimentNotFoundError: no such experiment.
    """
    row = get_experiment(session, experiment_id)
    return StoredExperiment(
        row,
        trials_of(session, experiment_id),
        num_extensions(session, experiment_id),
        runs_of(session, MLFLOW, experiment_id),
    )


def report_of(
    stored: StoredExperiment,
    *,
    mlflow_url: str | None = None,
    storage: Path | None = None,
    with_maps: bool = True,
) -> Report:
    """The report as it stands now.

    Args:
        stored: the experiment.
        mlflow_url: link to the experiment in MLflow, if there is one.
        storage: folder of the trials' folders, for per-image predictions and maps; the report does without where it
            is not.
        with_maps: whether to read the trials' maps and images, which takes long.
    """
    row = stored.row
    spec = stored_spec(row)
    cells = stored_cells(spec)
    trials = stored_trials(stored.trials, stored.runs)
    rows = [trial.row for trial in trials]
    status = ExperimentStatus(row.status)
    inference = inference_of(status, stored.num_extensions, spec.planned_looks, spec.allocation)
    comparisons = compare_rows(spec, cells, rows, inference, _reach(spec, rows))
    metric = metric_named(spec.primary_metric, spec.task)
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
        trials=[trial.record for trial in trials],
        chosen_params=row.chosen_params,
        comparisons=comparisons,
        pooled=pool_effects(comparisons),
        discordant=discordant_images_of(comparisons, rows, storage, metric),
        guesses=guesses_of(comparisons, rows, storage, metric),
        class_scores=class_scores_of(comparisons, rows, storage, metrics=spec.task.class_metrics),
        image_scores=image_scores_of(comparisons, rows, storage, metrics=spec.task.measured),
        kept_images=kept_images_of(spec, cells, rows, storage) if with_maps else {},
        maps=maps_of(trials, storage) if with_maps else {},
        views=views_of(trials, storage) if with_maps else {},
        code_diffs=code_diffs_of(spec, storage),
    )


def comparisons_of(session: Session, row: ExperimentRow) -> tuple[Comparison, ...]:
    """The comparisons as they stand now."""
    spec = stored_spec(row)
    num_added = num_extensions(session, row.id)
    inference = inference_of(ExperimentStatus(row.status), num_added, spec.planned_looks, spec.allocation)
    rows = confirm_trials(session, row.id)
    return compare_rows(spec, stored_cells(spec), rows, inference, _reach(spec, rows))


def inference_of(
    status: ExperimentStatus, num_extensions: int, looks: Looks | None = None, allocation: Allocation | None = None
) -> Inference:
    """What interval and p have to be right about, by how the experiment came to have so many pairs.

    Args:
        status: where it stands. Who looks at a running one may cancel it for what is seen, one that was cancelled may
            have been for that, and whether one that failed is resumed may depend on it, too.
        num_extensions: how often seeds were added once results could be known.
        looks: that were planned beforehand, and kept to: each comparison has ended at one of them.
        allocation: of pairs by the sds of the first ones, which nobody can add to.
    """
    if allocation is not None:
        return TwoStages(allocation.first) if status is ExperimentStatus.SUCCEEDED else AnyTime()
    if looks is not None:
        return PlannedLooks(looks) if status is ExperimentStatus.SUCCEEDED else AnyTime()
    is_as_planned = status is ExperimentStatus.SUCCEEDED and not num_extensions
    return FixedNumber() if is_as_planned else AnyTime()


def _reach(spec: ExperimentSpec, rows: Sequence[TrialRow]) -> dict[CellArm, int] | None:
    """(cell key, arm) -> how many of the seeds its rows reach to (`None`: all, no look ends one earlier)."""
    if not spec.has_stages:
        return None
    places = {seed: place for place, seed in enumerate(spec.seeds, start=1)}
    reach = {(cell.key, arm.name): 0 for cell in stored_cells(spec) for arm in spec.arms}
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
        measure=metric_named(spec.primary_metric, spec.task),
    )
