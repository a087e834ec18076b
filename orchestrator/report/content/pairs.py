"""What pairs say beside the comparisons, as data: repeats of the control, and treatments against placebos."""

from orchestrator.statistics.comparison import Cell
from trainers.strict import StrictModel


class RepeatCheck(StrictModel):
    """A treatment whose trials are those of the control trained once more (`sigmalab run --null`)."""

    cell: Cell
    """Model and data set."""
    treatment: str
    """The arm, as sentences call it."""
    num_pairs: int
    """Pairs whose trials have both succeeded."""
    num_equal: int
    """Those of them in which every metric but those of the clock is exactly the same."""
    num_metrics: int
    """Metrics that each trial has."""
    differing_metrics: tuple[str, ...]
    """Those that differ in some pair that ran alike."""
    num_unlike: int = 0
    """Pairs whose trials did not run alike: another device, number of workers, threads or version of a library."""
    num_unlike_equal: int = 0
    """Those of them that are equal all the same."""
    unlike_facts: tuple[str, ...] = ()
    """In what they ran otherwise, with both values."""
    mean_difference: float | None
    """Mean over pairs that ran alike of the compared metric's |difference|, in its unit (`None`: no pair has it)."""
    largest_difference: float | None
    """The largest of them."""
    text: str
    """The same in words."""

    @property
    def is_exact(self) -> bool:
        """Whether every pair, and there is one, is equal in everything."""
        return 0 < self.num_pairs == self.num_equal


class PlaceboContrast(StrictModel):
    """treatment - placebo over pairs of the same seed. Describes and claims nothing: it is outside Holm's family."""

    cell: Cell
    """Model and data set."""
    treatment: str
    """The arm with a Gaussian."""
    placebo: str
    """The arm with a Gaussian over permuted tokens."""
    other_differences: tuple[str, ...] = ()
    """Fields of the trial config in which the two differ beside that (empty: the placebo lacks locality only)."""
    num_pairs: int
    """Seeds that both arms completed."""
    effect: float
    """Mean paired difference, in the comparisons' unit."""
    ci_low: float | None
    """Lower end of the paired t interval (`None`: fewer than two pairs, or all differences are equal)."""
    ci_high: float | None
    """Upper end of the paired t interval."""
