"""Whether the trainings of a pair started alike: without that, a pair would compare more than what its arm changes."""

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.report.content import TrialRecord
from orchestrator.report.wording import cell_words
from orchestrator.statistics.comparison import Comparison
from orchestrator.status import Phase
from trainers.counted import counted

_WORDS = {
    "start_weights": "initial weights",
    "start_batches": "first batches",
    "start_random": "random state",
}
"""What `trainers.start` leaves in a trial's provenance -> how sentences call it."""
START_FACTS = frozenset(_WORDS)

_Starts = Mapping[tuple[str, str, int], Mapping[str, str]]


def equal_starts(comparisons: Sequence[Comparison], trials: Sequence[TrialRecord]) -> str | None:
    """For provenance: in how many pairs everything is equal (`None`: nothing was recorded)."""
    starts = _starts(trials)
    found = [_differing(comparison, seed, starts) for comparison, seed in _pairs(comparisons)]
    known = [differing for differing in found if differing is not None]
    if not known:
        return None
    return (
        f"the same {', '.join(_WORDS.values())} in {sum(not differing for differing in known)} of "
        f"{counted(len(known), 'pair')}"
    )


def unequal_starts(comparisons: Sequence[Comparison], trials: Sequence[TrialRecord]) -> list[str]:
    """A caveat for every comparison some of whose pairs did not start alike."""
    starts, caveats = _starts(trials), []
    for comparison in comparisons:
        by_fact: dict[str, int] = {}
        for _, seed in _pairs([comparison]):
            for fact in _differing(comparison, seed, starts) or ():
                by_fact[fact] = by_fact.get(fact, 0) + 1
        if by_fact:
            what = ", ".join(f"{_WORDS[fact]} in {counted(count, 'pair')}" for fact, count in by_fact.items())
            caveats.append(
                f"{comparison.treatment} and {comparison.control} on {cell_words(comparison.cell)} did not start alike "
                f"({what}): where that is not what the arm changes, its pairs compare more than the change."
            )
    return caveats


def _pairs(comparisons: Sequence[Comparison]) -> Iterator[tuple[Comparison, int]]:
    for comparison in comparisons:
        for pair in comparison.pairs:
            if pair.effect is not None:
                yield comparison, pair.seed


def _starts(trials: Sequence[TrialRecord]) -> _Starts:
    return {
        (trial.cell.key, trial.arm, trial.seed): trial.result.provenance
        for trial in trials
        if trial.phase is Phase.CONFIRM and trial.result is not None
    }


def _differing(comparison: Comparison, seed: int, starts: _Starts) -> list[str] | None:
    """Facts in which the two trainings differ (`None`: older code recorded none)."""
    control, treatment = (
        starts.get((comparison.cell.key, arm, seed), {}) for arm in (comparison.control, comparison.treatment)
    )
    known = [fact for fact in _WORDS if fact in control and fact in treatment]
    return [fact for fact in known if control[fact] != treatment[fact]] if known else None
