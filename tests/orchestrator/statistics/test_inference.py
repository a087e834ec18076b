"""Which interval and p a comparison has, by how it was decided that there are so many pairs."""

import numpy as np
import pytest

from orchestrator.statistics.anytime import anytime_floor, anytime_interval, anytime_p
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Basis, Cell, Comparison, Verdict
from orchestrator.statistics.inference import AnyTime, FixedNumber, Inference
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.stored.report import inference_of

CELL = Cell(model="vit", dataset="digits")


def compare(differences: list[float], inference: Inference | None = None) -> Comparison:
    """Control 50 %, one pair per difference (in pp)."""
    outcomes = [
        TrialOutcome(cell=CELL, arm=arm, seed=seed, status=TrialStatus.SUCCEEDED, metrics={"test/top1": value})
        for seed, difference in enumerate(differences)
        for arm, value in (("c", 0.5), ("t", 0.5 + difference / 100))
    ]
    (comparison,) = compare_arms(
        cells=[CELL],
        control="c",
        treatments=["t"],
        seeds=range(len(differences)),
        outcomes=outcomes,
        metric="test/top1",
        confidence=0.95,
        equivalence_margin=0.0,
        inference=inference,
    )
    return comparison


def test_any_time_numbers_stand_where_the_fixed_ones_stood_and_decide_the_verdict():
    differences = [0.2, 1.4, 0.4, 0.9, 1.2, 0.7]
    fixed, anytime = compare(differences), compare(differences, AnyTime())
    assert (fixed.basis, fixed.verdict, fixed.p_value) == (Basis.FIXED, Verdict.IMPROVED, 0.03125)
    assert anytime.basis is Basis.ANYTIME
    assert (anytime.ci_low, anytime.ci_high) == pytest.approx(anytime_interval(differences, 0.95), rel=1e-6)
    assert anytime.p_value == anytime.p_holm == pytest.approx(anytime_p(differences), rel=1e-6)
    assert anytime.p_holm_floor == anytime_floor(6)
    assert anytime.verdict is Verdict.INCONCLUSIVE
    assert anytime.p_value > 0.05
    assert anytime.ci_low < 0 < fixed.ci_low


def test_with_few_pairs_an_any_time_interval_has_no_end():
    comparison = compare([1.0, 1.1, 0.9], AnyTime())
    assert (comparison.ci_low, comparison.ci_high, comparison.verdict) == (None, None, Verdict.INCONCLUSIVE)
    assert comparison.effect == pytest.approx(1.0)
    assert not comparison.can_be_confirmed


@pytest.mark.parametrize(
    ("status", "num_extensions", "basis"),
    [
        (ExperimentStatus.SUCCEEDED, 0, Basis.FIXED),
        (ExperimentStatus.FAILED, 0, Basis.ANYTIME),
        (ExperimentStatus.SUCCEEDED, 1, Basis.ANYTIME),
        (ExperimentStatus.RUNNING, 0, Basis.ANYTIME),
        (ExperimentStatus.CANCELLED, 0, Basis.ANYTIME),
    ],
)
def test_who_could_decide_by_what_was_seen_gets_the_any_time_interval(status, num_extensions, basis):
    assert inference_of(status, num_extensions).basis is basis


def test_incomplete_pairs_count_for_nothing():
    rng = np.random.default_rng(0)
    sample = list(rng.normal(0.5, 1.0, 8))
    with_gaps = [None, *sample[:3], None, *sample[3:]]
    for inference in (FixedNumber(), AnyTime()):
        assert inference.interval(with_gaps, 0.9) == inference.interval(sample, 0.9)
        assert inference.p_value(with_gaps) == inference.p_value(sample)
