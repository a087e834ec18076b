"""The interval that goes with a verdict: right for all rows of an experiment at once."""

from typing import NamedTuple

from orchestrator.statistics.inference import Differences, FixedNumber, Inference, complete
from orchestrator.statistics.permutation import sign_flip_interval


class Bounds(NamedTuple):
    """An interval that may lack an end."""

    low: float | None
    """Lower end (`None`: nothing bounds it)."""
    high: float | None
    """Upper end (`None`: nothing bounds it)."""


UNBOUNDED = Bounds(None, None)


def simultaneous_bounds(
    differences: Differences,
    single: tuple[float, float] | None,
    *,
    inference: Inference,
    level: float,
    num_comparisons: int,
) -> Bounds:
    """Interval of one row at the level that is left for it, the test's that gives p, turned into an interval.

    Bonferroni: each row has 1 - level / rows, so all rows together hold their true effects in at least 1 - level of all
    repetitions, whatever their dependence (Dunn 1961, Journal of the American Statistical Association 56, 52-64). It is
    never narrower than the row's own interval.

    Args:
        differences: treatment - control of each seed, in the order of the plan.
        single: the row's own interval.
        inference: what makes interval and p.
        level: 1 - confidence.
        num_comparisons: rows of the experiment.

    Returns:
        No ends where so few pairs bound nothing among so many rows, and where there is no single interval.
    """
    if single is None:
        return UNBOUNDED
    share = level / num_comparisons
    if isinstance(inference, FixedNumber):
        found = sign_flip_interval(complete(differences), share)
    else:
        found = inference.interval(differences, 1 - share)
    if found is None:
        return UNBOUNDED
    return Bounds(min(found[0], single[0]), max(found[1], single[1]))


def agreeing(bounds: Bounds, *, effect: float | None, is_confirmed: bool) -> Bounds:
    """The same interval, excluding 0 exactly where the verdict names a direction.

    Holm's procedure may confirm a row that Bonferroni's share of the level alone would not: the rows before it are
    settled. Of such a row its direction is known, and the end towards 0 is 0 itself, which it leaves out (Strassburger
    and Bretz 2008, Statistics in Medicine 27, 4914-4927; Guilbaud 2008, Biometrical Journal 50, 678-692).
    """
    low, high = bounds
    if not is_confirmed:
        return Bounds(None if low is None else min(low, 0.0), None if high is None else max(high, 0.0))
    if effect is not None and effect > 0:
        return Bounds(max(low or 0.0, 0.0), high)
    return Bounds(low, min(high or 0.0, 0.0))
