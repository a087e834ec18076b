"""What a careful reader must know of the pairs themselves, whoever trained them."""

from collections.abc import Sequence

from orchestrator.report.content.report import Exclusion
from orchestrator.report.words.answers import cell_words
from orchestrator.statistics.comparison import Basis, Comparison, Verdict
from orchestrator.statistics.p_text import p_text
from orchestrator.statistics.permutation import sign_flip_floor
from trainers.counted import counted

ANY_TIME = (
    "What was seen could decide how many pairs there are. So intervals and p are any-time ones (t e-process, arXiv "
    "2310.03722): valid at every number of pairs, however often one looks and for whatever reason one stops or "
    "goes on, and wider than those of a number of pairs that was fixed beforehand. They assume normally "
    "distributed differences."
)
"""Of numbers of pairs that somebody may have decided by what was seen."""


def few_pairs(comparisons: Sequence[Comparison]) -> list[str]:
    """The floor of p, where it does not lie below the level: told of the row with the fewest pairs."""
    fewest = min((each for each in comparisons if each.num_pairs), key=lambda each: each.num_pairs, default=None)
    if fewest is None or fewest.basis is not Basis.FIXED or fewest.can_be_confirmed:
        return []
    pairs, floor = counted(fewest.num_pairs, "pair"), sign_flip_floor(fewest.num_pairs)
    if floor >= fewest.level:
        text = f"With {pairs} the exact sign-flip p can't fall below {p_text(floor, level=fewest.level)}"
    else:
        corrected = p_text(fewest.p_holm_floor, level=fewest.level)
        text = f"With {pairs} and {len(comparisons)} comparisons p can't fall below {corrected} after Holm's correction"
    return [f"{text}, whatever the effect."]


def left_out(exclusions: Sequence[Exclusion]) -> list[str]:
    """Trials without a result, by arm."""
    if not exclusions:
        return []
    by_arm: dict[str, int] = {}
    for exclusion in exclusions:
        by_arm[exclusion.arm] = by_arm.get(exclusion.arm, 0) + 1
    counts = ", ".join(f"{count} of {arm}" for arm, count in by_arm.items())
    text = f"Left out of the comparisons: {counts} (listed under exclusions)."
    return [f"{text} If one arm fails more often than another, that is itself a finding."]


def interval_against_p(comparisons: Sequence[Comparison]) -> list[str]:
    """Rows that only suggest something, and whether more pairs could confirm it."""
    hints = [comparison for comparison in comparisons if comparison.verdict is Verdict.SUGGESTIVE]
    if not hints:
        return []
    level = hints[0].level
    places = "; ".join(f"{_place(comparison)} ({p_text(comparison.p_holm, level=level)})" for comparison in hints)
    text = f"The interval excludes 0, but p after correction does not fall below {level:g}, for {places}"
    never = [comparison for comparison in hints if not comparison.can_be_confirmed]
    if not never:
        return [f"{text}: {_ASK_AGAIN}."]
    # The others could have been confirmed: those that could not are told by name.
    whose = "it" if len(never) == len(hints) else f"that of {' and '.join(map(_place, never))}"
    pairs = " or ".join(map(str, sorted({comparison.num_pairs for comparison in never})))
    count = counted(len(comparisons), "comparison")
    floor = p_text(min(comparison.p_holm_floor for comparison in never), level=level)
    why = f"with {pairs} pairs and {count} {whose} can't fall below {floor}, whatever the effect"
    return [f"{text}: {why}; {_ASK_AGAIN}."]


def _place(comparison: Comparison) -> str:
    return f"{comparison.treatment} on {cell_words(comparison.cell)}"


_ASK_AGAIN = "a new experiment with fresh seeds, and more of them, could tell"
