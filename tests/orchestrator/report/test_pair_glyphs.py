"""Slopes and differences as small pictures: what is drawn where, and that names can't break out."""

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

from orchestrator.report.drawing.difference_glyph import difference_glyph
from orchestrator.report.drawing.drawn_pairs import not_all_words
from orchestrator.report.drawing.slope_glyph import slope_glyph
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.inference import FixedNumber
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.status import TrialStatus

HOSTILE = '<b onload="x">&'


def compared(*pairs: tuple[float, float], treatment: str = "gaussian") -> Comparison:
    cell = Cell(model="vit", dataset="digits")
    outcomes = [
        TrialOutcome(cell=cell, arm=arm, seed=seed, status=TrialStatus.SUCCEEDED, metrics={"test/top1": value})
        for seed, pair in enumerate(pairs)
        for arm, value in zip(("control", treatment), pair, strict=True)
    ]
    (comparison,) = compare_arms(
        cells=[cell],
        control="control",
        treatments=[treatment],
        seeds=range(len(pairs)),
        outcomes=outcomes,
        metric="test/top1",
        confidence=0.95,
        equivalence_margin=0,
        inference=FixedNumber(),
    )
    return comparison


def test_slopes_tell_ups_from_downs_by_more_than_colour_and_lead_to_their_pair() -> None:
    comparison = compared((0.5, 0.7), (0.6, 0.55), (0.5, 0.5), treatment=HOSTILE)
    drawn = slope_glyph(comparison, 1, link=lambda seed: f"/x?seed={seed}&a=1", chosen=1)
    root = ET.fromstring(drawn)
    assert [each.get("href") for each in root.iter("a")] == [f"/x?seed={seed}&a=1" for seed in (0, 2, 1)]
    looks = [each.get("class") for each in root.iter("g")]
    assert looks == ["pair up", "pair level", "pair down chosen"]
    up = next(each for each in root.iter("g") if each.get("class") == "pair up")
    line = list(up.iter("line"))[-1]
    # 0.7 is the greatest value, 0.5 the least: from the bottom to the top, and upwards is less in SVG.
    assert float(line.get("y1") or 0) == 210
    assert float(line.get("y2") or 0) == 14
    assert "seed 0: 50.0 → 70.0 %, +20.0 pp" in drawn
    assert "onload" not in re.sub("&lt;.*?&gt;", "", drawn)


def test_differences_stand_on_one_axis_with_zero_in_it() -> None:
    drawn = difference_glyph(compared((0.5, 0.6), (0.5, 0.6), (0.5, 0.7)), 1)
    root = ET.fromstring(drawn)
    (zero,) = (float(each.get("x1") or 0) for each in root.iter("line") if each.get("class") == "zero")
    dots = [each for each in root.iter("circle") if each.get("class") == "dot"]
    xs, ys = ([float(each.get(name) or 0) for each in dots] for name in ("cx", "cy"))
    assert xs[0] == xs[1] < xs[2]
    assert ys[0] - ys[1] == 9
    # +10 pp lies half as far from 0 as +20 pp, but for the places that dots are heaped up at.
    assert abs((xs[2] - zero) - 2 * (xs[0] - zero)) <= 12
    assert "stroke-dasharray" not in drawn
    assert "stroke-dasharray" in difference_glyph(compared((0.5, 0.6), (0.5, 0.7)), 1, is_interim=True)


def test_of_many_pairs_some_lines_are_drawn_and_heaps_are_bars() -> None:
    many = compared(*((0.5, 0.5 + 0.0001 * seed) for seed in range(1000)))
    drawn = slope_glyph(many, 1, chosen=501)
    seeds = [int(seed) for seed in re.findall(r"<title>seed (\d+):", drawn)]
    assert {0, 501, 999} <= set(seeds)
    assert len(seeds) in (200, 201)
    assert max(later - earlier for earlier, later in pairwise(sorted(seeds))) <= 6
    assert "of many, 200" in not_all_words([many])
    assert not_all_words([compared((0.5, 0.6), (0.5, 0.7))]) == ""
    bars = difference_glyph(many, 1)
    assert '<circle class="dot"' not in bars
    assert sum(map(int, re.findall(r"<title>(\d+) pairs?</title>", bars))) == 1000
