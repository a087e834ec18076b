"""What a report says about the search phase, on candidates whose scores are known."""

import csv
import io
import math
import statistics
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from scipy import stats

from orchestrator.report.formats.appendix import to_latex_appendix
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.sections.search.csv import searches_to_csv
from orchestrator.report.sections.search.figure import search_figure
from orchestrator.report.sections.search.glyph import search_glyph
from orchestrator.report.sections.search.tables import search_overview
from orchestrator.report.words.answers import field_words
from orchestrator.status import Phase, TrialStatus
from tests.orchestrator.synthetic import CELL, make_record, make_records, make_spec, report_on

SIGMA, LR, HEADS = "attention_bias.sigma", "optimization.optimizer.lr", "attention_bias.per_head"
SEEDS = [100, 101]
LOG_SIGMA = {"kind": "log_uniform", "low": 0.5, "high": 16.0}


def spec_with(**searches):
    """The synthetic spec without its placebo; arm -> search."""
    arms = make_spec().model_dump(mode="json")["arms"][:2]
    for arm in arms:
        arm["search"] = searches.get(arm["name"])
    return make_spec(arms=arms)


def tried(arm, params, values, **changes):
    """One candidate's trials; a value of `None` was stopped early."""
    trials = []
    for seed, value in zip(SEEDS, values, strict=False):
        trial = make_record(arm, seed, num_epochs=2)
        metrics = {"best_val/top1": value, "best_val/loss": value}
        changed = {
            "phase": Phase.SEARCH,
            "params": params,
            "result": trial.result.model_copy(update={"metrics": metrics}),
        }
        if value is None:
            changed |= {"status": TrialStatus.PRUNED, "result": None, "error": "stopped early after 1 epoch"}
        trials.append(trial.model_copy(update=changed | changes))
    return trials


ONE = spec_with(gaussian={"space": {SIGMA: LOG_SIGMA}, "seeds": SEEDS, "num_candidates": 4})
TRIED = [
    *tried("gaussian", {SIGMA: 1.0}, [0.5, 0.6]),
    *tried("gaussian", {SIGMA: 8.0}, [None]),
    *tried("gaussian", {SIGMA: 4.0}, [0.9, None]),
    *tried("gaussian", {SIGMA: 2.0}, [0.7, 0.8], reused_from="older"),
]
CHOSEN = {f"{CELL.key}/gaussian": {SIGMA: 2.0}}


@pytest.fixture(scope="module")
def report():
    return report_on(ONE, TRIED + make_records(ONE), chosen_params=CHOSEN)


def test_the_whole_history_is_kept_best_first_and_what_could_not_be_chosen_last(report):
    (search,) = report.searches
    found = [(each.number, each.params[SIGMA], each.num_seeds, each.num_failed) for each in search.candidates]
    assert found == [(3, 2.0, 2, 0), (0, 1.0, 2, 0), (2, 4.0, 1, 1), (1, 8.0, 0, 1)]
    assert [each.is_chosen for each in search.candidates] == [True, False, False, False]
    best = search.candidates[0]
    assert (best.score, best.score_sd) == (pytest.approx(0.75), pytest.approx(statistics.stdev([0.7, 0.8])))
    assert [(seed.seed, seed.value, seed.reused_from) for seed in best.seeds] == [
        (100, 0.7, "older"),
        (101, 0.8, "older"),
    ]
    assert (search.num_planned, search.seeds, search.algorithm, search.importance) == (4, (100, 101), "random", {})


def test_a_tie_is_named(report):
    tied = [*tried("gaussian", {SIGMA: 2.0}, [0.7, 0.8]), *tried("gaussian", {SIGMA: 3.0}, [0.8, 0.7])]
    tied += tried("gaussian", {SIGMA: 5.0}, [0.1, 0.2])
    caveats = report_on(ONE, tied + make_records(ONE), chosen_params=CHOSEN).caveats
    (found,) = [caveat for caveat in caveats if "tie" in caveat]
    assert found.startswith("Searches ended in a tie (2 candidates of gaussian on ")
    assert not any("tie" in caveat for caveat in report.caveats)


def test_for_a_loss_the_smallest_is_best():
    spec = ONE.model_copy(update={"primary_metric": "test/loss"})
    (search,) = report_on(spec, TRIED + make_records(spec), chosen_params=CHOSEN).searches
    assert [each.params[SIGMA] for each in search.candidates][:2] == [1.0, 2.0]


def test_an_untuned_control_is_measured_by_its_confirm_trials(report):
    level = report.searches[0].control
    values = [t.metrics["best_val/top1"] for t in report.trials if t.phase is Phase.CONFIRM and t.arm == "control"]
    assert (level.source, level.num_seeds) == ("confirm", 6)
    assert (level.mean, level.sd) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))


def test_a_tuned_control_is_measured_by_what_its_search_chose():
    rates = {"space": {LR: {"kind": "log_uniform", "low": 1e-4, "high": 1e-1}}, "seeds": SEEDS}
    spec = spec_with(control=rates, gaussian=ONE.arms[1].search.model_dump(mode="json"))
    trials = TRIED + tried("control", {LR: 1e-3}, [0.4, 0.5]) + tried("control", {LR: 1e-2}, [0.6, 0.5])
    chosen = CHOSEN | {f"{CELL.key}/control": {LR: 1e-3}}
    own, searched = report_on(spec, trials + make_records(spec), chosen_params=chosen).searches
    assert own.control is None
    assert (searched.control.source, searched.control.mean, searched.control.num_seeds) == ("search", 0.45, 2)
    # Before it has chosen, the leader stands in.
    _, searched = report_on(spec, trials, chosen_params={}).searches
    assert searched.control.mean == pytest.approx(0.55)


def test_every_training_is_a_row_of_the_csv(report):
    rows = list(csv.DictReader(io.StringIO(searches_to_csv(report))))
    assert [(float(row[SIGMA]), row["seed"], row["status"], row["value"]) for row in rows] == [
        (1.0, "100", "succeeded", "0.5"),
        (1.0, "101", "succeeded", "0.6"),
        (8.0, "100", "pruned", ""),
        (4.0, "100", "succeeded", "0.9"),
        (4.0, "101", "pruned", ""),
        (2.0, "100", "succeeded", "0.7"),
        (2.0, "101", "succeeded", "0.8"),
    ]
    assert [row["candidate"] for row in rows] == ["1", "1", "2", "3", "3", "4", "4"]
    assert (rows[2]["error"], rows[6]["reused_from"]) == ("stopped early after 1 epoch", "older")


def test_pages_name_the_choice_and_show_the_picture(report):
    (row,) = search_overview(report).rows
    assert row[5] == "attention_bias.sigma = 2"
    assert row[-5:] == ("4", "2", "7", "2", "2")
    markdown, page = to_markdown(report), to_html(report)
    assert "attention\\_bias.sigma = 2" in markdown
    assert "attention_bias.sigma = 2" in page
    drawn = page[page.index("Searches (validation split only") : page.index("Candidates, best first")]
    assert drawn.count("<svg") == 1
    appendix = to_latex_appendix(report)
    assert "random, 4 candidates x 2 seeds" in appendix
    assert appendix.index("How") < appendix.index("sigma = 2")


def test_one_path_is_drawn_as_a_curve_with_the_control_as_a_band(report):
    (axes,) = search_figure(report).axes
    assert axes.get_xscale() == "log"
    means = [(float(each.lines[0].get_xdata()[0]), float(each.lines[0].get_ydata()[0])) for each in axes.containers]
    assert sorted(means) == [(1.0, pytest.approx(55)), (2.0, pytest.approx(75)), (4.0, pytest.approx(90))]
    band, level = axes.patches[0].get_bbox(), report.searches[0].control
    half_width = stats.t.ppf(0.975, 5) * level.sd / 6**0.5
    assert (band.y0, band.y1) == pytest.approx((100 * (level.mean - half_width), 100 * (level.mean + half_width)))
    assert axes.get_xlabel() == "sigma of the attention bias"
    assert axes.get_ylabel() == "best validation top-1 (%)"
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "candidate that some seeds failed for: not chosen" in told
    assert any("(its confirm trials, not the search's seeds, 6 seeds)" in text for text in told)


def test_pages_draw_one_path_with_what_was_stopped_in_grey(report):
    (search,) = report.searches
    drawn = search_glyph(search, (40.0, 100.0), 0.95)
    root = ET.fromstring(drawn)
    looks = {each[0].text.split(":")[0]: each for each in root.iter("g")}
    assert {name: each.get("class") for name, each in looks.items()} == {
        "candidate 0": "candidate whole",
        "candidate 1": "candidate none",
        "candidate 2": "candidate stopped",
        "candidate 3": "candidate whole",
    }
    # 75 of 40 to 100 on 240 units, above 252.
    chosen = {each.get("class"): each for each in looks["candidate 3"].iter("circle")}
    assert float(chosen["mean"].get("cy")) == pytest.approx(252 - 240 * 35 / 60, abs=0.1)
    assert chosen["ring"].get("cx") == chosen["mean"].get("cx")
    # sigma 1, 2, 4 stand at equal distances on a logarithmic axis.
    places = [float(next(looks[f"candidate {number}"].iter("circle")).get("cx")) for number in (0, 3, 2)]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    assert 'class="level"' in drawn


def test_the_bars_are_intervals_over_seeds_and_panels_of_one_metric_share_their_range():
    both = spec_with(
        control={"space": {LR: {"kind": "log_uniform", "low": 1e-4, "high": 1e-1}}, "seeds": SEEDS},
        gaussian={"space": {SIGMA: LOG_SIGMA}, "seeds": SEEDS},
    )
    trials = [*tried("control", {LR: 1e-3}, [0.2, 0.3]), *tried("gaussian", {SIGMA: 2.0}, [0.8, 0.9])]
    first, second = search_figure(report_on(both, trials)).axes
    assert first.get_ylim() == second.get_ylim()
    low, high = first.get_ylim()
    assert low < 20 < 90 < high < 100
    (bar,) = first.containers
    ends = bar[2][0].get_segments()[0][:, 1]
    interval = stats.t.interval(0.95, 1, 25, stats.sem([20, 30]))
    assert sorted(ends) == pytest.approx(interval)
    words = {each.get_text() for each in first.get_legend().get_texts()}
    assert "candidate: mean, 95 % interval over seeds, cut at the frame" in words


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (LR, "learning rate"),
        (SIGMA, "sigma of the attention bias"),
        ("attention_bias", "attention bias"),
        ("optimization.schedule.warmup_epochs", "warmup epochs"),
        ("model.drop_path", "drop path of the model"),
    ],
)
def test_axes_have_words(path, words):
    assert field_words(path) == words


def test_listed_values_stand_where_they_belong():
    for values, scale, names in (
        ([1.0, 2.0, 4.0, 8.0], "log", ["1", "2", "4", "8"]),
        ([1.0, 2.0, 3.0], "linear", ["1", "2", "3"]),
        ([True, False], "linear", ["True", "False"]),
    ):
        spec = spec_with(gaussian={"space": {SIGMA: {"kind": "choice", "values": values}}, "seeds": SEEDS})
        trials = [trial for value in values for trial in tried("gaussian", {SIGMA: value}, [0.5, 0.6])]
        (axes,) = search_figure(report_on(spec, trials)).axes
        assert axes.get_xscale() == scale
        assert [label.get_text() for label in axes.get_xticklabels()] == names


def test_several_paths_are_parallel_coordinates_and_the_one_that_matters_is_named():
    space = {
        HEADS: {"kind": "choice", "values": [True, False]},
        SIGMA: LOG_SIGMA,
        LR: {"kind": "log_uniform", "low": 1e-5, "high": 1e-1},
    }
    spec = spec_with(gaussian={"space": space, "seeds": SEEDS, "num_candidates": 40, "algorithm": {"kind": "optuna"}})
    draw = np.random.default_rng(0)
    points = [
        {HEADS: bool(draw.integers(2)), SIGMA: 2.0 ** draw.uniform(-1, 4), LR: 10.0 ** draw.uniform(-5, -1)}
        for _ in range(40)
    ]
    # Of uniform variables over 5 and 4 units: 0.01^2 5^2 against 0.04^2 4^2 of the variance, 9 % and 91 %.
    trials = []
    for point in points:
        score = 0.5 + 0.01 * math.log2(point[SIGMA]) + 0.04 * math.log10(point[LR])
        trials += tried("gaussian", point, [score, score])
    report = report_on(spec, trials, chosen_params={f"{CELL.key}/gaussian": points[7]})
    (search,) = report.searches
    assert search.importance[LR] == pytest.approx(0.91, abs=0.07)
    assert search.importance[HEADS] < 0.04
    (axes,) = search_figure(report).axes
    names = [label.get_text().replace("\n", " ").partition(" importance")[0] for label in axes.get_xticklabels()]
    assert names == [
        "learning rate",
        "sigma of the attention bias",
        "per head of the attention bias",
        "best validation top-1 (%)",
    ]
    drawn = ET.fromstring(search_glyph(search, (40.0, 100.0), 0.95))
    lines = [each.get("class") for each in drawn.iter("g")]
    assert (len(lines), lines[-1]) == (40, "candidate chosen")
    assert all(len(each.get("points").split()) == 4 for each in drawn.iter("polyline"))
    # Every candidate, the chosen one twice; three paths and the score as uprights.
    assert len(axes.lines) == 40 + 1 + 4
