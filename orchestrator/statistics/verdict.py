"""What the pairs allow to say, in one word."""

from collections.abc import Sequence

from orchestrator.statistics.comparison import Verdict


def judge(
    interval: tuple[float, float] | None,
    *,
    p_holm: float | None,
    level: float,
    equivalence_margin: float,
    higher_is_better: bool | None,
) -> Verdict:
    """Turn an interval and a corrected p into a verdict.

    A direction is claimed, however small the effect, only where the interval excludes 0 and p after correction over
    all rows confirms it: the chance that an experiment without any effect claims one anywhere stays at the level. The
    interval alone would claim one in 5, 18, 44 and 81 % of such experiments with 1, 4, 12 and 36 rows; it makes a row
    `suggestive`. An interval that holds 0 and lies inside plus or minus the margin shows equivalence: two one-sided
    tests, each at (1 - confidence) / 2, half the level that TOST usually takes, because the reader sees this one
    interval. Everything else is inconclusive: absence of evidence is never called "no difference".

    Args:
        interval: see `paired_t_interval`; `None` says nothing.
        p_holm: p after Holm's correction over all rows of the experiment.
        level: p below it confirms.
        equivalence_margin: smallest effect that matters (0: never equivalent).
        higher_is_better: direction of the metric (`None`: it has none, and the verdict is `larger` or `smaller`).
    """
    if interval is None:
        return Verdict.INCONCLUSIVE
    low, high = interval
    if low > 0 or high < 0:
        if p_holm is None or p_holm >= level:
            return Verdict.SUGGESTIVE
        if higher_is_better is None:
            return Verdict.LARGER if low > 0 else Verdict.SMALLER
        return Verdict.IMPROVED if (low > 0) == higher_is_better else Verdict.WORSE
    if -equivalence_margin < low and high < equivalence_margin:
        return Verdict.EQUIVALENT
    return Verdict.INCONCLUSIVE


def probability_of_superiority(differences: Sequence[float], *, higher_is_better: bool | None) -> float | None:
    """Share of pairs in which the treatment is better; a tie counts half.

    Describes the pairs at hand; assumes nothing and claims nothing beyond them.

    Args:
        differences: treatment - control, one per complete pair.
        higher_is_better: direction of the metric (`None`: it has none, and the larger value counts).
    """
    if len(differences) == 0:
        return None
    sign = -1.0 if higher_is_better is False else 1.0
    wins = sum(1.0 if sign * difference > 0 else 0.5 if difference == 0 else 0.0 for difference in differences)
    return wins / len(differences)
