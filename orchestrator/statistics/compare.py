"""Comparisons: every treatment of every cell against the control, corrected for their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.statistics.comparison import Cell, Comparison, Verdict, level_of
from orchestrator.statistics.holm import holm
from orchestrator.statistics.inference import FixedNumber, Inference
from orchestrator.statistics.interval import spread
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.pairing import TrialKey, TrialOutcome, index_outcomes, pair_outcomes
from orchestrator.statistics.pairing_gain import pairing_gain
from orchestrator.statistics.simultaneous import Bounds, agreeing, simultaneous_bounds
from orchestrator.statistics.verdict import judge, probability_of_superiority
from trainers.metrics import Metric


def compare_arms(
    *,
    cells: Sequence[Cell],
    control: str,
    treatments: Sequence[str],
    seeds: Sequence[int],
    outcomes: Sequence[TrialOutcome],
    metric: str,
    confidence: float,
    equivalence_margin: float,
    inference: Inference | None = None,
    reach: Mapping[tuple[str, str], int] | None = None,
    measure: Metric | None = None,
    rows: Sequence[tuple[Cell, str]] | None = None,
) -> tuple[Comparison, ...]:
    """Compare every treatment with the control in every cell.

    Args:
        cells: cells of the experiment.
        control: name of the control arm.
        treatments: names of the other arms.
        seeds: seeds of the confirm phase; every one is a planned pair.
        outcomes: outcomes of confirm trials, in any order; what is not there is shown as missing.
        metric: the compared metric; accuracies are recorded as fractions and compared in percentage points.
        confidence: confidence of the intervals.
        equivalence_margin: smallest effect that matters, in the unit of the comparison (0: never equivalent).
        inference: what makes interval and p (`None`: the number of pairs was fixed beforehand).
        reach: (cell key, treatment) -> so many of the seeds are planned pairs (`None`: all of them, everywhere).
        measure: the metric's unit, scale and direction (`None`: as a task or an analysis of ours declares them).
        rows: which treatment is compared in which cell (`None`: every one in every cell).

    Returns:
        Comparisons, cell by cell in the given order, with Holm's correction over all of them.

    Raises:
        ValueError: the metric is unknown, or two outcomes claim the same trial.
    """
    inference = inference or FixedNumber()
    asked = [(cell, treatment) for cell in cells for treatment in treatments] if rows is None else rows
    num_comparisons = len(asked)
    question = _Question(
        index_outcomes(outcomes),
        control,
        tuple(seeds),
        metric,
        measure or metric_named(metric),
        confidence,
        equivalence_margin,
        inference,
        reach,
        num_comparisons,
    )
    comparisons = [question.compare(cell, treatment) for cell, treatment in asked]
    corrected = holm([comparison.p_value for comparison in comparisons])
    floors = _floors([comparison.num_pairs for comparison in comparisons], inference)
    return tuple(
        _judged(comparison, p_holm, floor)
        for comparison, p_holm, floor in zip(comparisons, corrected, floors, strict=True)
    )


def _floors(nums_pairs: Sequence[int], inference: Inference) -> list[float]:
    """Smallest corrected p that each row could have: where every row has its smallest p.

    A row with more pairs than another comes first in Holm's steps, and leaves the other a smaller factor.
    """
    found = holm([inference.p_floor(num_pairs) if num_pairs else None for num_pairs in nums_pairs])
    return [1.0 if floor is None else floor for floor in found]


def _judged(comparison: Comparison, p_holm: float | None, p_holm_floor: float) -> Comparison:
    """The comparison with what depends on all the others."""
    low, high = comparison.ci_low, comparison.ci_high
    verdict = judge(
        None if low is None or high is None else (low, high),
        p_holm=p_holm,
        level=comparison.level,
        equivalence_margin=comparison.equivalence_margin,
        higher_is_better=comparison.higher_is_better,
    )
    judged = comparison.model_copy(update={"p_holm": p_holm, "p_holm_floor": p_holm_floor, "verdict": verdict})
    low, high = agreeing(
        Bounds(comparison.simultaneous_low, comparison.simultaneous_high),
        effect=comparison.effect,
        is_confirmed=judged.is_confirmed,
    )
    return judged.model_copy(update={"simultaneous_low": low, "simultaneous_high": high})


@dataclass(frozen=True)
class _Question:
    """What all comparisons of an experiment have in common."""

    outcomes: Mapping[TrialKey, TrialOutcome]
    control: str
    seeds: tuple[int, ...]
    metric: str
    measure: Metric
    confidence: float
    equivalence_margin: float
    inference: Inference
    reach: Mapping[tuple[str, str], int] | None
    num_comparisons: int

    def compare(self, cell: Cell, treatment: str) -> Comparison:
        """One treatment in one cell, not yet corrected."""
        metric = self.measure
        seeds = self.seeds if self.reach is None else self.seeds[: self.reach[cell.key, treatment]]
        pairs = pair_outcomes(
            self.outcomes,
            cell=cell,
            control=self.control,
            treatment=treatment,
            seeds=seeds,
            metric=self.metric,
            scale=metric.scale,
        )
        by_seed = {pair.seed: pair for pair in pairs}
        # `effect` is not None exactly for complete pairs; the other two conditions tell mypy.
        complete = [pair for pair in pairs if pair.effect is not None]
        differences = [pair.effect for pair in complete if pair.effect is not None]
        of_control = [pair.control for pair in complete if pair.control is not None]
        of_treatment = [pair.treatment for pair in complete if pair.treatment is not None]
        controls, treatments = spread(of_control), spread(of_treatment)
        effect = spread(differences)
        in_order = [by_seed[seed].effect for seed in seeds]
        interval = self.inference.interval(in_order, self.confidence)
        bounds = simultaneous_bounds(
            in_order,
            interval,
            inference=self.inference,
            level=level_of(self.confidence),
            num_comparisons=self.num_comparisons,
        )
        better_up = metric.higher_is_better
        return Comparison(
            cell=cell,
            treatment=treatment,
            control=self.control,
            metric=self.metric,
            unit=metric.unit,
            num_pairs=len(complete),
            num_planned_pairs=len(pairs),
            pairs=pairs,
            control_mean=controls.mean,
            control_sd=controls.sd,
            treatment_mean=treatments.mean,
            treatment_sd=treatments.sd,
            effect=effect.mean,
            effect_sd=effect.sd,
            ci_low=interval[0] if interval else None,
            ci_high=interval[1] if interval else None,
            simultaneous_low=bounds.low,
            simultaneous_high=bounds.high,
            confidence=self.confidence,
            basis=self.inference.basis,
            p_value=self.inference.p_value(in_order),
            p_holm=None,
            p_holm_floor=1.0,
            probability_of_superiority=probability_of_superiority(differences, higher_is_better=better_up),
            equivalence_margin=self.equivalence_margin,
            verdict=Verdict.INCONCLUSIVE,
            higher_is_better=better_up,
            pairing=pairing_gain(of_control, of_treatment, self.confidence),
        )
