"""A planned look: which comparisons it ends, and how far the others go on."""

from collections.abc import Mapping, Sequence

from orchestrator.planning.expansion import CellArm
from orchestrator.statistics.comparison import Comparison, Verdict
from orchestrator.statistics.look_plan import Looks
from orchestrator.statistics.looks import is_futile, is_settled
from orchestrator.statistics.p_text import p_text


def next_reach(
    looks: Looks, comparisons: Sequence[Comparison], reach: Mapping[CellArm, int], *, num_seeds: int
) -> dict[CellArm, int] | None:
    """How many seeds every cell and arm takes until the next look.

    A treatment that a look has settled takes no further seed; the control goes on as long as any treatment of its cell.

    Args:
        looks: the plan.
        comparisons: at this look, of every cell and treatment.
        reach: (cell key, arm) -> seeds so far.
        num_seeds: seeds of the experiment.

    Returns:
        (cell key, arm) -> seeds; `None` where nothing goes on.
    """
    further = dict(reach)
    for comparison in comparisons:
        key = (comparison.cell.key, comparison.treatment)
        if reach[key] < num_seeds and not is_settled(comparison, looks):
            further[key] = next(num_pairs for num_pairs in looks.at if num_pairs > reach[key])
            control = (comparison.cell.key, comparison.control)
            further[control] = max(further[control], further[key])
    return None if further == dict(reach) else further


def told(comparison: Comparison, looks: Looks) -> str:
    """What a look says of a comparison, in a line of the driver's log."""
    number = f"{comparison.num_planned_pairs} pairs"
    start = f"look after {number}: {comparison.treatment} in {comparison.cell.key}: "
    if comparison.is_confirmed:
        return f"{start}{comparison.verdict.value} (p {p_text(comparison.p_holm, level=comparison.level)}), ended"
    if comparison.verdict is Verdict.EQUIVALENT:
        return f"{start}equivalent, ended"
    if is_futile(comparison, looks):
        return f"{start}futile, {'ended' if is_settled(comparison, looks) else 'not ended: the plan does not bind'}"
    return f"{start}open (p {p_text(comparison.p_holm, level=comparison.level)})"
