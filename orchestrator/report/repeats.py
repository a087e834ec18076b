"""A treatment that is its control trained once more: whether the machine gives the same numbers again."""

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence

from orchestrator.report.content.pairs import RepeatCheck
from orchestrator.report.content.report import TrialRecord
from orchestrator.report.words.answers import cell_words, metric_words
from orchestrator.report.words.numbers import with_unit
from orchestrator.statistics.comparison import Comparison
from orchestrator.status import Phase
from trainers.config import TrialConfig
from trainers.counted import counted
from trainers.result import TrialResult
from trainers.start_facts import START_WORDS

_OF_THE_CLOCK = frozenset({"images_per_second", "data_wait_fraction"})
"""Metrics that no two trainings share."""
_NUM_NAMED = 3
OF_ONE_TRIAL = frozenset({"trial", "config_digest", *START_WORDS})
"""Provenance of the trial itself, or computed by the machine: all else says where and with what it ran."""


def repeat_checks(
    comparisons: Sequence[Comparison], trials: Sequence[TrialRecord], *, of_other_code: Collection[str] = ()
) -> tuple[RepeatCheck, ...]:
    """One for every comparison all of whose pairs have one config but for `replica`.

    Args:
        comparisons: all of one experiment, called as sentences call them.
        trials: called the same.
        of_other_code: treatments that repeat nothing, because they run other code than the control; called the same.
    """
    by_key = {(trial.cell.key, trial.arm, trial.seed): trial for trial in trials if trial.phase is Phase.CONFIRM}
    checks = []
    for comparison in comparisons:
        if comparison.treatment in of_other_code:
            continue
        pairs = list(_pairs(comparison, by_key))
        if pairs and all(_without_replica(one.config) == _without_replica(other.config) for one, other in pairs):
            checks.append(_check(comparison, pairs))
    return tuple(checks)


_Pair = tuple[TrialRecord, TrialRecord]


def _pairs(comparison: Comparison, by_key: Mapping[tuple[str, str, int], TrialRecord]) -> Iterator[_Pair]:
    for pair in comparison.pairs:
        both = [by_key.get((comparison.cell.key, arm, pair.seed)) for arm in (comparison.treatment, comparison.control)]
        treatment, control = both
        if treatment is not None and control is not None:
            yield treatment, control


def _without_replica(config: TrialConfig) -> TrialConfig:
    return config.model_copy(update={"replica": 0})


def _check(comparison: Comparison, pairs: Sequence[_Pair]) -> RepeatCheck:
    complete = {
        treatment.seed: (treatment.result, control.result)
        for treatment, control in pairs
        if treatment.result is not None and control.result is not None
    }
    differing = {seed: _differing(*results) for seed, results in complete.items()}
    ran_otherwise = {seed: found for seed, results in complete.items() if (found := _ran_otherwise(*results))}
    effects = [
        abs(pair.effect) for pair in comparison.pairs if pair.effect is not None and pair.seed not in ran_otherwise
    ]
    check = RepeatCheck(
        cell=comparison.cell,
        treatment=comparison.treatment,
        num_pairs=len(complete),
        num_equal=sum(not names for names in differing.values()),
        num_metrics=min((len(_numbers(result)) for result, _ in complete.values()), default=0),
        differing_metrics=tuple(
            sorted({name for seed, names in differing.items() if seed not in ran_otherwise for name in names})
        ),
        num_unlike=len(ran_otherwise),
        num_unlike_equal=sum(not differing[seed] for seed in ran_otherwise),
        unlike_facts=tuple(sorted({fact for found in ran_otherwise.values() for fact in found})),
        mean_difference=statistics.fmean(effects) if effects else None,
        largest_difference=max(effects, default=None),
        text="",
    )
    return check.model_copy(update={"text": _text(check, comparison)})


def _ran_otherwise(one: TrialResult, other: TrialResult) -> list[str]:
    """In what two trainings ran otherwise, such as `device: NVIDIA A100 and NVIDIA H100`."""
    first, second = one.provenance, other.provenance
    return [
        f"{fact}: {' and '.join(sorted((first.get(fact, 'unknown'), second.get(fact, 'unknown'))))}"
        for fact in {**first, **second}
        if fact not in OF_ONE_TRIAL and first.get(fact) != second.get(fact)
    ]


def _numbers(result: TrialResult) -> dict[str, float]:
    return {name: value for name, value in result.metrics.items() if name not in _OF_THE_CLOCK}


def _differing(one: TrialResult, other: TrialResult) -> list[str]:
    first, second = _numbers(one), _numbers(other)
    return [name for name in {**first, **second} if first.get(name) != second.get(name)]


def _text(check: RepeatCheck, comparison: Comparison) -> str:
    what = f"On {cell_words(check.cell)}, {check.treatment} is {comparison.control} trained once more: "
    if not check.num_pairs:
        return f"{what}no pair is complete."
    if check.is_exact:
        pairs = "its only pair" if check.num_pairs == 1 else f"every one of {counted(check.num_pairs, 'pair')}"
        return (
            f"{what}exactly 0 in {pairs}, in each of {counted(check.num_metrics, 'metric')}. As far as these "
            "numbers tell, this machine repeats a training exactly."
        )
    num_alike = check.num_pairs - check.num_unlike
    num_alike_equal = check.num_equal - check.num_unlike_equal
    if num_alike_equal == num_alike:
        text = f"{what}{_unlike(check)}"
        others = f"the other {num_alike} {'is' if num_alike == 1 else 'are'} exactly 0"
        return f"{text}; {others}." if num_alike else f"{text}."
    names = check.differing_metrics
    of_pairs = counted(num_alike, "pair") + (" that ran alike" if check.num_unlike else "")
    text = (
        f"{what}the machine is not deterministic. {num_alike - num_alike_equal} of {of_pairs} "
        f"{'differs' if num_alike - num_alike_equal == 1 else 'differ'} (in {_some(names)})"
    )
    if check.mean_difference is not None and check.largest_difference is not None:
        mean, largest = (
            with_unit(f"{value:.3g}", comparison.unit) for value in (check.mean_difference, check.largest_difference)
        )
        text = (
            f"{text}, in {metric_words(comparison.metric)} by {mean} on average and {largest} at most. So much a pair "
            "differs without any change: more pairs average it out, a single pair shows it"
        )
    return f"{text}. Of the others, {_unlike(check)}." if check.num_unlike else f"{text}."


def _unlike(check: RepeatCheck) -> str:
    """Why so many pairs say nothing of the machine."""
    return (
        f"{counted(check.num_unlike, 'pair')} did not run alike ({_some(check.unlike_facts)}), and what differs there "
        "says nothing of whether a machine repeats itself"
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NUM_NAMED
    return ", ".join(names[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")
