"""Sentences and numbers of random experiments, read as a strict referee would: whatever they say can be checked.

Rows of all kinds (no effect, small and large ones, ties, equal pairs, failed trials), by every way in which the number
of pairs can have been decided.
"""

import math
import re

import numpy as np
import pytest

from orchestrator.report.content.report import ArmSummary
from orchestrator.report.words.answers import answer, pairing_remarks
from orchestrator.report.words.numbers import decimals_for, fixed
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Basis, Cell, Comparison, Verdict
from orchestrator.statistics.inference import AnyTime, FixedNumber
from orchestrator.statistics.look_plan import Looks
from orchestrator.statistics.looks import PlannedLooks
from orchestrator.statistics.p_text import p_text
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.two_stage import TwoStages
from orchestrator.status import TrialStatus

CELL = Cell(model="vit", dataset="digits")
LOOKS = Looks(at=(6, 9, 12))
INFERENCES = {
    Basis.FIXED: FixedNumber(),
    Basis.ANYTIME: AnyTime(),
    Basis.LOOKS: PlannedLooks(LOOKS),
    Basis.TWO_STAGES: TwoStages(3),
}
DIRECTIONS = {Verdict.IMPROVED, Verdict.WORSE}
ARM = ArmSummary(name="t", role="treatment", description="what it changes", is_placebo=False)

Arms = dict[str, list[float | None]]


def drawn(rng: np.random.Generator, num_pairs: int) -> list[float | None]:
    """Treatment - control by seed, in points; `None`: a trial of the pair has failed."""
    kind = rng.integers(6)
    noise = rng.normal(0, 1, num_pairs)
    sample = [
        noise + rng.choice([0.0, 0.5, 1.0, -3.0]),
        np.round(noise + rng.choice([0.0, 1.0])),  # a few images more or less: ties, and zeros
        np.full(num_pairs, rng.choice([0.0, 2.0])),
        noise**3,
        1e-4 * noise + rng.choice([0.0, 1e-4]),
        5.0 + 0.1 * noise,
    ][kind]
    has_failed = rng.random(num_pairs) < rng.choice([0.0, 0.0, 0.3])
    return [None if failed else float(value) for value, failed in zip(sample, has_failed, strict=True)]


def compare(arms: Arms, control: list[float], basis: Basis, margin: float) -> tuple[Comparison, ...]:
    outcomes = [
        TrialOutcome(cell=CELL, arm="c", seed=seed, status=TrialStatus.SUCCEEDED, metrics={"test/top1": value / 100})
        for seed, value in enumerate(control)
    ]
    for arm, differences in arms.items():
        for seed, difference in enumerate(differences):
            has_failed = difference is None
            outcomes.append(
                TrialOutcome(
                    cell=CELL,
                    arm=arm,
                    seed=seed,
                    status=TrialStatus.FAILED if has_failed else TrialStatus.SUCCEEDED,
                    metrics={} if has_failed else {"test/top1": (control[seed] + difference) / 100},
                )
            )
    return compare_arms(
        cells=[CELL],
        control="c",
        treatments=list(arms),
        seeds=range(len(control)),
        outcomes=outcomes,
        metric="test/top1",
        confidence=0.95,
        equivalence_margin=margin,
        inference=INFERENCES[basis],
        reach={(CELL.key, arm): len(differences) for arm, differences in arms.items()},
    )


def experiments(basis: Basis) -> list[tuple[Arms, list[float], float]]:
    rng = np.random.default_rng([3, list(Basis).index(basis)])
    found = []
    # A repeated p takes a tenth of a second.
    for _ in range(16 if basis is Basis.LOOKS else 60):
        most = int(rng.choice(LOOKS.at) if basis is Basis.LOOKS else rng.integers(3, 13))
        # Looks may have ended some rows earlier.
        ends = [at for at in LOOKS.at if at <= most] if basis is Basis.LOOKS else [most]
        arms = {f"t{row}": drawn(rng, int(rng.choice(ends))) for row in range(rng.integers(1, 5))}
        found.append((arms, list(rng.normal(50, rng.choice([0.2, 3.0]), most)), float(rng.choice([0.0, 1.0, 6.0]))))
    return found


def as_clear_as_can_be(arms: Arms) -> Arms:
    """The same experiment, with effects that nothing could surpass."""
    return {
        arm: [None if each is None else 30 + 0.01 * seed for seed, each in enumerate(differences)]
        for arm, differences in arms.items()
    }


@pytest.mark.parametrize("basis", list(Basis))
def test_no_sentence_says_more_than_its_row(basis: Basis) -> None:
    told = set()
    for arms, control, margin in experiments(basis):
        rows = compare(arms, control, basis, margin)
        clear = compare(as_clear_as_can_be(arms), control, basis, margin)
        decimals = decimals_for(rows)
        corrected = as_r_corrects([1.0 if row.p_value is None else row.p_value for row in rows])
        for row, best, p_holm in zip(rows, clear, corrected, strict=True):
            text = answer(row, arm=ARM, decimals=decimals, num_comparisons=len(rows), is_over=True)
            assert not re.search(r"\bnan\b|\binf\b|None|-0\.0+\b(?!\d)|\b1 pairs", text), text
            if row.p_value is not None:
                assert row.p_holm == pytest.approx(p_holm)
                assert (float(p_text(row.p_holm).removeprefix("< ")) < 0.05) == (p_holm < 0.05)
            check_claim(text, row, decimals)
            check_whether_it_could(text, row, best)
            told.add(row.verdict)
    assert {Verdict.IMPROVED, Verdict.INCONCLUSIVE, Verdict.EQUIVALENT} <= told


def as_r_corrects(p: list[float]) -> np.ndarray:
    """R's `p.adjust(p, "holm")`, line by line."""
    order = np.argsort(p)
    corrected = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * np.array(p)[order]))
    return corrected[np.argsort(order)]


def ends_in(text: str) -> tuple[float, float] | None:
    found = re.search(r"95 % CI (\S+) to ([^ ,]+),", text)
    return (float(found[1]), float(found[2])) if found else None


def check_claim(text: str, row: Comparison, decimals: int) -> None:
    """The word against the interval as it is printed, and the simultaneous interval against the word."""
    word = text.rpartition("): ")[2] or text
    ends = ends_in(text)
    simultaneous = row.simultaneous_text(lambda end: fixed(end, decimals))
    holds_zero = simultaneous == "" or _holds_zero(simultaneous)
    assert holds_zero == (row.verdict not in DIRECTIONS), (text, simultaneous)
    if ends is None:
        assert "inconclusive" in text or "nothing can be said" in text
        return
    low, high = ends
    if word.startswith(("improved", "worse")):
        assert row.p_holm < 0.05
        assert low > 0 if word.startswith("improved") else high < 0
    elif word.startswith("suggestive"):
        assert low > 0 or high < 0
        assert row.p_holm >= 0.05
    elif word.startswith("equivalent"):
        assert low <= 0 <= high
        assert max(-low, high) <= row.equivalence_margin
    else:
        assert word.startswith("inconclusive; effects from ")
        assert low <= 0 <= high
    if "smaller than the margin" in text:
        assert max(abs(low), abs(high)) <= row.equivalence_margin


def _holds_zero(written: str) -> bool:
    low, high = written[1:-1].replace("∞", "inf").split(", ")
    is_inside = float(low) < 0 < float(high)
    return is_inside or (float(low) == 0 and written[0] == "[") or (float(high) == 0 and written[-1] == "]")


def check_whether_it_could(text: str, row: Comparison, best: Comparison) -> None:
    """`can't be confirmed` only where the clearest effects in every row would not confirm it either."""
    could = best.verdict in DIRECTIONS
    if row.ci_low is not None:
        assert row.can_be_confirmed == could, (text, best)
    if "can't be confirmed" in text:
        assert not could


@pytest.mark.parametrize("basis", list(Basis))
def test_no_remark_praises_pairing_for_nothing(basis: Basis) -> None:
    kinds = set()
    for arms, control, margin in experiments(basis):
        for row in compare(arms, control, basis, margin):
            for remark in pairing_remarks([row]):
                times = float(re.search(r"([\d.]+) times as many", remark)[1])
                if remark.startswith("What pairing gained: "):
                    assert times >= 1.1
                else:
                    assert times <= 1.1 if "hardly" in remark else times <= 1.0
                if found := re.search(r": (\d+) of each arm, not (\d+)\)", remark):
                    assert int(found[1]) > int(found[2]) == row.num_pairs
                if found := re.search(r"no more than (\d+) of each arm", remark):
                    assert int(found[1]) <= row.num_pairs
                assert ("t interval of a fixed number" in remark) <= (basis is not Basis.FIXED)
                kinds.add(remark.split(":")[0])
    assert kinds >= {"What pairing gained", "Pairing gained nothing here"}


def test_a_p_is_never_written_as_the_level_that_it_misses_or_makes() -> None:
    assert [p_text(p) for p in (0.031, 0.0498, 0.0502, 0.05, 0.00012, None)] == [
        "0.031",
        "0.0498",
        "0.0502",
        "0.050",
        "< 0.001",
        "-",
    ]
    assert p_text(0.09996, level=0.1) == "0.09996"
    assert p_text(math.nextafter(0.05, 0)) == "0.050000"
