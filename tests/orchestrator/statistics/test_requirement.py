"""What a script may require: only evidence meets it, never its absence."""

import pytest

from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.requirement import Demand, Requirement
from orchestrator.status import TrialStatus

UP = [0.8, 1.0, 1.2, 0.9, 1.1, 1.0, 0.7]
"""In pp: improved, with an interval from about .8 to 1.1."""
NOISE = [0.3, -0.4, 0.2, -0.3, 0.4, -0.2, 0.1]
"""Inconclusive, with an interval from about -.3 to .3."""


def compare(arms: dict[str, list[float]], *, margin: float = 0.0, metric: str = "test/top1") -> tuple[Comparison, ...]:
    cell = Cell(model="vit", dataset="digits")
    values = {"c": [0.0] * 7, **arms}
    outcomes = [
        TrialOutcome(
            cell=cell, arm=arm, seed=seed, status=TrialStatus.SUCCEEDED, metrics={metric: 0.5 + difference / 100}
        )
        for arm, differences in values.items()
        for seed, difference in enumerate(differences)
    ]
    return compare_arms(
        cells=[cell],
        control="c",
        treatments=list(arms),
        seeds=range(7),
        outcomes=outcomes,
        metric=metric,
        confidence=0.95,
        equivalence_margin=margin,
    )


@pytest.mark.parametrize(
    ("differences", "margin", "met"),
    [
        (UP, 0.0, {"improved", "not-worse"}),
        (UP, 2.0, {"improved", "not-worse", "equivalent"}),
        (NOISE, 0.0, set()),
        (NOISE, 0.1, set()),
        (NOISE, 0.5, {"not-worse", "equivalent"}),
        ([-value for value in UP], 0.5, set()),
        ([-value for value in UP], 2.0, {"not-worse", "equivalent"}),
        ([1.0], 0.5, set()),
    ],
)
def test_only_evidence_meets_a_demand(differences, margin, met):
    comparisons = compare({"t": differences}, margin=margin)
    assert {demand for demand in Demand if not list(Requirement(demand).unmet(comparisons))} == met


def test_a_loss_is_better_where_it_is_less():
    less = compare({"t": [-value for value in UP]}, metric="test/loss")
    assert not list(Requirement(Demand.IMPROVED).unmet(less))
    assert not list(Requirement(Demand.NOT_WORSE).unmet(less))
    assert list(Requirement(Demand.NOT_WORSE).unmet(compare({"t": UP}, metric="test/loss")))


def test_every_row_has_to_meet_it_or_every_row_of_one_arm():
    comparisons = compare({"gaussian": UP, "placebo": NOISE})
    (sentence,) = Requirement.parse("improved").unmet(comparisons)
    assert sentence == "placebo in vit/digits is not shown to be improved: its verdict is inconclusive"
    assert not list(Requirement.parse("gaussian=improved").unmet(comparisons))


def test_what_can_not_be_met_says_why():
    (sentence,) = Requirement(Demand.EQUIVALENT).unmet(compare({"t": NOISE, "u": NOISE}))
    assert sentence == Requirement(Demand.EQUIVALENT).complaint(["t", "u"], 0.0)
    assert "name a margin (`equivalence_margin` in a spec" in sentence
    assert Requirement(Demand.EQUIVALENT).complaint(["t"], 0.5) == ""
    widths = compare({"t": UP}, metric="receptive_field/final/sigma_tokens")
    assert "neither more nor less of receptive_field" in next(Requirement(Demand.IMPROVED).unmet(widths))
    assert Requirement.parse("gauss=improved").complaint(["gaussian"], 0.5) == (
        "`gauss=improved` is required, but no treatment is called `gauss` (there are: gaussian)"
    )
    with pytest.raises(ValueError, match="write one of improved, not-worse, equivalent"):
        Requirement.parse("gaussian=better")


@pytest.mark.parametrize("text", ["improved", "not-worse", "gaussian=equivalent"])
def test_it_is_written_as_it_is_read(text):
    assert str(Requirement.parse(text)) == text
