"""From an experiment's facts and trials to its report. Pure: no database, no clock."""

from collections.abc import Mapping, Sequence

from orchestrator.arm_labels import arm_labels, labelled
from orchestrator.report.arms import arm_summaries
from orchestrator.report.content.code_diff import CodeDiff
from orchestrator.report.content.position_bias import TrialViews
from orchestrator.report.content.report import (
    Exclusion,
    ExperimentFacts,
    Provenance,
    Report,
    TrialRecord,
    TrialSummary,
)
from orchestrator.report.content.shown_images import KeptPair
from orchestrator.report.repeats import repeat_checks
from orchestrator.report.sections.comparisons.placebo import placebo_contrasts
from orchestrator.report.sections.hyperparameters import settings_of
from orchestrator.report.sections.learned_sigma.curves import bias_series
from orchestrator.report.sections.learning_curves.curves import learning_curves
from orchestrator.report.sections.other_metrics.building import other_metrics_of
from orchestrator.report.sections.position_bias.building import bias_views_of
from orchestrator.report.sections.position_bias.fits import position_fits
from orchestrator.report.sections.receptive_fields.building import receptive_fields_of
from orchestrator.report.sections.search.history import searches_of
from orchestrator.report.sections.shown_images.choice import shown_images_of
from orchestrator.report.starts import START_FACTS, equal_starts
from orchestrator.report.words.answers import answer, pairing_remarks, placebo_remarks, pooled_answer
from orchestrator.report.words.caveats import caveats_of
from orchestrator.report.words.numbers import decimals_for
from orchestrator.search.space import Params
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.by_class import ClassRow, ClassScores, class_effects
from orchestrator.statistics.by_image import ImageRow, image_effects
from orchestrator.statistics.comparison import Cell, Comparison, PooledEffect
from orchestrator.statistics.discordant import DiscordantImages
from orchestrator.statistics.guessing import Guess
from orchestrator.statistics.inference import inference_beside
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.pairing import TrialKey
from orchestrator.status import Phase, TrialStatus
from trainers.analyses.field_maps import TrialMaps
from trainers.tasks.evidence import ImageScores

_FACTS_OF_ONE_TRIAL = frozenset({"trial", "config_digest", *START_FACTS})


def build_report(
    *,
    experiment: ExperimentFacts,
    spec: ExperimentSpec,
    digest: str,
    cells: Sequence[Cell],
    trials: Sequence[TrialRecord],
    chosen_params: Mapping[str, Params],
    comparisons: Sequence[Comparison],
    pooled: Sequence[PooledEffect],
    facts: Mapping[str, str] | None = None,
    discordant: Sequence[DiscordantImages | None] = (),
    guesses: Mapping[str, Guess] | None = None,
    class_scores: Mapping[ClassRow, Sequence[tuple[ClassScores, ClassScores]]] | None = None,
    image_scores: Mapping[ImageRow, Sequence[tuple[ImageScores, ImageScores]]] | None = None,
    kept_images: Mapping[str, KeptPair] | None = None,
    maps: Mapping[TrialKey, TrialMaps | str] | None = None,
    views: Mapping[TrialKey, TrialViews | str] | None = None,
    code_diffs: Sequence[CodeDiff] = (),
) -> Report:
    """Put together all that the renderers need.

    Args:
        experiment: id, name, status and times.
        spec: the question.
        digest: digest of the canonical spec, code and data.
        cells: models x data sets, in the order of the spec.
        trials: every trial of both phases, in plan order.
        chosen_params: `<cell key>/<arm>` -> params that the search phase chose.
        comparisons: one for each cell and treatment.
        pooled: one for each treatment; left out of the report if there is only one cell.
        facts: further provenance of the whole experiment, such as the orchestrator's version.
        discordant: one entry per comparison, or nothing.
        guesses: cell key -> what naming the largest class always would score.
        class_scores: row -> scores of every class in (control, treatment) of each pair.
        image_scores: row -> score of every image in (control, treatment) of each pair.
        kept_images: cell key -> images that its arms have kept for pictures.
        maps: receptive fields of the trials that were asked for them, or why they can't be read.
        views: position biases of the trials that have one, or why they can't be read.
        code_diffs: what differs in the code of treatments that run another one than the control.
    """
    arms = arm_summaries(spec, trials)
    beside = inference_beside(comparisons[0].basis)
    bias = bias_series(trials)
    decimals = decimals_for(comparisons)
    searches = searches_of(spec, cells, trials, chosen_params)
    is_over = experiment.status.is_final
    exclusions = tuple(_exclusions(trials, is_over=is_over))
    contrasts = placebo_contrasts(comparisons, {arm.name for arm in arms if arm.is_placebo}, trials)
    starts = equal_starts(comparisons, trials)
    found = {"pairs start from": starts, "own code": _own_code(spec)}
    of_all = {**(facts or {}), **{name: fact for name, fact in found.items() if fact}}
    provenance = _provenance(digest, trials, of_all)
    # Sentences are for people, in a report for machines too: they call arms by their labels.
    labels = arm_labels(spec.arms)
    told = [labelled(comparison, labels) for comparison in comparisons]
    by_label = {arm.label or arm.name: arm for arm in arms}
    unit = metric_named(spec.primary_metric, spec.task).unit
    pooled = tuple(pooled) if len(cells) > 1 else ()
    repeats = repeat_checks(
        told, [_called(trial, labels) for trial in trials], of_other_code=labelled(spec, labels).of_other_code
    )
    repeated = {(check.cell.key, check.treatment): check.text for check in repeats if check.num_pairs}
    answers = [
        repeated.get((comparison.cell.key, comparison.treatment))
        or answer(
            comparison,
            arm=by_label[comparison.treatment],
            decimals=decimals,
            num_comparisons=len(comparisons),
            is_over=is_over,
        )
        for comparison in told
    ]
    answers += [
        pooled_answer(
            labelled(effect, labels),
            metric=spec.primary_metric,
            unit=unit,
            confidence=spec.confidence,
            decimals=decimals,
            num_planned_cells=len(cells),
            is_over=is_over,
        )
        for effect in pooled
    ]
    return Report(
        experiment=experiment,
        question=spec.question,
        answers=tuple(answers),
        remarks=(
            *placebo_remarks([labelled(contrast, labels) for contrast in contrasts], told, decimals),
            *pairing_remarks([each for each in told if (each.cell.key, each.treatment) not in repeated]),
        ),
        caveats=caveats_of(
            status=experiment.status,
            num_extensions=experiment.num_extensions,
            data_found=experiment.data_found,
            spec=labelled(spec, labels),
            comparisons=told,
            guesses=guesses or {},
            exclusions=[labelled(exclusion, labels) for exclusion in exclusions],
            searches=[labelled(search, labels) for search in searches],
            trials=[_called(trial, labels) for trial in trials],
            bias=[labelled(series, labels) for series in bias],
            provenance=provenance,
        ),
        metric=spec.primary_metric,
        unit=unit,
        confidence=spec.confidence,
        decimals=decimals,
        arms=arms,
        cells=tuple(cells),
        seeds=spec.seeds,
        comparisons=tuple(comparisons),
        pooled=pooled,
        curves=learning_curves(trials, spec.primary_metric),
        bias=bias,
        position=position_fits(trials),
        bias_views=bias_views_of(spec, cells, trials, views or {}),
        receptive_fields=receptive_fields_of(
            spec,
            cells,
            trials,
            maps or {},
            inference=beside,
        ),
        repeats=repeats,
        code_diffs=tuple(code_diffs),
        placebo_contrasts=contrasts,
        other_metrics=other_metrics_of(spec, cells, trials, inference=beside),
        class_effects=class_effects(
            class_scores or {}, metrics=spec.task.class_metrics, confidence=spec.confidence, inference=beside
        ),
        image_effects=image_effects(
            image_scores or {}, metrics=spec.task.measured, confidence=spec.confidence, inference=beside
        ),
        shown_images=shown_images_of(spec, cells, kept_images or {}),
        discordant=tuple(discordant),
        settings=settings_of(trials),
        spec=spec,
        searches=searches,
        num_pending=0 if is_over else sum(_is_pending(trial) for trial in trials),
        exclusions=exclusions,
        trials=tuple(_trial_summary(trial) for trial in trials),
        provenance=provenance,
    )


def _own_code(spec: ExperimentSpec) -> str | None:
    """Names of the snapshots that ran."""
    shared = [spec.code.kept] if spec.code and spec.code.kept else []
    of_arms = [f"{arm.label or arm.name}: {arm.code.kept}" for arm in spec.arms if arm.code and arm.code.kept]
    return ", ".join((*shared, *of_arms)) or None


def _called(trial: TrialRecord, labels: Mapping[str, str]) -> TrialRecord:
    """Its arm's name alone: the bulk of a trial, its config and curves, names no arm."""
    return trial.model_copy(update={"arm": labels[trial.arm]}) if trial.arm in labels else trial


def _trial_summary(trial: TrialRecord) -> TrialSummary:
    result = trial.result
    return TrialSummary(
        identity=trial.identity,
        cell=trial.cell,
        arm=trial.arm,
        seed=trial.seed,
        phase=trial.phase,
        params=trial.params,
        status=trial.status,
        error=trial.error,
        attempt=trial.attempt,
        reused_from=trial.reused_from,
        best_epoch=result.best_epoch if result else None,
        metrics=result.metrics if result else {},
        training_seconds=result.training_seconds if result else None,
        mlflow_run_id=trial.mlflow_run_id,
    )


def _is_pending(trial: TrialRecord) -> bool:
    return trial.phase is Phase.CONFIRM and not trial.status.is_final


def _exclusions(trials: Sequence[TrialRecord], *, is_over: bool) -> list[Exclusion]:
    """Confirm trials that ended without a result; searches have their own table.

    A trial that has not ended is left out only if the experiment has: else it is merely not there yet.
    """
    return [
        Exclusion(
            cell=trial.cell,
            arm=trial.arm,
            seed=trial.seed,
            status=trial.status,
            reason=trial.error.strip() or _STATUS_WORDS[trial.status],
        )
        for trial in trials
        if trial.phase is Phase.CONFIRM
        and trial.status is not TrialStatus.SUCCEEDED
        and (is_over or not _is_pending(trial))
    ]


_STATUS_WORDS = {
    TrialStatus.PENDING: "has not started",
    TrialStatus.RUNNING: "is still running",
    TrialStatus.FAILED: "failed without a message",
    TrialStatus.PRUNED: "was stopped early",
    TrialStatus.CANCELLED: "was cancelled",
}


def _provenance(digest: str, trials: Sequence[TrialRecord], facts: Mapping[str, str]) -> Provenance:
    succeeded = [trial for trial in trials if trial.status is TrialStatus.SUCCEEDED]
    values: dict[str, set[str]] = {key: {value} for key, value in facts.items()}
    num_datasets = len({trial.cell.dataset for trial in succeeded})
    for trial in succeeded:
        for key, value in (trial.result.provenance if trial.result else {}).items():
            if key in _FACTS_OF_ONE_TRIAL:
                continue
            # Of several data sets nobody could tell which digest is whose.
            name = f"{trial.cell.dataset} " if key == "data_fingerprint" and num_datasets > 1 else ""
            values.setdefault(key, set()).add(f"{name}{value}")
    return Provenance(
        digest=digest,
        facts={key: tuple(sorted(found)) for key, found in sorted(values.items())},
        num_trials=len(trials),
        num_succeeded=len(succeeded),
        num_reused=sum(trial.reused_from is not None for trial in succeeded),
        training_seconds=sum(trial.result.training_seconds for trial in succeeded if trial.result),
    )
