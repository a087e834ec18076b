"""Comparisons of metrics that are not the question; they describe, and stand outside its correction."""

from collections.abc import Sequence

from orchestrator.report.content.report import TrialRecord
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.inference import Inference
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.pairing import TrialOutcome


def compared_beside(
    spec: ExperimentSpec,
    cells: Sequence[Cell],
    trials: Sequence[TrialRecord],
    metric: str,
    *,
    inference: Inference | None,
) -> tuple[Comparison, ...]:
    """Every treatment against the control in every cell; nothing where no trial has the metric.

    Args:
        spec: the question.
        cells: models x data sets, in the order of the spec.
        trials: confirm trials.
        metric: its whole name, such as `test/aacc`.
        inference: what makes the intervals (see `compare_arms`).
    """
    # The primary metric has a comparison of its own, in Holm's family: two p of one question are one too many.
    if metric == spec.primary_metric or not any(trial.result and metric in trial.result.metrics for trial in trials):
        return ()
    outcomes = [
        TrialOutcome(
            cell=trial.cell,
            arm=trial.arm,
            seed=trial.seed,
            status=trial.status,
            error=trial.error,
            metrics=trial.result.metrics if trial.result else {},
        )
        for trial in trials
    ]
    # Planned looks, or other rows' larger sds, may have ended it before the last seed.
    reached = {trial.seed for trial in trials}
    seeds = [seed for seed in spec.seeds if seed in reached or not spec.has_stages]
    found = compare_arms(
        cells=cells,
        control=spec.control.name,
        treatments=[arm.name for arm in spec.treatments],
        seeds=seeds,
        outcomes=outcomes,
        metric=metric,
        confidence=spec.confidence,
        equivalence_margin=0.0,
        inference=inference,
        measure=metric_named(metric, spec.task),
    )
    # The family that Holm corrects is the question's; these describe.
    return tuple(comparison.model_copy(update={"p_holm": None}) for comparison in found)
