"""Planned looks: the level that the plan spends, the power that it keeps, and what a look ends."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from orchestrator.driving.looking import next_reach
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Basis, Cell, Comparison, Verdict
from orchestrator.statistics.crossing import crossing_probability
from orchestrator.statistics.look_plan import Futility, Looks
from orchestrator.statistics.looks import (
    PlannedLooks,
    boundary,
    conditional_power,
    is_settled,
    repeated_p,
)
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.status import TrialStatus

AT = (6, 9, 12)
CELLS = [Cell(model="vit", dataset="digits"), Cell(model="vit", dataset="pets")]


def compare(differences, looks, *, reach=None, cells=CELLS[:1], margin=0.0) -> tuple[Comparison, ...]:
    """Control 50 %; (dataset, treatment) -> one pair per difference, in pp."""
    outcomes = []
    for cell in cells:
        control = max((d for (name, _), d in differences.items() if name == cell.dataset), key=len)
        for arm, values in [
            ("c", [0.0] * len(control)),
            *((a, d) for (n, a), d in differences.items() if n == cell.dataset),
        ]:
            outcomes += [
                TrialOutcome(
                    cell=cell,
                    arm=arm,
                    seed=seed,
                    status=TrialStatus.SUCCEEDED,
                    metrics={"test/top1": 0.5 + value / 100},
                )
                for seed, value in enumerate(values)
            ]
    return compare_arms(
        cells=cells,
        control="c",
        treatments=list(dict.fromkeys(arm for _, arm in differences)),
        seeds=range(looks.at[-1]),
        outcomes=outcomes,
        metric="test/top1",
        confidence=0.95,
        equivalence_margin=margin,
        inference=PlannedLooks(looks),
        reach=reach or {(f"vit/{name}", arm): len(values) for (name, arm), values in differences.items()},
    )


def one(values, looks=None, **options) -> Comparison:
    return compare({("digits", "t"): values}, looks or Looks(at=AT), **options)[0]


def simulate(kind: str, effect: float, level: float = 0.05, repetitions: int = 40_000) -> tuple[float, float]:
    """Share of simulated experiments that end with an effect, and pairs that they take on average; sd 1."""
    sample = np.random.default_rng(11).normal(effect, 1.0, (repetitions, AT[-1]))
    crossed, pairs = np.zeros(repetitions, dtype=bool), np.zeros(repetitions)
    for num_pairs, p_bound in zip(AT, boundary(kind, AT, level), strict=True):
        pairs[~crossed] = num_pairs
        part = sample[:, :num_pairs]
        t = part.mean(axis=1) / part.std(axis=1, ddof=1) * np.sqrt(num_pairs)
        crossed |= np.abs(t) >= stats.t.isf(p_bound / 2, num_pairs - 1)
    return float(crossed.mean()), float(pairs.mean())


@pytest.mark.parametrize("kind", ["obrien_fleming", "pocock"])
def test_the_level_is_what_the_plan_spends(kind):
    share, _ = simulate(kind, 0.0)
    assert share == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 40_000))


def test_power_is_kept_and_pairs_are_saved():
    """12 fixed pairs find d = 1 in 88 %."""
    power, pairs = simulate("obrien_fleming", 1.0)
    assert (power, pairs) == (pytest.approx(0.867, abs=0.01), pytest.approx(10.0, abs=0.1))
    power, pairs = simulate("pocock", 2.0)
    assert power > 0.99
    assert pairs == pytest.approx(6.3, abs=0.1)


@pytest.mark.parametrize(("kind", "constant"), [("pocock", 2.289), ("obrien_fleming", 2.004)])
def test_boundaries_have_the_published_shapes(kind, constant):
    """Constants for three looks at thirds and a known sd (Jennison and Turnbull 2000, tables 2.1 and 2.3)."""
    at = (20, 40, 60)
    heights = [constant if kind == "pocock" else constant / np.sqrt(num_pairs / 60) for num_pairs in at]
    assert crossing_probability(at, 2 * stats.norm.sf(heights)) == pytest.approx(0.05, abs=0.001)
    shape = stats.norm.isf(np.array(boundary(kind, (4, 8, 12), 0.05)) / 2)
    assert shape / shape[-1] == pytest.approx([1, 1, 1] if kind == "pocock" else np.sqrt([3, 1.5, 1]))
    assert boundary(kind, (7,), 0.05)[0] == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize("kind", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("look", [0, 1, 2])
def test_the_repeated_p_is_the_level_at_which_a_look_just_crosses(kind, look):
    for level in (0.05, 0.05 / 12):
        p_value = boundary(kind, AT, level)[look]
        assert repeated_p(kind, AT, look, p_value) == pytest.approx(level, rel=1e-3)


@pytest.mark.parametrize("num_pairs", AT)
def test_interval_and_p_of_a_look_agree(num_pairs):
    inference = PlannedLooks(Looks(at=AT))
    sample = list(np.random.default_rng(num_pairs).normal(0.6, 1.0, num_pairs))
    p_value = inference.p_value(sample)
    low, high = inference.interval(sample, 1 - p_value)
    assert min(abs(low), abs(high)) == pytest.approx(0.0, abs=1e-3)


def test_a_look_that_was_not_planned_has_no_interval():
    with pytest.raises(ValueError, match="not in tuple"):
        PlannedLooks(Looks(at=AT)).interval([0.1] * 7, 0.95)


def test_rows_end_at_different_looks_and_the_control_goes_on_with_the_last():
    looks = Looks(at=AT)
    clear, open_, dull = (
        [2.0, 2.2, 1.9, 2.1, 2.0, 1.8],
        [1.0, -0.8, 0.9, -0.7, 1.1, 0.2],
        [0.1, -0.1, 0.2, -0.2, 0.1, 0.0],
    )
    differences = {("digits", "a"): clear, ("digits", "b"): open_, ("pets", "a"): clear, ("pets", "b"): dull}
    comparisons = compare(differences, looks, cells=CELLS, margin=0.5)
    assert {comparison.basis for comparison in comparisons} == {Basis.LOOKS}
    assert [comparison.verdict for comparison in comparisons] == [
        Verdict.IMPROVED,
        Verdict.INCONCLUSIVE,
        Verdict.IMPROVED,
        Verdict.EQUIVALENT,
    ]
    reach = {(cell.key, arm): 6 for cell in CELLS for arm in "cab"}
    further = next_reach(looks, comparisons, reach, num_seeds=12)
    assert further == reach | {("vit/digits", "b"): 9, ("vit/digits", "c"): 9}
    assert next_reach(looks, comparisons, reach, num_seeds=6) is None


def test_what_a_look_has_confirmed_stays_confirmed_when_others_go_on():
    looks = Looks(at=AT)
    differences = {("digits", "a"): [2.0, 2.2, 1.9, 2.1, 2.0, 1.8], ("digits", "b"): [1.5, 0.2, 1.4, 0.3, 1.1, 0.9] * 2}
    first, second = compare(differences, looks)
    assert (first.num_pairs, second.num_pairs) == (6, 12)
    assert first.is_confirmed
    assert second.is_confirmed
    # The other's p is the smaller one by now: the correction can only have become milder.
    assert first.p_value == first.p_holm > second.p_value


def test_missing_pairs_leave_the_look_where_it_was_planned():
    looks = Looks(at=AT)
    differences = [0.5, 1.0, None, 0.8, 1.2, 0.7]
    inference, level = PlannedLooks(looks), boundary("obrien_fleming", AT, 0.05)[0]
    expected = stats.ttest_1samp([0.5, 1.0, 0.8, 1.2, 0.7], 0).confidence_interval(1 - level)
    assert inference.interval(differences, 0.95) == pytest.approx((expected.low, expected.high), rel=1e-6)


# ---- giving up ----


@pytest.mark.parametrize("effect", [0.1, 0.5, -0.4])
def test_conditional_power_is_the_share_of_futures_that_cross(effect):
    """With many pairs, so that t is nearly normal: the rest is drawn with the effect and sd that were seen."""
    looks, rng = Looks(at=(30, 60)), np.random.default_rng(3)
    sample = rng.normal(0.0, 1.0, 30)
    sample = (sample - sample.mean()) / sample.std(ddof=1) + effect
    found = conditional_power(one(list(sample), looks), looks)
    futures = rng.normal(effect, 1.0, (20_000, 30)).sum(axis=1) + sample.sum()
    z = stats.norm.isf(boundary("obrien_fleming", (30, 60), 0.05)[-1] / 2)
    assert found == pytest.approx((np.abs(futures) / np.sqrt(60) > z).mean(), abs=0.03)


def test_the_plan_gives_up_only_where_it_says_so():
    dull = [0.3, -0.4, 0.2, -0.1, 0.1, -0.2]
    binding, open_ended = Futility(), Futility(binding=False)
    assert not is_settled(one(dull), Looks(at=AT))
    assert is_settled(one(dull), Looks(at=AT, futility=binding))
    assert not is_settled(one(dull), Looks(at=AT, futility=open_ended))
    promising = [0.9, 0.2, 1.1, -0.1, 0.8, 0.4]
    assert conditional_power(one(promising), Looks(at=AT)) > 0.7
    assert not is_settled(one(promising), Looks(at=AT, futility=binding))


@pytest.mark.parametrize("at", [[1, 6], [6, 6], [9, 6], [6, 61], []])
def test_looks_ascend(at):
    with pytest.raises(ValidationError, match=r"ascend|at least 1"):
        Looks.model_validate({"at": at})
