"""Between two stages: who gets the pairs that are left."""

from collections.abc import Mapping, Sequence

from orchestrator.planning.expansion import CellArm
from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.comparison import Comparison
from orchestrator.statistics.two_stage import allocated


def allocated_reach(
    allocation: Allocation, comparisons: Sequence[Comparison], reach: Mapping[CellArm, int]
) -> dict[CellArm, int]:
    """How many seeds every cell and arm takes in all; a control as many as any treatment of its cell.

    Args:
        allocation: the plan.
        comparisons: after the first stage, of every cell and treatment.
        reach: (cell key, arm) -> seeds so far.
    """
    further = dict(reach)
    for comparison, number in zip(
        comparisons, allocated([each.effect_sd for each in comparisons], allocation), strict=True
    ):
        cell = comparison.cell.key
        further[cell, comparison.treatment] = number
        further[cell, comparison.control] = max(further[cell, comparison.control], number)
    return further


def allocation_told(comparison: Comparison, reach: Mapping[CellArm, int]) -> str:
    """What a row gets, in a line of the driver's log."""
    sd = "no sd" if not comparison.effect_sd else f"an sd of {comparison.effect_sd:.3g} {comparison.unit}".rstrip()
    number = reach[comparison.cell.key, comparison.treatment]
    return (
        f"{comparison.treatment} in {comparison.cell.key}: {sd} over {comparison.num_pairs} pairs, so {number} in all"
    )
