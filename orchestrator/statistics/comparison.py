"""The answer for one cell and one treatment: effect, interval, p, verdict."""

from collections.abc import Callable
from enum import StrEnum

from trainers.strict import StrictModel


class Verdict(StrEnum):
    """What the pairs allow to say. Never "no difference"."""

    IMPROVED = "improved"
    WORSE = "worse"
    LARGER = "larger"
    """Of a metric of which neither more nor less is better."""
    SMALLER = "smaller"
    SUGGESTIVE = "suggestive"
    """The interval excludes 0, but p after correction does not confirm it: a reason for more pairs, not a claim."""
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


SUGGESTIVE_MEANS = "suggestive: the interval excludes 0, but p after Holm's correction does not confirm it"
"""Footnote of a table with such a verdict."""


def simultaneous_means(num_comparisons: int) -> str:
    """Footnote of a table with simultaneous intervals.

    Args:
        num_comparisons: rows of the experiment.
    """
    one = "the interval of the test that gives p"
    rows = one if num_comparisons == 1 else f"right for all {num_comparisons} rows at once"
    return f"simultaneous: {rows}; excludes 0 exactly where the verdict names a direction"


class Basis(StrEnum):
    """How it was decided that there are so many pairs, which is what interval and p have to be right about."""

    FIXED = "fixed"
    """Fixed before anybody saw a pair: paired t interval, exact sign-flip p."""
    LOOKS = "looks"
    """Looks were planned, and each could end it: repeated interval and p of a group sequential t test."""
    TWO_STAGES = "two_stages"
    """The sd of the first pairs decided how many there are: Stein's interval, and p of his t."""
    ANYTIME = "anytime"
    """Whoever looked could decide by it, any number of times: any-time interval and p (t e-process)."""

    @property
    def depends_on_effects(self) -> bool:
        """Whether what was seen of an effect could decide how many pairs it has."""
        return self in (Basis.LOOKS, Basis.ANYTIME)

    @property
    def interval_words(self) -> str:
        """How a caption calls the interval."""
        return _INTERVAL_WORDS[self]

    @property
    def test_words(self) -> str:
        """How a caption calls the test that p is of."""
        return _TEST_WORDS[self]


_INTERVAL_WORDS = {
    Basis.FIXED: "paired t interval",
    Basis.LOOKS: "repeated t interval of the planned looks",
    Basis.TWO_STAGES: "two-stage t interval (Stein)",
    Basis.ANYTIME: "any-time t interval",
}
_TEST_WORDS = {
    Basis.FIXED: "two-sided sign-flip permutation test",
    Basis.LOOKS: "two-sided group sequential t test, repeated p",
    Basis.TWO_STAGES: "two-sided two-stage t test (Stein)",
    Basis.ANYTIME: "two-sided any-time t test, 1/e",
}


def level_of(confidence: float) -> float:
    """1 - confidence, as it is on paper: 1 - 0.95 is a little more than 0.05 in binary."""
    return round(1 - confidence, 9)


class Cell(StrictModel):
    """One entry of the table of results."""

    model: str
    """Label of the model."""
    dataset: str
    """Label of the data set."""

    @property
    def key(self) -> str:
        """`model/dataset`, as run names, tags and metric keys spell it."""
        return f"{self.model}/{self.dataset}"


class Pair(StrictModel):
    """Control and treatment of one seed; `None` stands for a value that is not there."""

    seed: int
    """The seed that both share."""
    control: float | None
    """Control's metric, in `unit`."""
    treatment: float | None
    """Treatment's metric, in `unit`."""
    missing_because: str | None = None
    """Why the pair is incomplete, for people (`None`: it is complete)."""

    @property
    def effect(self) -> float | None:
        """Treatment - control (`None`: the pair is incomplete)."""
        if self.control is None or self.treatment is None:
            return None
        return self.treatment - self.control


_WORTH_NAMING = 1.1
"""Below it, pairing gained less than a tenth, which so few pairs can't tell from nothing."""


class PairingGain(StrictModel):
    """How alike control and treatment of a pair are, and what that was worth. Estimates from few pairs are rough."""

    correlation: float | None
    """Pearson's correlation of control and treatment over complete pairs (`None`: one arm never varies)."""
    unpaired_ratio: float
    """How many times as many unpaired runs the same standard error would have taken; 1: pairing gained nothing, below
    1: it cost."""
    unpaired_runs: int
    """Unpaired runs of each arm whose t interval would have been as narrow."""

    @property
    def is_gain(self) -> bool:
        """Whether pairing gained anything worth naming: in the standard error (the interval is another matter)."""
        return self.unpaired_ratio >= _WORTH_NAMING


class Comparison(StrictModel):
    """treatment - control over the complete pairs of one cell."""

    cell: Cell
    """Model and data set."""
    treatment: str
    """Name of the treatment arm."""
    control: str
    """Name of the control arm."""
    metric: str
    """The compared metric, such as `test/top1`."""
    unit: str
    """Unit of all values: `pp` (percentage points) for accuracies, `nats` for losses, `tokens` for widths."""
    num_pairs: int
    """Complete pairs, the n of every number below."""
    num_planned_pairs: int
    """Pairs that the plan asks for."""
    pairs: tuple[Pair, ...]
    """Every planned pair, complete or not, by seed."""
    control_mean: float | None
    """Mean of the control over the complete pairs."""
    control_sd: float | None
    """Standard deviation (n - 1) of the control."""
    treatment_mean: float | None
    """Mean of the treatment over the complete pairs."""
    treatment_sd: float | None
    """Standard deviation (n - 1) of the treatment."""
    effect: float | None
    """Mean paired difference."""
    effect_sd: float | None
    """Standard deviation (n - 1) of the paired differences."""
    ci_low: float | None
    """Lower end of the interval that `basis` names (`None`: fewer than two pairs, all differences are equal, or so few
    pairs that an any-time interval has no end)."""
    ci_high: float | None
    """Upper end of the interval."""
    simultaneous_low: float | None = None
    """Lower end of the interval that is right for all rows at once (`None`: nothing bounds it). It excludes 0 exactly
    where the verdict names a direction; an end of 0 is then left out itself."""
    simultaneous_high: float | None = None
    """Upper end of it."""
    confidence: float
    """Confidence of the interval, such as 0.95."""
    basis: Basis = Basis.FIXED
    """How it was decided that there are so many pairs: which interval and which p these are."""
    p_value: float | None
    """Two-sided p: of the sign-flip permutation test (exact up to 30 pairs), or any-time, as `basis` says."""
    p_holm: float | None
    """`p_value` after Holm's correction over all comparisons of the experiment."""
    p_holm_floor: float
    """Smallest `p_holm` that this row could have, with its pairs and those of the other rows: where all have the same
    n, min(1, comparisons x 2 / 2^n). Where it is not below 1 - `confidence`, no effect can be confirmed, however
    large."""
    probability_of_superiority: float | None
    """Share of pairs in which the treatment is better (without a direction: larger); a tie counts half."""
    equivalence_margin: float
    """Smallest effect that matters (0: equivalence is never claimed)."""
    verdict: Verdict
    """What the pairs allow to say."""
    higher_is_better: bool | None
    """Direction of the metric (`None`: it has none); the verdict takes it into account."""
    pairing: PairingGain | None = None
    """What pairing gained (`None`: fewer than three pairs, or all differences are equal)."""

    @property
    def level(self) -> float:
        """A corrected p below it confirms: 1 - confidence."""
        return level_of(self.confidence)

    @property
    def is_confirmed(self) -> bool:
        """Whether the verdict names a direction."""
        return self.verdict in (Verdict.IMPROVED, Verdict.WORSE, Verdict.LARGER, Verdict.SMALLER)

    @property
    def is_within_margin(self) -> bool:
        """Whether the whole interval lies inside plus or minus the smallest effect that matters."""
        if self.ci_low is None or self.ci_high is None:
            return False
        return -self.equivalence_margin < self.ci_low and self.ci_high < self.equivalence_margin

    @property
    def can_be_confirmed(self) -> bool:
        """Whether so many pairs can give a corrected p that confirms an effect."""
        return self.p_holm_floor < self.level

    def simultaneous_text(self, write: Callable[[float], str]) -> str:
        """`[2.4, 13.5]`; `(0.0, 13.5]` where 0 is left out, `(0.0, ∞)` without an end; empty where nothing bounds it.

        Args:
            write: how numbers are written.
        """
        low, high = self.simultaneous_low, self.simultaneous_high
        if low is None and high is None:
            return ""
        left = "[" if low is not None and not (self.is_confirmed and low == 0) else "("
        right = "]" if high is not None and not (self.is_confirmed and high == 0) else ")"
        ends = ["-∞" if low is None else write(low), "∞" if high is None else write(high)]
        return f"{left}{', '.join(ends)}{right}"

    def verdict_text(self, *, is_over: bool, is_repeated: bool | None = None) -> str:
        """The verdict as tables show it; `not yet` or `no pairs` where there is none.

        Args:
            is_over: whether the experiment has ended, so that no further pair will come.
            is_repeated: of a control that was trained once more, whether every pair is exactly equal (`None`: the
                treatment changes something). There is no effect to be judged then.
        """
        if not self.num_pairs:
            return "no pairs" if is_over else "not yet"
        if is_repeated is not None:
            return "exactly equal" if is_repeated else "not equal"
        return self.verdict.value


class RandomEffectsMean(StrictModel):
    """DerSimonian and Laird's mean over cells taken as independent, with Hartung and Knapp's interval."""

    num_cells: int
    """Cells with an effect and a standard error."""
    effect: float
    """Mean, in the comparisons' unit."""
    ci_low: float
    """Lower end of its interval."""
    ci_high: float
    """Upper end of its interval."""
    between_cells_sd: float
    """Estimated standard deviation of the true effect between cells (tau)."""


class PooledEffect(StrictModel):
    """One treatment over all its cells: the mean over cells within each seed, then over seeds."""

    treatment: str
    """Name of the treatment arm."""
    num_cells: int
    """Cells with a complete pair."""
    num_seeds: int
    """Seeds whose pair is complete in every one of these cells, the n of the interval."""
    effect: float | None
    """Mean over cells and these seeds, in the comparisons' unit (`None`: no such seed)."""
    ci_low: float | None
    """Lower end of the t interval over seeds (`None`: fewer than two of them, or their means are all equal)."""
    ci_high: float | None
    """Upper end of the t interval over seeds."""
    between_cells_sd: float | None
    """Estimated standard deviation of the true effect between cells (`None`: fewer than two cells or seeds)."""
    is_constant: bool = False
    """Whether the means of these seeds, of two at least, are all equal: they have no interval then."""
    random_effects: RandomEffectsMean | None = None
    """Beside it only where seeds differ between cells, so that some pairs do not count above, and no effect could
    decide how many pairs there are."""
