"""What a script may require of an experiment's rows: met or not, with the reason."""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, Self

from orchestrator.statistics.comparison import Comparison, Verdict


class Demand(StrEnum):
    """What a row has to show. Absence of evidence never meets one."""

    IMPROVED = "improved"
    """Its verdict: confirmed after correction for all rows."""
    NOT_WORSE = "not-worse"
    """The interval's worse end is no further from 0 than the margin (`equivalence_margin`; 0: it reaches no worse)."""
    EQUIVALENT = "equivalent"
    """The whole interval lies within the margin."""


class Requirement(NamedTuple):
    """`improved`: of every row; `gaussian=improved`: of the rows of one arm."""

    demand: Demand
    arm: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it as a user writes it.

        Raises:
            ValueError: it demands nothing that is known.
        """
        arm, _, word = text.rpartition("=")
        try:
            return cls(Demand(word), arm or None)
        except ValueError:
            known = ", ".join(Demand)
            raise ValueError(f"{text!r} is not a requirement; write one of {known}, or <arm>=<one of them>") from None

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.arm}={self.demand.value}" if self.arm else self.demand.value

    def complaint(self, treatments: Collection[str], margin: float) -> str:
        """Why no result can meet it, known before anything runs (empty: one can).

        Args:
            treatments: names of the arms that are compared with the control.
            margin: that equivalence is judged by, in the metric's unit (0: none is named).
        """
        if self.arm not in (None, *treatments):
            return f"`{self}` is required, but no treatment is called `{self.arm}` (there are: {', '.join(treatments)})"
        if self.demand is Demand.EQUIVALENT and not margin:
            return (
                f"`{self}` is required, but nothing says how small an effect counts as none: name a margin "
                "(`equivalence_margin` in a spec, `--margin` of `sigmalab compare`)"
            )
        return ""

    def unmet(self, comparisons: Sequence[Comparison]) -> Iterator[str]:
        """A sentence for every row that does not meet it. All rows have to, so no correction is lost between them.

        Args:
            comparisons: all of one experiment that has ended.
        """
        treatments = list(dict.fromkeys(comparison.treatment for comparison in comparisons))
        complaint = self.complaint(treatments, max((row.equivalence_margin for row in comparisons), default=0.0))
        if complaint:
            yield complaint
            return
        for row in comparisons:
            if self.arm not in (None, row.treatment):
                continue
            reason = _why_unmet(row, self.demand)
            if reason:
                yield f"{row.treatment} in {row.cell.key} is not shown to be {self.demand.value}: {reason}"


def complaints(requirements: Sequence[Requirement], treatments: Collection[str], margin: float) -> list[str]:
    """Of all of them, see `Requirement.complaint`."""
    return [text for requirement in requirements if (text := requirement.complaint(treatments, margin))]


def unmet(requirements: Sequence[Requirement], comparisons: Sequence[Comparison]) -> list[str]:
    """Of all of them, see `Requirement.unmet`."""
    return [sentence for requirement in requirements for sentence in requirement.unmet(comparisons)]


def _why_unmet(row: Comparison, demand: Demand) -> str:
    if demand is not Demand.EQUIVALENT and row.higher_is_better is None:
        return f"neither more nor less of {row.metric} is better"
    if demand is Demand.IMPROVED:
        return "" if row.verdict is Verdict.IMPROVED else f"its verdict is {row.verdict_text(is_over=True)}"
    if row.ci_low is None or row.ci_high is None:
        return "its pairs give no interval"
    margin = row.equivalence_margin
    is_met = (
        -margin < row.ci_low and row.ci_high < margin
        if demand is Demand.EQUIVALENT
        else (row.ci_low >= -margin if row.higher_is_better else row.ci_high <= margin)
    )
    interval = f"[{row.ci_low:+.3g}, {row.ci_high:+.3g}]"
    return "" if is_met else f"its interval is {interval} {row.unit}, the margin {margin:g}"
