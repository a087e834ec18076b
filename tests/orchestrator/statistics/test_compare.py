"""From outcomes to comparisons: numbers against scipy, verdicts with planted effects, nothing dropped in silence."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Verdict
from orchestrator.statistics.metric import ever_claimable, metric_named
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.verdict import judge, probability_of_superiority
from orchestrator.status import TrialStatus
from trainers.analyses.map_metrics import ReceptiveField, measure

CELL = Cell(model="vit", dataset="digits")


def outcome(arm, seed, value=None, *, status=TrialStatus.SUCCEEDED, error="", cell=CELL, metric="test/top1"):
    metrics = {} if value is None else {metric: float(value)}
    return TrialOutcome(cell=cell, arm=arm, seed=seed, status=status, error=error, metrics=metrics)


def outcomes_of(values_by_arm, **options):
    return [
        outcome(arm, seed, value, **options)
        for arm, values in values_by_arm.items()
        for seed, value in enumerate(values)
    ]


def compare(
    outcomes, *, seeds=range(6), metric="test/top1", margin=0.0, treatments=("t",), cells=(CELL,), confidence=0.95
):
    return compare_arms(
        cells=cells,
        control="c",
        treatments=treatments,
        seeds=list(seeds),
        outcomes=outcomes,
        metric=metric,
        confidence=confidence,
        equivalence_margin=margin,
    )


def test_every_number_of_a_comparison():
    rng = np.random.default_rng(0)
    control = rng.normal(0.50, 0.01, 6)
    treatment = control + rng.normal(0.02, 0.005, 6)
    outcomes = outcomes_of({"c": control, "t": treatment})
    rng.shuffle(outcomes)
    (comparison,) = compare(outcomes)
    test = stats.ttest_rel(100 * treatment, 100 * control)
    interval = test.confidence_interval(0.95)
    assert (comparison.unit, comparison.num_pairs, comparison.num_planned_pairs) == ("pp", 6, 6)
    assert comparison.control_mean == pytest.approx(100 * control.mean())
    assert comparison.control_sd == pytest.approx(100 * control.std(ddof=1))
    assert comparison.treatment_mean == pytest.approx(100 * treatment.mean())
    assert comparison.treatment_sd == pytest.approx(100 * treatment.std(ddof=1))
    assert comparison.effect == pytest.approx(100 * (treatment - control).mean())
    assert comparison.effect_sd == pytest.approx(100 * (treatment - control).std(ddof=1))
    assert (comparison.ci_low, comparison.ci_high) == pytest.approx((interval.low, interval.high))
    assert comparison.p_value == comparison.p_holm == 0.03125
    assert comparison.probability_of_superiority == 1.0
    assert comparison.verdict is Verdict.IMPROVED
    assert [pair.seed for pair in comparison.pairs] == list(range(6))
    assert all(pair.missing_because is None for pair in comparison.pairs)


def test_a_lower_loss_is_an_improvement():
    control, lower = [1.0, 1.1, 1.2, 1.0, 1.1, 1.2], [0.5, 0.7, 0.6, 0.4, 0.6, 0.7]
    (comparison,) = compare(outcomes_of({"c": control, "t": lower}, metric="test/loss"), metric="test/loss")
    assert (comparison.unit, comparison.higher_is_better) == ("nats", False)
    assert comparison.effect < 0
    assert comparison.verdict is Verdict.IMPROVED
    assert comparison.probability_of_superiority == 1.0
    (turned,) = compare(outcomes_of({"c": lower, "t": control}, metric="test/loss"), metric="test/loss")
    assert turned.verdict is Verdict.WORSE


@pytest.mark.parametrize("pairs", [0, 1])
def test_too_few_pairs_for_a_verdict(pairs):
    (comparison,) = compare(outcomes_of({"c": [0.1] * pairs, "t": [0.9] * pairs}), seeds=range(pairs), margin=5)
    assert comparison.num_pairs == pairs
    assert (comparison.ci_low, comparison.ci_high, comparison.effect_sd) == (None, None, None)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.p_value == (None if pairs == 0 else 1.0)
    assert comparison.probability_of_superiority == (None if pairs == 0 else 1.0)
    assert comparison.effect == (None if pairs == 0 else pytest.approx(80))


@pytest.mark.parametrize("step", [0.0, 0.01])
def test_equal_differences_are_no_certainty(step):
    control = [0.5, 0.6, 0.7, 0.8, 0.55, 0.65]
    (comparison,) = compare(outcomes_of({"c": control, "t": [value + step for value in control]}), margin=5)
    assert comparison.effect == pytest.approx(100 * step)
    assert comparison.effect_sd == 0
    assert comparison.ci_low is None
    assert comparison.verdict is Verdict.INCONCLUSIVE


def test_incomplete_pairs_are_shown_with_their_reasons():
    outcomes = [
        *outcomes_of({"c": [0.5, 0.52, 0.54]}),
        outcome("t", 0, 0.6),
        outcome("t", 1, status=TrialStatus.FAILED, error="the training loss became nan in epoch 3, step 17"),
        outcome("t", 2, status=TrialStatus.CANCELLED),
        outcome("c", 3, status=TrialStatus.RUNNING),
        outcome("t", 3, 0.7),
        outcome("c", 4, status=TrialStatus.FAILED),
        outcome("c", 5, 0.5),
        outcome("t", 5, None),
    ]
    (comparison,) = compare(outcomes)
    assert (comparison.num_pairs, comparison.num_planned_pairs) == (1, 6)
    assert [pair.missing_because for pair in comparison.pairs] == [
        None,
        "t: failed (the training loss became nan in epoch 3, step 17)",
        "t: cancelled",
        "c: running",
        "c: failed (no error was recorded); t: missing (no such trial was recorded)",
        "t: succeeded without `test/top1`",
    ]
    assert (comparison.pairs[1].control, comparison.pairs[1].treatment, comparison.pairs[1].effect) == (52, None, None)
    # Means are over complete pairs alone: both arms over the same seeds.
    assert (comparison.control_mean, comparison.treatment_mean) == (50, 60)


def test_a_failed_trial_never_counts_though_it_left_a_metric():
    outcomes = [*outcomes_of({"c": [0.5, 0.5]}), outcome("t", 0, 0.9, status=TrialStatus.FAILED), outcome("t", 1, 0.6)]
    (comparison,) = compare(outcomes, seeds=range(2))
    assert comparison.num_pairs == 1
    assert comparison.effect == pytest.approx(10)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_no_number_is_refused(value):
    with pytest.raises(ValidationError, match="finite number"):
        outcome("c", 0, value)


def test_two_outcomes_of_one_trial_are_refused():
    with pytest.raises(ValueError, match="two outcomes for cell `vit/digits`, arm `c`, seed 0"):
        compare([outcome("c", 0, 0.5), outcome("c", 0, 0.6)])


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="unknown metric `sigma/00`; known are names that end in top1, top5, loss"):
        metric_named("sigma/00")


def test_holm_runs_over_all_comparisons_of_the_experiment():
    cells = [CELL, Cell(model="vit", dataset="pets")]
    rng = np.random.default_rng(1)
    outcomes = [
        *outcomes_of({"c": rng.normal(0.5, 0.01, 8), "t": rng.normal(0.6, 0.01, 8), "u": rng.normal(0.5, 0.01, 8)}),
        *outcomes_of({"c": rng.normal(0.5, 0.01, 8), "t": rng.normal(0.6, 0.01, 8)}, cell=cells[1]),
    ]
    comparisons = compare(outcomes, seeds=range(8), cells=cells, treatments=("t", "u"))
    assert [(c.cell.dataset, c.treatment) for c in comparisons] == [
        ("digits", "t"),
        ("digits", "u"),
        ("pets", "t"),
        ("pets", "u"),
    ]
    assert [c.p_value for c in comparisons if c.treatment == "t"] == [2 / 2**8] * 2
    # Four comparisons, the one without pairs included; the second smallest never below the smallest.
    assert [c.p_holm for c in comparisons if c.treatment == "t"] == [4 * 2 / 2**8] * 2
    assert comparisons[3].p_holm is None


@pytest.mark.parametrize(
    ("interval", "p_holm", "margin", "higher_is_better", "verdict"),
    [
        ((0.1, 0.5), 0.01, 0.0, True, Verdict.IMPROVED),
        ((0.1, 0.5), 0.01, 0.0, False, Verdict.WORSE),
        ((0.1, 0.5), 0.01, 0.0, None, Verdict.LARGER),
        ((-0.5, -0.1), 0.01, 0.0, True, Verdict.WORSE),
        ((-0.5, -0.1), 0.01, 0.0, False, Verdict.IMPROVED),
        ((-0.5, -0.1), 0.01, 0.0, None, Verdict.SMALLER),
        ((0.1, 0.5), 0.05, 0.0, True, Verdict.SUGGESTIVE),  # not below the level
        ((-0.5, -0.1), 0.3, 0.0, None, Verdict.SUGGESTIVE),
        ((0.1, 0.5), None, 0.0, True, Verdict.SUGGESTIVE),
        ((0.1, 0.2), 0.01, 1.0, True, Verdict.IMPROVED),  # below what matters, but there
        ((-0.2, 0.3), 0.01, 0.5, True, Verdict.EQUIVALENT),
        ((-0.2, 0.5), 0.6, 0.5, True, Verdict.INCONCLUSIVE),
        ((-0.2, 0.3), 0.01, 0.0, True, Verdict.INCONCLUSIVE),  # p alone claims nothing either
        ((0.0, 0.5), 0.01, 0.0, True, Verdict.INCONCLUSIVE),  # touches 0
        (None, 0.01, 5.0, True, Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts(interval, p_holm, margin, higher_is_better, verdict):
    found = judge(interval, p_holm=p_holm, level=0.05, equivalence_margin=margin, higher_is_better=higher_is_better)
    assert found is verdict


@pytest.mark.parametrize(
    ("num_pairs", "num_rows", "floor", "can_be_confirmed"),
    [(5, 1, 2 / 32, False), (6, 1, 2 / 64, True), (7, 3, 6 / 128, True), (7, 4, 8 / 128, False), (2, 4, 1.0, False)],
)
def test_so_few_pairs_confirm_nothing_among_so_many_rows(num_pairs, num_rows, floor, can_be_confirmed):
    rng = np.random.default_rng(3)
    control = rng.normal(0.5, 0.01, num_pairs)
    arms = {f"t{row}": control + rng.normal(0.3, 0.001, num_pairs) for row in range(num_rows)}
    compared = compare(outcomes_of({"c": control, **arms}), treatments=tuple(arms), seeds=range(num_pairs))
    assert [each.p_holm_floor for each in compared] == [floor] * num_rows
    assert {each.can_be_confirmed for each in compared} == {can_be_confirmed}
    # As large an effect as there can be.
    assert {each.verdict for each in compared} == {Verdict.IMPROVED if can_be_confirmed else Verdict.SUGGESTIVE}


def test_a_row_of_few_pairs_is_confirmed_after_rows_of_more():
    """Failed trials in one row: among four of seven pairs none could be, but three others have settled first."""
    rng = np.random.default_rng(3)
    control = rng.normal(0.5, 0.01, 12)
    arms = {f"t{row}": control + rng.normal(0.3, 0.001, 12) for row in range(4)}
    outcomes = [each for each in outcomes_of({"c": control, **arms}) if each.arm != "t3" or each.seed < 7]
    compared = compare(outcomes, treatments=tuple(arms), seeds=range(12))
    assert [each.num_pairs for each in compared] == [12, 12, 12, 7]
    assert [each.p_holm_floor for each in compared] == [4 * 2 / 2**12] * 3 + [2 / 2**7]
    assert [each.p_holm for each in compared] == [each.p_holm_floor for each in compared]
    assert {each.verdict for each in compared} == {Verdict.IMPROVED}


@pytest.mark.parametrize(("num_rows", "num_pairs"), [(4, 10), (12, 12)])
def test_an_experiment_without_any_effect_claims_one_as_rarely_as_the_confidence_says(num_rows, num_pairs):
    repetitions, rng = 400, np.random.default_rng(11)
    names = tuple(f"t{row}" for row in range(num_rows))
    claimed = suggested = 0
    for _ in range(repetitions):
        control = rng.normal(0.5, 0.05, num_pairs)
        # All rows share their control, as arms of one cell do.
        arms = {name: control + rng.normal(0, 0.01, num_pairs) for name in names}
        compared = compare(outcomes_of({"c": control, **arms}), treatments=names, seeds=range(num_pairs))
        claimed += any(each.is_confirmed for each in compared)
        suggested += any(each.is_confirmed or each.verdict is Verdict.SUGGESTIVE for each in compared)
    assert claimed / repetitions <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)
    # What the intervals alone would have claimed.
    assert suggested / repetitions > 0.1


def test_superiority_counts_ties_half_and_knows_the_direction():
    assert probability_of_superiority([1.0, -1.0, 0.0, 2.0], higher_is_better=True) == 0.625
    assert probability_of_superiority([1.0, -1.0, 0.0, 2.0], higher_is_better=False) == 0.375


def verdicts(true_effect, *, repetitions=1500, margin=0.0, num_pairs=6, sd=0.01):
    rng = np.random.default_rng(7)
    found = []
    for _ in range(repetitions):
        control = rng.normal(0.5, 0.05, num_pairs)
        treatment = control + rng.normal(true_effect, sd, num_pairs)
        (comparison,) = compare(outcomes_of({"c": control, "t": treatment}), seeds=range(num_pairs), margin=margin)
        found.append(comparison.verdict)
    return {verdict: found.count(verdict) / repetitions for verdict in Verdict}


def test_false_verdicts_are_as_rare_as_the_confidence_says():
    rates = verdicts(0.0)
    # One row and six pairs: p is below 0.05 only at its floor, 0.031, and claims are a little rarer than 5 %.
    assert 0.01 < rates[Verdict.IMPROVED] + rates[Verdict.WORSE] < 0.04
    alarms = rates[Verdict.IMPROVED] + rates[Verdict.WORSE] + rates[Verdict.SUGGESTIVE]
    assert alarms == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 1500))
    assert rates[Verdict.EQUIVALENT] == 0


def test_planted_effects_are_found_in_their_direction():
    assert verdicts(0.05, repetitions=200)[Verdict.IMPROVED] > 0.98
    assert verdicts(-0.05, repetitions=200)[Verdict.WORSE] > 0.98


def test_an_effect_at_the_margin_is_rarely_called_equivalent():
    # Two one-sided tests at 2.5 % each: at the margin itself, at most so often.
    assert verdicts(0.02, margin=2.0)[Verdict.EQUIVALENT] <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 1500)
    assert verdicts(0.0, margin=2.0, repetitions=200)[Verdict.EQUIVALENT] > 0.5


def test_a_width_is_larger_or_smaller_and_never_better():
    metric = "receptive_field/rms_radius_tokens"
    rng = np.random.default_rng(0)
    control = rng.normal(4.0, 0.1, 7)
    treatments = {"wide": control + rng.normal(1, 0.1, 7), "narrow": control - rng.normal(1, 0.1, 7)}
    compared = compare(
        outcomes_of({"c": control, **treatments}, metric=metric),
        metric=metric,
        treatments=("wide", "narrow"),
        seeds=range(7),
    )
    assert [each.verdict for each in compared] == [Verdict.LARGER, Verdict.SMALLER]
    assert [each.unit for each in compared] == ["tokens", "tokens"]
    assert [each.probability_of_superiority for each in compared] == [1, 0]
    assert compared[0].effect == pytest.approx((treatments["wide"] - control).mean())


def test_every_scalar_of_a_receptive_field_can_be_compared():
    spot = np.zeros((16, 16))
    spot[7:9, 6:9] = 1 / 6
    for name in measure(ReceptiveField(spot, (1, 1), (4, 4), num_images=1)).scalars():
        assert f"receptive_field/{name}" in ever_claimable()
        assert metric_named(f"receptive_field/{name}").higher_is_better is None
    with pytest.raises(ValueError, match=r"unknown metric `test/anisotropy`; known are names that end in top1"):
        metric_named("test/anisotropy")
