"""Whether the trainings of a pair started alike: without that, a pair would compare more than what its arm changes."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from orchestrator.planning.equal_starts import changes_alone, differing, unexplained
from orchestrator.report.content.report import TrialRecord
from orchestrator.report.words.answers import cell_words
from orchestrator.statistics.comparison import Comparison
from orchestrator.status import Phase
from trainers.counted import counted
from trainers.start_facts import START_WORDS

START_FACTS = frozenset(START_WORDS)

_Key = tuple[str, str, int]
_Trials = Mapping[_Key, TrialRecord]


def equal_starts(comparisons: Sequence[Comparison], trials: Sequence[TrialRecord]) -> str | None:
    """For provenance: in how many pairs everything is equal (`None`: nothing was recorded)."""
    by_key = _by_key(trials)
    known = [pair for comparison in comparisons for pair in _pairs(comparison, by_key)]
    if not known:
        return None
    in_all = f"of {counted(len(known), 'pair')}"
    starts = [(_start(treatment), _start(control)) for treatment, control in known]
    if not any(differing(mine, other) for mine, other in starts):
        return f"the same {', '.join(START_WORDS.values())} in {len(known)} {in_all}"
    # An arm that changes the network draws other weights, and still sees the same batches.
    equal = (
        f"{words} in {sum(mine.get(fact, '') == other.get(fact) for mine, other in starts)}"
        for fact, words in START_WORDS.items()
    )
    return f"the same {', '.join(equal)} {in_all}"


def unequal_starts(
    comparisons: Sequence[Comparison], trials: Sequence[TrialRecord], *, of_other_code: Collection[str] = ()
) -> list[str]:
    """A caveat for every comparison some of whose pairs start otherwise than what its arm changes explains.

    Args:
        comparisons: all of them.
        trials: every trial.
        of_other_code: treatments that run other code than the control, which may change all of it.
    """
    by_key, caveats = _by_key(trials), []
    for comparison in comparisons:
        by_fact: dict[str, int] = {}
        change = ""
        if comparison.treatment in of_other_code:
            continue
        for treatment, control in _pairs(comparison, by_key):
            for fact in unexplained(treatment.config, control.config, _start(treatment), _start(control)):
                by_fact[fact] = by_fact.get(fact, 0) + 1
                change = changes_alone(treatment.config, control.config)
        if by_fact:
            what = ", ".join(f"{START_WORDS[fact]} in {counted(count, 'pair')}" for fact, count in by_fact.items())
            caveats.append(
                f"{comparison.treatment} and {comparison.control} on {cell_words(comparison.cell)} did not start alike "
                f"({what}), though {comparison.treatment} {change}: these pairs compare more than the change."
            )
    return caveats


def _pairs(comparison: Comparison, trials: _Trials) -> Iterator[tuple[TrialRecord, TrialRecord]]:
    """Treatment and control of every complete pair of which it is known where both have started."""
    for pair in comparison.pairs:
        key = comparison.cell.key, pair.seed
        both = [trials.get((key[0], arm, key[1])) for arm in (comparison.treatment, comparison.control)]
        treatment, control = both
        if pair.effect is None or treatment is None or control is None:
            continue
        if START_FACTS & _start(treatment).keys() & _start(control).keys():
            yield treatment, control


def _by_key(trials: Sequence[TrialRecord]) -> _Trials:
    return {
        (trial.cell.key, trial.arm, trial.seed): trial
        for trial in trials
        if trial.phase is Phase.CONFIRM and trial.result is not None
    }


def _start(trial: TrialRecord) -> Mapping[str, str]:
    """All provenance of a trial; its start is among it."""
    assert trial.result is not None
    return trial.result.provenance
