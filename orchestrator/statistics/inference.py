"""What an interval and a p have to be right about: how it was decided that there are so many pairs."""

from collections.abc import Sequence
from typing import Protocol

from orchestrator.statistics.anytime import anytime_floor, anytime_interval, anytime_p
from orchestrator.statistics.comparison import Basis
from orchestrator.statistics.interval import paired_t_interval
from orchestrator.statistics.permutation import sign_flip_floor, sign_flip_p

Differences = Sequence[float | None]
"""Treatment - control of each seed in the order of the plan; `None`: the pair is incomplete."""


class Inference(Protocol):
    """Interval and p of one comparison."""

    @property
    def basis(self) -> Basis:
        """How tables name it."""

    def interval(self, differences: Differences, confidence: float) -> tuple[float, float] | None:
        """Interval of the mean difference (`None`: these pairs give none)."""

    def p_value(self, differences: Differences) -> float | None:
        """Two-sided p of a mean difference of 0, before any correction for several rows (`None`: no pair)."""

    def p_floor(self, num_pairs: int) -> float:
        """Smallest p that so many complete pairs can give."""


class FixedNumber:
    """The number of pairs was fixed before anybody saw one: paired t interval, exact sign-flip p."""

    basis = Basis.FIXED

    def interval(self, differences: Differences, confidence: float) -> tuple[float, float] | None:
        """See `paired_t_interval`."""
        return paired_t_interval(complete(differences), confidence)

    def p_value(self, differences: Differences) -> float | None:
        """See `sign_flip_p`."""
        return sign_flip_p(complete(differences))

    def p_floor(self, num_pairs: int) -> float:
        """See `sign_flip_floor`."""
        return sign_flip_floor(num_pairs)


class AnyTime:
    """Somebody may have looked, and decided by what was seen: see `orchestrator.statistics.anytime`."""

    basis = Basis.ANYTIME

    def interval(self, differences: Differences, confidence: float) -> tuple[float, float] | None:
        """See `anytime_interval`; `None` also where it would be infinite."""
        found = anytime_interval(complete(differences), confidence)
        return None if found is None or found[0] == -float("inf") else found

    def p_value(self, differences: Differences) -> float | None:
        """See `anytime_p`."""
        return anytime_p(complete(differences))

    def p_floor(self, num_pairs: int) -> float:
        """See `anytime_floor`."""
        return anytime_floor(num_pairs)


def inference_beside(basis: Basis) -> Inference:
    """For what stands beside the comparisons of that basis: a plan of looks is the comparisons' own."""
    return FixedNumber() if basis is Basis.FIXED else AnyTime()


def complete(differences: Differences) -> list[float]:
    """Those of the complete pairs."""
    return [difference for difference in differences if difference is not None]
