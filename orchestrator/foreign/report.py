"""The report of results that were trained elsewhere: the statistics and sections of ours. Pure: no clock, no file."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime

from orchestrator.foreign.columns import ROLES, columns_told
from orchestrator.foreign.measure import FRACTION, PERCENT
from orchestrator.foreign.results import ForeignQuestion, ForeignResult, ForeignResults, ForeignResultsError
from orchestrator.report.content.origin import Origin
from orchestrator.report.content.report import ArmSummary, Exclusion, ExperimentFacts, Provenance, Report, TrialSummary
from orchestrator.report.sections.trials import trial_column
from orchestrator.report.words.answers import answer, cell_words, pairing_remarks, pooled_answer
from orchestrator.report.words.numbers import decimals_for
from orchestrator.report.words.pair_caveats import ANY_TIME, few_pairs, interval_against_p, left_out
from orchestrator.spec.complaints import suggestion
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Comparison
from orchestrator.statistics.inference import AnyTime, FixedNumber
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.pooling import pool_effects
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from trainers.counted import counted

TRIALS_FILE = "trials.csv"
"""The results in the report's folder, which can be read again."""
_MOST_SEEDS = 12


def foreign_report(
    results: ForeignResults,
    question: ForeignQuestion,
    *,
    name: str,
    read_at: datetime,
    conditions: Sequence[tuple[str, str]] = (),
) -> Report:
    """Compare every arm with the control, in every cell, over the seeds that both have.

    All seeds that any training has are planned pairs: one that an arm lacks is an incomplete pair, counted and told.

    Args:
        results: the trainings.
        question: what is asked of them.
        name: of the report.
        read_at: when they were read (UTC).
        conditions: (column, value) that all of them have.

    Raises:
        ForeignResultsError: the control is not among them, or nothing else is.
    """
    arms = _arms(results, question.control)
    cells = list(dict.fromkeys(result.cell for result in results.results))
    present = {(result.cell, result.arm) for result in results.results}
    rows = [(cell, arm) for cell in cells for arm in arms[1:] if {(cell, arm), (cell, question.control)} <= present]
    if not rows:
        text = f"no model and data set has results of `{question.control}` and of another arm: nothing can be paired"
        raise ForeignResultsError([text])
    seeds = tuple(sorted({result.seed for result in results.results}))
    comparisons = compare_arms(
        cells=cells,
        control=question.control,
        treatments=arms[1:],
        seeds=seeds,
        outcomes=[_outcome(result, question.metric) for result in results.results],
        metric=question.metric,
        confidence=question.confidence,
        equivalence_margin=question.equivalence_margin,
        inference=AnyTime() if question.is_any_time else FixedNumber(),
        measure=question.measure,
        rows=rows,
    )
    decimals, unit = decimals_for(comparisons), question.measure.unit
    summaries = tuple(_arm(arm, question.control) for arm in arms)
    compared = list(dict.fromkeys(cell for cell, _ in rows))
    pooled = pool_effects(comparisons) if len(compared) > 1 else ()
    exclusions = tuple(_exclusions(results.results))
    digest = _digest(results, question)
    return Report(
        experiment=ExperimentFacts(
            id=f"elsewhere-{digest[:8]}",
            name=name,
            status=ExperimentStatus.SUCCEEDED,
            created_at=read_at,
            ended_at=read_at,
        ),
        question=question.question,
        answers=(
            *(
                answer(
                    comparison,
                    arm=next(arm for arm in summaries if arm.name == comparison.treatment),
                    decimals=decimals,
                    num_comparisons=len(comparisons),
                    is_over=True,
                )
                for comparison in comparisons
            ),
            *(
                pooled_answer(
                    effect,
                    metric=question.metric,
                    unit=unit,
                    confidence=question.confidence,
                    decimals=decimals,
                    num_planned_cells=len(compared),
                    is_over=True,
                )
                for effect in pooled
            ),
        ),
        remarks=tuple(pairing_remarks(comparisons)),
        caveats=tuple(_caveats(results, question, comparisons, exclusions)),
        metric=question.metric,
        unit=unit,
        confidence=question.confidence,
        decimals=decimals,
        arms=summaries,
        cells=tuple(compared),
        seeds=seeds,
        comparisons=comparisons,
        pooled=pooled,
        bias=(),
        spec=None,
        searches=(),
        exclusions=exclusions,
        trials=tuple(_trial(result, question.metric) for result in results.results),
        provenance=Provenance(
            digest=digest,
            facts={},
            num_trials=len(results.results),
            num_succeeded=sum(result.value is not None for result in results.results),
            num_reused=0,
            training_seconds=0.0,
        ),
        origin=Origin(
            source=results.table.source,
            digest=results.table.digest,
            read_at=read_at,
            num_rows=len(results.table.rows) + results.table.num_passed_over,
            num_passed_over=results.num_passed_over,
            conditions=tuple(f"{column}={value}" for column, value in conditions),
            columns=tuple(columns_told(results)),
            ask_again=_ask_again(question),
        ),
    )


def _arms(results: ForeignResults, control: str) -> list[str]:
    """The control, then all others in their order."""
    arms = list(dict.fromkeys(result.arm for result in results.results))
    if control not in arms:
        text = f"no training of {results.table.source} is of the arm `{control}`{suggestion(control, arms)}"
        raise ForeignResultsError([text])
    return [control, *(arm for arm in arms if arm != control)]


def _arm(name: str, control: str) -> ArmSummary:
    role = "control" if name == control else "treatment"
    return ArmSummary(name=name, role=role, description="trained elsewhere", is_placebo=False)


def _outcome(result: ForeignResult, metric: str) -> TrialOutcome:
    return TrialOutcome(
        cell=result.cell,
        arm=result.arm,
        seed=result.seed,
        status=TrialStatus.SUCCEEDED,
        error=result.missing_because,
        metrics={} if result.value is None else {metric: result.value},
    )


def _trial(result: ForeignResult, metric: str) -> TrialSummary:
    return TrialSummary(
        identity="",
        cell=result.cell,
        arm=result.arm,
        seed=result.seed,
        phase=Phase.CONFIRM,
        params={},
        status=TrialStatus.FAILED if result.value is None else TrialStatus.SUCCEEDED,
        error=result.missing_because,
        attempt=1,
        reused_from=None,
        best_epoch=None,
        metrics={} if result.value is None else {metric: result.value},
        training_seconds=None,
        mlflow_run_id=None,
    )


def _exclusions(results: Sequence[ForeignResult]) -> Iterator[Exclusion]:
    for result in results:
        if result.value is None:
            yield Exclusion(
                cell=result.cell,
                arm=result.arm,
                seed=result.seed,
                status=TrialStatus.FAILED,
                reason=result.missing_because,
            )


def _digest(results: ForeignResults, question: ForeignQuestion) -> str:
    """Of the results and the question: it names the answer, whatever file the results lay in."""
    told = sorted(
        [result.cell.model, result.cell.dataset, result.arm, result.seed, result.value] for result in results.results
    )
    asked = [question.control, question.metric, question.measure, question.confidence, question.equivalence_margin]
    document = json.dumps([told, [*asked, question.is_any_time]], allow_nan=False)
    return hashlib.sha256(document.encode()).hexdigest()


def _ask_again(question: ForeignQuestion) -> str:
    measure = question.measure
    direction = {True: "higher", False: "lower", None: "neither"}[measure.higher_is_better]
    unit = measure.unit if measure.unit != "pp" else FRACTION if measure.scale != 1 else PERCENT
    words = ["sigmalab", "compare", TRIALS_FILE, "--control", question.control]
    words += ["--metric", f"{question.metric}:{direction}", *(["--unit", unit] if unit else [])]
    renamed = [(role, trial_column(role, [question.metric])) for role in ROLES]
    words += [word for role, column in renamed if column != role for word in ("--column", f"{role}={column}")]
    words += ["--confidence", repr(question.confidence)]
    words += ["--margin", repr(question.equivalence_margin)] if question.equivalence_margin else []
    return shlex.join([*words, *(["--any-time"] if question.is_any_time else [])])


def _caveats(
    results: ForeignResults,
    question: ForeignQuestion,
    comparisons: Sequence[Comparison],
    exclusions: Sequence[Exclusion],
) -> Iterator[str]:
    yield (
        f"sigmalab did not train these: {counted(len(results.results), 'result')} of {results.table.source}. That both "
        "trainings of a seed share split, first weights and order of data, and differ in nothing but their arm, is the "
        "word of whoever trained them."
    )
    if question.is_any_time:
        yield ANY_TIME
    else:
        yield (
            "Intervals and p hold where the number of seeds was settled before anybody saw a result, and no seed was "
            "left out for its result. Where that is not so, ask with --any-time."
        )
    yield from _unpaired(results, comparisons)
    yield from few_pairs(comparisons)
    yield from left_out(exclusions)
    yield from interval_against_p(comparisons)
    yield (
        f"The answers hold for these models, data sets and this way to train. Intervals are over training seeds: what "
        f"other images would add to them is not in them. Whether anything was chosen by {question.metric} itself (an "
        "epoch, a learning rate) is not known here; levels are too good by chance where it was."
    )


def _unpaired(results: ForeignResults, comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Trainings that are not there, though another arm has their seed; and arms that are in some cells only."""
    there = {(result.cell, result.arm, result.seed) for result in results.results}
    places = dict.fromkeys((each.cell, arm) for each in comparisons for arm in (each.control, each.treatment))
    lacking = []
    for cell, arm in places:
        seeds = [pair.seed for pair in comparisons[0].pairs if (cell, arm, pair.seed) not in there]
        if seeds:
            more = len(seeds) - _MOST_SEEDS
            named = ", ".join(map(str, seeds[:_MOST_SEEDS])) + (f" and {more} more" if more > 0 else "")
            lacking.append(f"{arm} on {cell_words(cell)} has no result for {_seeds(seeds)} {named}")
    if lacking:
        yield f"Some seeds lack a training, and a pair that lacks one does not count: {'; '.join(lacking)}."
    alone = dict.fromkeys(
        f"{result.arm} on {cell_words(result.cell)}"
        for result in results.results
        if (result.cell, result.arm) not in places
    )
    if alone:
        yield f"Compared with nothing, as there are no results of the other arm beside them: {'; '.join(alone)}."


def _seeds(seeds: Sequence[int]) -> str:
    return "seed" if len(seeds) == 1 else "seeds"
