"""Planned looks as a spec writes them, and what a plan says of them.

The arithmetic is in `orchestrator.statistics.looks`. This is free of scipy: whatever reads a spec reads this.
"""

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from trainers.strict import StrictModel

BoundaryKind = Literal["obrien_fleming", "pocock"]
_MAX_PAIRS = 60
"""The boundary takes a tenth of a second for each pair."""


class Futility(StrictModel):
    """When to give up: the planned end will hardly bring an effect that can be confirmed."""

    conditional_power_below: float = Field(default=0.1, gt=0, lt=1)
    """Give up where the chance that the last look crosses its boundary, if the effect is what the pairs so far say, is
    below this."""
    binding: bool = True
    """Whether the driver stops there; else it only says so, and goes on. The boundaries for an effect are the same
    either way, so the level holds whether or not anybody gives up."""


class Looks(StrictModel):
    """Looks at the results that are planned before anything runs, each of which may end a comparison."""

    kind: BoundaryKind = "obrien_fleming"
    """How the chance of a false alarm is spent: `obrien_fleming` (little at first: the end is nearly as without looks)
    or `pocock` (the same p at every look: large effects end sooner)."""
    at: tuple[int, ...] = Field(min_length=1, max_length=50)
    """Pairs after which to look, ascending; the last one is the planned end."""
    futility: Futility | None = None
    """Whether to give up where the planned end will hardly bring an effect (`null`: never)."""
    abandoned: bool = False
    """Whether seeds were added otherwise than planned (`extend` writes it): the looks then end nothing, and intervals
    are any-time ones."""

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if self.at[0] < 2 or self.at[-1] > _MAX_PAIRS or any(late <= early for early, late in pairwise(self.at)):
            raise ValueError(
                f"`at` is {list(self.at)}: it has to ascend, from 2 pairs at least to {_MAX_PAIRS} at most"
            )
        return self


class PlannedLook(StrictModel):
    """One look, before anything runs."""

    num_pairs: int
    """Pairs of each comparison that is still open."""
    p_bound: float
    """p of the t test that ends a comparison if it were the only one."""
    p_bound_corrected: float
    """The same after correction for all rows, where no other shows an effect."""


class LooksForecast(StrictModel):
    """What planned looks can show, and what they take: simulated with normal differences, without giving up."""

    kind: BoundaryKind
    """Shape of the boundary."""
    looks: tuple[PlannedLook, ...]
    """Those that the seeds reach, in order."""
    confirmable_effect_per_sd: float
    """Smallest true effect, in sds of a pair's difference, that a row confirms in 80 % of all repetitions, after
    correction for all rows."""
    mean_pairs_with_effect: float
    """Pairs that a row with that effect takes on average."""
    mean_pairs_without_effect: float
    """Pairs that a row without any effect takes on average."""
