"""Simultaneous intervals: against the test that they turn over, and by simulation through the whole comparison."""

import numpy as np
import pytest

from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Verdict
from orchestrator.statistics.inference import AnyTime, FixedNumber
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.permutation import sign_flip_interval, sign_flip_p
from orchestrator.statistics.simultaneous import Bounds, agreeing, simultaneous_bounds
from orchestrator.status import TrialStatus

CELL = Cell(model="vit", dataset="digits")


@pytest.mark.parametrize("num_pairs", [6, 7, 12, 16, 17, 22, 31])
@pytest.mark.parametrize("level", [0.05, 0.05 / 4, 0.05 / 36])
def test_the_interval_is_where_the_sign_flip_p_is_not_below_the_level(num_pairs, level):
    differences = np.random.default_rng(num_pairs).normal(1, 2, num_pairs)
    found = sign_flip_interval(list(differences), level)
    if 2.0 ** (1 - num_pairs) >= level:
        assert found is None
        return
    low, high = found
    step = 1e-5 * np.ptp(differences)
    for end, outwards in ((low, -step), (high, step)):
        assert sign_flip_p(list(differences - (end - outwards))) >= level
        assert sign_flip_p(list(differences - (end + outwards))) < level


def test_seven_pairs_at_the_lowest_level_that_they_reach_give_their_range():
    """Only where all seven differences have one sign is p below 0.025."""
    differences = [4.2, 2.4, 5.0, 5.6, 13.5, 8.2, 13.3]
    assert sign_flip_interval(differences, 0.025) == pytest.approx((2.4, 13.5))
    assert sign_flip_interval(differences, 2 / 2**7) is None


@pytest.mark.parametrize("num_pairs", [7, 12, 18])
def test_the_sign_flip_interval_covers_at_its_level_whatever_the_symmetric_noise(num_pairs):
    repetitions, level = 1500 if num_pairs < 18 else 150, 0.04
    noise = np.random.default_rng(2).standard_t(3, (repetitions, num_pairs))
    found = [sign_flip_interval(list(sample), level) for sample in noise]
    covered = np.mean([low <= 0 <= high for low, high in found])
    assert 1 - level - 3 * np.sqrt(level / repetitions) <= covered <= 1 - level / 2.5 + 3 * np.sqrt(level / repetitions)


def test_never_narrower_than_the_single_interval_and_of_the_same_test():
    differences = [0.1, 0.2, 0.15, 0.3, 0.25, 0.12, 0.18]
    single = FixedNumber().interval(differences, 0.95)
    alone = simultaneous_bounds(differences, single, inference=FixedNumber(), level=0.05, num_comparisons=1)
    assert alone.low <= single[0] < single[1] <= alone.high
    three = simultaneous_bounds(differences, single, inference=FixedNumber(), level=0.05, num_comparisons=3)
    assert three.low <= alone.low < alone.high <= three.high
    four = simultaneous_bounds(differences, single, inference=FixedNumber(), level=0.05, num_comparisons=4)
    assert four == Bounds(None, None)
    by_looking = AnyTime().interval(differences, 0.95)
    bounds = simultaneous_bounds(differences, by_looking, inference=AnyTime(), level=0.05, num_comparisons=2)
    assert bounds == AnyTime().interval(differences, 0.975)


@pytest.mark.parametrize(
    ("bounds", "effect", "is_confirmed", "agreed"),
    [
        (Bounds(0.1, 0.9), 0.5, True, Bounds(0.1, 0.9)),
        (Bounds(-0.9, -0.1), -0.5, True, Bounds(-0.9, -0.1)),
        (Bounds(-0.1, 0.9), 0.5, True, Bounds(0.0, 0.9)),  # confirmed by Holm's later steps alone
        (Bounds(-0.9, 0.1), -0.5, True, Bounds(-0.9, 0.0)),
        (Bounds(None, None), 0.5, True, Bounds(0.0, None)),
        (Bounds(None, None), -0.5, True, Bounds(None, 0.0)),
        (Bounds(-0.1, 0.9), 0.5, False, Bounds(-0.1, 0.9)),
        (Bounds(1e-17, 0.9), 0.5, False, Bounds(0.0, 0.9)),  # a tie, but for rounding
        (Bounds(None, None), 0.5, False, Bounds(None, None)),
    ],
)
def test_interval_and_word_agree(bounds, effect, is_confirmed, agreed):
    assert agreeing(bounds, effect=effect, is_confirmed=is_confirmed) == agreed


def compared(control, treatments, inference=None):
    arms = {"c": control, **treatments}
    outcomes = [
        TrialOutcome(cell=CELL, arm=arm, seed=seed, status=TrialStatus.SUCCEEDED, metrics={"test/top1": float(value)})
        for arm, values in arms.items()
        for seed, value in enumerate(values)
    ]
    return compare_arms(
        cells=[CELL], control="c", treatments=list(treatments), seeds=range(len(control)), outcomes=outcomes,
        metric="test/top1", confidence=0.95, equivalence_margin=0.0, inference=inference,
    )  # fmt: skip


@pytest.mark.parametrize("inference", [FixedNumber(), AnyTime()])
def test_a_simultaneous_interval_excludes_0_exactly_where_the_word_claims_a_direction(inference):
    rng, words = np.random.default_rng(6), set()
    for repetition in range(250):
        num_pairs, num_rows = (6, 7, 9, 12)[repetition % 4], (1, 2, 5)[repetition % 3]
        control = rng.normal(0.5, 0.05, num_pairs)
        # Steps of a test split of 500 images: many ties.
        arms = {
            f"t{row}": np.round((control + rng.normal(0.008 * row, 0.01, num_pairs)) * 500) / 500
            for row in range(num_rows)
        }
        for each in compared(np.round(control * 500) / 500, arms, inference):
            words.add(each.verdict)
            text = each.simultaneous_text(lambda end: f"{end:.3f}")
            low, high = each.simultaneous_low, each.simultaneous_high
            above = low is not None and (low > 0 or text.startswith("(0.000"))
            below = high is not None and (high < 0 or text.endswith("0.000)"))
            assert (above, below) == (each.verdict is Verdict.IMPROVED, each.verdict is Verdict.WORSE)
            if low is not None and high is not None and each.ci_low is not None and low * high != 0:
                assert low <= each.ci_low
                assert each.ci_high <= high
    assert words >= {Verdict.IMPROVED, Verdict.SUGGESTIVE, Verdict.INCONCLUSIVE}


def test_all_intervals_of_an_experiment_hold_their_effects_in_95_of_100():
    """Half of the rows have a large effect: where Holm's steps go on after these, the ends at 0 are right too."""
    repetitions, num_pairs, effects = 400, 12, (0.0, 0.0, 0.02, 0.02)
    rng, held = np.random.default_rng(9), 0
    for _ in range(repetitions):
        control = rng.normal(0.5, 0.05, num_pairs)
        arms = {f"t{row}": control + rng.normal(effect, 0.01, num_pairs) for row, effect in enumerate(effects)}
        held += all(
            (each.simultaneous_low is None or each.simultaneous_low <= 100 * effect)
            and (each.simultaneous_high is None or 100 * effect <= each.simultaneous_high)
            and not (each.is_confirmed and effect == 0)
            for each, effect in zip(compared(control, arms), effects, strict=True)
        )
    assert held / repetitions >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / repetitions)
