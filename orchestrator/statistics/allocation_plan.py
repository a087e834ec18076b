"""Pairs that are shared out by what the first ones show of their sd, as a spec writes it.

The arithmetic is in `orchestrator.statistics.two_stage`. This is free of scipy: whatever reads a spec reads this.
"""

from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel

MIN_FIRST = 3
"""Fewer pairs say next to nothing of an sd: t of one degree of freedom is 13."""
MAX_TOTAL = 10_000


class AllocatedSeeds(StrictModel):
    """What stands in place of a list of seeds: so many pairs for all rows together."""

    total: int = Field(ge=MIN_FIRST, le=MAX_TOTAL)
    """Pairs of all rows (cells x treatments) together."""
    allocate: Literal["by_variance"]
    """Two stages: every row gets `first` pairs, then those whose pairs vary most get the others."""
    first: int | None = Field(default=None, ge=MIN_FIRST, le=MAX_TOTAL)
    """Pairs of each row in the first stage (`null`: half of an equal share, 5 at least where `total` has so many)."""


class Allocation(StrictModel):
    """The same, as it is stored: the seeds are 0, 1, 2, ..., as many as one row could need."""

    allocate: Literal["by_variance"] = "by_variance"
    """By the sd of the first pairs."""
    total: int = Field(ge=MIN_FIRST, le=MAX_TOTAL)
    """Pairs of all rows together."""
    first: int = Field(ge=MIN_FIRST, le=MAX_TOTAL)
    """Pairs of each row in the first stage."""

    def seeds(self, num_rows: int) -> tuple[int, ...]:
        """As many as one row could get: the first stage of all, then all that is left."""
        return tuple(range(self.total - (num_rows - 1) * self.first))


def allocation_of(asked: AllocatedSeeds, num_rows: int) -> Allocation:
    """With the first stage's pairs.

    Args:
        asked: what the spec says.
        num_rows: cells x treatments.

    Raises:
        ValueError: there are too few pairs for so many rows, or nothing to share out.
    """
    half = asked.total // num_rows // 2
    # One pair at least has to be left.
    first = asked.first or max(MIN_FIRST, min((asked.total - 1) // num_rows, max(5, half)))
    allocation = Allocation(total=asked.total, first=first)
    wrong = unshareable(allocation, num_rows)
    if wrong:
        raise ValueError(wrong)
    return allocation


def unshareable(allocation: Allocation, num_rows: int) -> str:
    """Why pairs can't be shared out so among so many rows (empty: they can)."""
    if num_rows == 1:
        return (
            "one row (cell x treatment) has nobody to share pairs with, and would have its p from a t test in place of "
            f"the exact one; list its seeds, such as {list(range(6))}"
        )
    needed = allocation.first * num_rows
    if needed > allocation.total:
        return (
            f"{num_rows} rows of {allocation.first} pairs in the first stage are {needed}, more than the "
            f"{allocation.total} in all; {_remedy(allocation, num_rows)}"
        )
    if needed == allocation.total:
        return (
            f"{num_rows} rows of {allocation.first} pairs in the first stage are all {allocation.total}, and nothing "
            f"is left to share out; {_remedy(allocation, num_rows)}, or list the seeds 0 to "
            f"{allocation.first - 1}: as many pairs, with an exact p"
        )
    return ""


def _remedy(allocation: Allocation, num_rows: int) -> str:
    raised = f"raise `total` to {allocation.first * num_rows + 1} or more"
    return f"{raised}, or lower `first` ({MIN_FIRST} at least)" if allocation.first > MIN_FIRST else raised
