"""The sentences that people will repeat: each says no more than the pairs allow."""

import csv
import io
import re
import statistics

import pytest
from scipy import stats

from orchestrator.planning.plan import make_plan
from orchestrator.report import Report, TrialRecord
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.latex import to_latex
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.report.sections.comparisons.csv import comparisons_to_csv
from orchestrator.report.sections.comparisons.tables import comparison_table
from orchestrator.report.words.answers import answer, pooled_answer
from orchestrator.report.words.caveats import _hardly_learned, _leaks
from orchestrator.report.words.pair_caveats import interval_against_p
from orchestrator.statistics.comparison import Cell, Comparison, PooledEffect, Verdict
from orchestrator.statistics.guessing import Guess
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from tests.orchestrator.synthetic import CELL, make_record, make_records, make_spec, report_on
from trainers.config import TrialConfig
from trainers.data.account import DataAccount, leak_in
from trainers.data.splitting import SplitSizes
from trainers.models.bias import NoBias
from trainers.strict_json import JsonObject


def report_with(gain: float, *, num_seeds: int = 6, **spec: object) -> Report:
    """Control and Gaussian with a planted gain."""
    question = make_spec(seeds=list(range(num_seeds)), arms=make_spec().model_dump(mode="json")["arms"][:2], **spec)
    trials = [
        make_record(arm, seed, gain=gain if arm == "gaussian" else None)
        for seed in range(num_seeds)
        for arm in ("control", "gaussian")
    ]
    return report_on(question, trials)


def only(report: Report) -> Comparison:
    (comparison,) = report.comparisons
    return comparison


def test_an_improvement_is_told_with_interval_pairs_and_p() -> None:
    report = report_with(0.072)
    comparison = only(report)
    (sentence,) = report.answers
    assert sentence == (
        f"On {CELL.dataset} with {CELL.model}, gaussian (Gaussian, sigma 2, A 1, both learned) changed test top-1 by "
        f"+{comparison.effect:.1f} pp (95 % CI {comparison.ci_low:.1f} to {comparison.ci_high:.1f}, n = 6 pairs, "
        "p = 0.031): improved."
    )


def test_an_inconclusive_result_says_what_stays_possible_and_never_no_difference() -> None:
    report = report_with(0.0)
    comparison = only(report)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    (sentence,) = report.answers
    assert (
        f"inconclusive; effects from {comparison.ci_low:.1f} to +{comparison.ci_high:.1f} pp stay possible" in sentence
    )
    assert "no difference" not in sentence


def test_what_stays_possible_ends_where_a_share_of_images_ends() -> None:
    comparison = only(report_with(0.0)).model_copy(
        update={"control_mean": 97.0, "ci_low": -1.2, "ci_high": 4.5, "verdict": Verdict.INCONCLUSIVE}
    )
    (arm,) = (arm for arm in report_with(0.0).arms if arm.name == "gaussian")
    told = answer(comparison, arm=arm, decimals=1, num_comparisons=1)
    assert "95 % CI -1.2 to 4.5" in told
    assert told.endswith(
        "effects from -1.2 to +3.0 pp stay possible with 6 pairs (from the control's mean, there is no room beyond "
        "100 %)."
    )
    loss = comparison.model_copy(update={"unit": "nats", "metric": "test/loss"})
    assert "effects from -1.2 to +4.5 nats stay possible with 6 pairs." in answer(
        loss, arm=arm, decimals=1, num_comparisons=1
    )


def test_copies_of_training_images_are_a_caveat() -> None:
    spec = make_spec()
    report = report_on(spec, make_records(spec, num_epochs=3))
    assert not any("by heart" in caveat for caveat in report.caveats)
    found = {
        "pets": "2 classes, 18/3/3 images, 3 copies of training images in val or test; looked for copies of 6 images",
        "cars": "2 classes, 18/3/3 images, 4 turned by EXIF (ignored)",
    }
    (caveat,) = _leaks(found)
    assert caveat.startswith(
        "pets has 3 copies of training images in val or test: on these, scores show what was memorised"
    )


def test_the_phrase_of_a_leak_is_the_accounts_own() -> None:
    sizes = SplitSizes(18, 3, 3)
    for number, phrase in (
        (1, "1 copy of a training image in val or test"),
        (2, "2 copies of training images in val or test"),
    ):
        assert leak_in(str(DataAccount(num_classes=2, num_images=sizes, num_copies=number, num_sought=3))) == phrase
    assert leak_in(str(DataAccount(num_classes=2, num_images=sizes, num_sought=3))) is None


def test_a_pooled_effect_of_few_seeds_says_why_it_has_no_interval() -> None:
    effect = PooledEffect(
        treatment="gaussian", num_cells=2, num_seeds=4, effect=1.3, ci_low=None, ci_high=None, between_cells_sd=None
    )
    words = {"metric": "test/top1", "unit": "pp", "confidence": 0.95, "decimals": 1, "num_planned_cells": 2}
    assert pooled_answer(effect, **words).endswith(
        "4 seeds that all of them completed; so few give no any-time interval."
    )
    equal = effect.model_copy(update={"is_constant": True})
    assert pooled_answer(equal, **words).endswith("their means are all equal, which gives no interval.")
    none = effect.model_copy(update={"effect": None, "num_seeds": 0})
    assert pooled_answer(none, **words) == (
        "Over 2 cells, gaussian has no pooled effect yet: no seed is complete in all that have a pair."
    )
    empty = none.model_copy(update={"num_cells": 0})
    assert pooled_answer(empty, **words, is_over=True) == (
        "Over 0 of 2 cells, gaussian has no pooled effect: no cell has a complete pair."
    )


def test_equivalence_names_its_margin() -> None:
    assert (
        report_with(0.0, equivalence_margin=8.0)
        .answers[0]
        .endswith("equivalent, the whole interval lies within ±8 pp.")
    )


def test_an_effect_inside_the_margin_is_told_to_be_smaller_than_it() -> None:
    sure, unsure = report_with(0.072, equivalence_margin=20.0), report_with(0.072, num_seeds=5, equivalence_margin=20.0)
    ending = "; smaller than the margin, the whole interval lies within ±20 pp."
    assert sure.answers[0].endswith(f"improved{ending}")
    assert unsure.answers[0].endswith(f"which can't be confirmed with 5 pairs{ending}")
    assert "smaller than the margin" not in report_with(0.072, equivalence_margin=5.0).answers[0]
    assert "smaller than the margin" not in report_with(0.0, equivalence_margin=8.0).answers[0]


@pytest.mark.parametrize(
    ("metric", "words"), [("test/top1", "on this test split: "), ("best_val/top1", "on this validation split: ")]
)
def test_what_the_intervals_are_over_is_a_caveat_of_every_report(metric: str, words: str) -> None:
    (caveat,) = [text for text in report_with(0.07, primary_metric=metric).caveats if "Intervals are over" in text]
    assert words in caveat


def test_a_worse_treatment_is_worse() -> None:
    assert report_with(-0.08).answers[0].endswith(": worse.")


@pytest.mark.parametrize(("num_seeds", "floor"), [(2, "0.500"), (5, "0.062")])
def test_few_pairs_come_with_the_floor_of_p(num_seeds: int, floor: str) -> None:
    caveat = f"With {num_seeds} pairs the exact sign-flip p can't fall below {floor}, whatever the effect."
    assert caveat in report_with(0.07, num_seeds=num_seeds).caveats


def test_which_of_several_rows_could_not_be_confirmed_is_told_by_name() -> None:
    """Five of twelve pairs in one row: no p of them is below 0.0625, while that of the other could have been."""
    spec = make_spec(seeds=list(range(12)))
    trials = [trial for trial in make_records(spec) if trial.arm != "placebo" or trial.seed < 5]
    gaussian, placebo = report_on(spec, trials).comparisons
    assert (gaussian.can_be_confirmed, placebo.can_be_confirmed) == (True, False)
    hints = [
        each.model_copy(update={"verdict": Verdict.SUGGESTIVE, "p_holm": p})
        for each, p in ((gaussian, 0.08), (placebo, 0.0625))
    ]
    where = f"on {CELL.dataset} with {CELL.model}"
    (told,) = interval_against_p(hints)
    assert told == (
        f"The interval excludes 0, but p after correction does not fall below 0.05, for gaussian {where} (0.080); "
        f"placebo {where} (0.062): with 5 pairs and 2 comparisons that of placebo {where} can't fall below 0.062, "
        "whatever the effect; a new experiment with fresh seeds, and more of them, could tell."
    )
    (both,) = interval_against_p([hints[1], hints[1]])
    assert "with 5 pairs and 2 comparisons it can't fall below 0.062" in both


def test_enough_pairs_come_without_it() -> None:
    assert not any("can't fall below" in caveat for caveat in report_with(0.07).caveats)


def test_several_comparisons_raise_the_floor() -> None:
    """Six pairs confirm one comparison, but not one of two."""
    spec = make_spec()
    report = report_on(spec, make_records(spec))
    assert any("2 comparisons p can't fall below 0.062 after Holm" in caveat for caveat in report.caveats)
    assert any("The interval excludes 0, but" in caveat and "gaussian" in caveat for caveat in report.caveats)


def test_one_pair_has_no_interval() -> None:
    assert (
        report_with(0.07, num_seeds=1)
        .answers[0]
        .endswith("in its only complete pair: inconclusive; one pair gives no interval.")
    )


def test_no_pair_says_nothing() -> None:
    report = report_on(make_spec(), [], status=ExperimentStatus.RUNNING)
    assert all("nothing can be said" in sentence for sentence in report.answers)
    assert any("still running" in caveat for caveat in report.caveats)


CAUSAL = re.compile("because|caus|locality does|matters|remain over|thanks to|due to|explains")


def test_the_placebo_is_contrasted_in_words_that_claim_nothing(report: Report) -> None:
    """The difference of the two arms by seed and its own interval, which is not corrected for anything."""
    remark, last, *_ = report.remarks
    (contrast,) = report.placebo_contrasts
    gaussian, placebo = report.comparisons
    differences = [one.treatment - other.treatment for one, other in zip(gaussian.pairs, placebo.pairs, strict=True)]
    assert contrast.effect == pytest.approx(statistics.fmean(differences))
    half_width = stats.t.ppf(0.975, 6) * statistics.stdev(differences) / 7**0.5
    assert (contrast.ci_low, contrast.ci_high) == pytest.approx(
        (contrast.effect - half_width, contrast.effect + half_width)
    )
    assert contrast.other_differences == ()
    assert remark == (
        f"On {CELL.dataset} with {CELL.model}, gaussian - placebo (the same but for locality: its tokens are permuted) "
        f"is {contrast.effect:+.2f} pp (95 % CI {contrast.ci_low:.2f} to {contrast.ci_high:.2f}, n = 7 pairs; "
        "descriptive, outside Holm's family)."
    )
    assert last == "This difference has no verdict; an experiment whose control is placebo would give one."
    assert not CAUSAL.search(" ".join(report.remarks))


@pytest.mark.parametrize("gains", [(0.07, 0.07), (0.02, 0.12), (-0.1, 0.0)])
def test_no_contrast_claims_a_cause(gains: tuple[float, float]) -> None:
    spec = make_spec()
    by_arm = dict(zip(("control", "gaussian", "placebo"), (0.0, *gains), strict=True))
    trials = [make_record(arm.name, seed, gain=by_arm[arm.name]) for seed in spec.seeds for arm in spec.arms]
    assert not CAUSAL.search(" ".join(report_on(spec, trials).remarks))


def test_a_placebo_of_another_sigma_is_told_as_such() -> None:
    """The same numbers it has not: its effect may be that of sigma."""
    spec = make_spec()
    trials = make_records(spec)
    for place, trial in enumerate(trials):
        if trial.arm == "placebo":
            bias = trial.config.attention_bias.model_copy(update={"sigma": 4.0, "amplitude": 0.5})
            trials[place] = trial.model_copy(
                update={"config": trial.config.model_copy(update={"attention_bias": bias})}
            )
    report = report_on(spec, trials)
    (contrast,) = report.placebo_contrasts
    assert contrast.other_differences == ("attention_bias.sigma", "attention_bias.amplitude")
    assert (
        "gaussian - placebo (which differ in attention_bias.sigma, attention_bias.amplitude too, not in locality alone)"
        in report.remarks[0]
    )
    assert "the same but for locality" not in report.remarks[0]


def test_an_arm_without_a_gaussian_has_no_placebo() -> None:
    spec = make_spec()
    trials = make_records(spec)
    for place, trial in enumerate(trials):
        if trial.arm == "gaussian":
            config = trial.config.model_copy(update={"attention_bias": NoBias()})
            trials[place] = trial.model_copy(update={"config": config})
    report = report_on(spec, trials)
    assert report.placebo_contrasts == ()
    assert all(remark.startswith("What pairing gained") for remark in report.remarks)


def test_what_pairing_gained_is_told_in_every_format(report: Report) -> None:
    gaussian, placebo = report.comparisons
    for comparison, remark in zip((gaussian, placebo), report.remarks[-2:], strict=True):
        gain = comparison.pairing
        assert remark == (
            f"What pairing gained: control and {comparison.treatment} correlate by {gain.correlation:.2f} within "
            f"pairs; unpaired, the same standard error would have taken {gain.unpaired_ratio:.1f} times as many runs "
            f"(the same interval: {gain.unpaired_runs} of each arm, not 7)."
        )
    for text in (to_text(report), to_markdown(report)):
        assert "What pairing gained (estimates, rough with few pairs)" in text
        assert f"{gaussian.pairing.unpaired_ratio:.1f} times" in text
    ends = sorted(comparison.pairing.correlation for comparison in report.comparisons)
    assert f"Correlation within pairs {ends[0]:.2f} to {ends[1]:.2f}; unpaired, the same" in to_latex(report)
    (row, _) = csv.DictReader(io.StringIO(comparisons_to_csv(report, report.comparisons)))
    assert float(row["pairing_correlation"]) == gaussian.pairing.correlation


def test_pairs_that_gained_nothing_are_told_as_such() -> None:
    """Arms of which one does badly where the other does well."""
    spec = make_spec(seeds=list(range(7)), arms=make_spec().model_dump(mode="json")["arms"][:2])
    luck = {"control": [3, 1, 4, 1, 5, 9, 2], "gaussian": [5, 9, 5, 8, 3, 1, 6]}
    trials = [with_metric(trial, 0.5 + luck[trial.arm][trial.seed] / 100) for trial in make_records(spec)]
    report = report_on(spec, trials)
    correlation = statistics.correlation(*luck.values())
    (remark,) = report.remarks
    assert remark == (
        f"Pairing gained nothing here: control and gaussian correlate by {correlation:.2f} within pairs; 0.51 times as "
        "many unpaired runs would have given the same standard error."
    )
    assert "nothing" in to_text(report)


def test_what_pairing_gained_over_many_rows_is_one_sentence() -> None:
    cells = [Cell(model=CELL.model, dataset=name) for name in ("one", "other", "third")]
    spec = make_spec()
    trials = [make_record(arm.name, seed, cell) for cell in cells for seed in spec.seeds for arm in spec.arms]
    report = report_on(spec, trials, cells=cells)
    ratios = [comparison.pairing.unpaired_ratio for comparison in report.comparisons]
    told = report.remarks[-1]
    assert told.startswith("What pairing gained over 6 comparisons: correlations of ")
    assert f"{min(ratios):.1f} to {max(ratios):.1f} times as many" in told


def test_what_has_not_ended_is_not_yet_there_instead_of_left_out() -> None:
    spec = make_spec()
    trials = [trial.model_copy(update={"status": TrialStatus.PENDING, "result": None}) for trial in make_records(spec)]
    preview = report_on(spec, trials, status=ExperimentStatus.RUNNING)
    assert (preview.exclusions, preview.num_pending) == ((), 18)
    assert not any("Left out" in caveat for caveat in preview.caveats)
    assert {row[3] for row in comparison_table(preview).rows} == {"not yet"}
    assert all(" yet: " in sentence for sentence in preview.answers)
    over = report_on(spec, trials, status=ExperimentStatus.CANCELLED)
    assert (len(over.exclusions), over.num_pending) == (18, 0)
    assert {row[3] for row in comparison_table(over).rows} == {"no pairs"}


def test_an_interval_that_p_does_not_confirm_is_suggestive_everywhere() -> None:
    """Three pairs: the sign-flip p can't fall below 0.25, however clear the interval."""
    report = report_with(0.2, num_seeds=3)
    (comparison, *_) = report.comparisons
    assert comparison.verdict is Verdict.SUGGESTIVE
    assert comparison.p_holm >= 0.25
    for text in (to_markdown(report), to_html(report), to_latex(report)):
        assert "does not confirm it" in text
    for text in (to_text(report), to_markdown(report), to_html(report), comparisons_to_csv(report, report.comparisons)):
        assert "suggestive" in text
        assert "improved" not in text.partition("<body>")[2]
    assert r"^{*}$" in to_latex(report)
    assert r"\mathbf" not in to_latex(report)
    assert "suggestive: the interval excludes 0, which can't be confirmed with 3 pairs" in report.answers[0]
    assert any("can't fall below 0.250, whatever the effect; a new experiment" in caveat for caveat in report.caveats)
    sure = report_with(0.2, num_seeds=9)
    assert "suggestive" not in to_text(sure)
    assert "^{*}" not in to_latex(sure)
    assert r"\mathbf" in to_latex(sure)


def test_a_failed_trial_is_listed_and_its_pair_counted_as_missing() -> None:
    spec = make_spec()
    trials = make_records(spec)
    error = "arm gaussian: the training loss became nan in epoch 3, step 120"
    trials[1] = trials[1].model_copy(update={"status": TrialStatus.FAILED, "error": error, "result": None})
    report = report_on(spec, trials)
    (exclusion,) = report.exclusions
    assert (exclusion.arm, exclusion.seed, exclusion.reason) == ("gaussian", 0, error)
    assert "n = 5 of 6 pairs" in report.answers[0]
    assert any("Left out of the comparisons: 1 of gaussian" in caveat for caveat in report.caveats)


def test_arms_tuned_with_unequal_budgets_are_named() -> None:
    arms = make_spec().model_dump(mode="json")["arms"]
    arms[1]["search"] = {
        "space": {"attention_bias.sigma": {"kind": "choice", "values": [1.0, 4.0]}},
        "num_candidates": 2,
        "seeds": [100],
    }
    spec = make_spec(arms=arms)
    search = [
        make_record("gaussian", 100, phase=Phase.SEARCH, params={"attention_bias.sigma": sigma}, gain=sigma / 100)
        for sigma in (1.0, 4.0)
    ]
    chosen = {f"{CELL.key}/gaussian": {"attention_bias.sigma": 4.0}}
    report = report_on(spec, [*search, *make_records(spec)], chosen_params=chosen)
    (summary,) = report.searches
    assert [(candidate.params["attention_bias.sigma"], candidate.is_chosen) for candidate in summary.candidates] == [
        (4.0, True),
        (1.0, False),
    ]
    assert any("not tuned with the same budget" in caveat for caveat in report.caveats)
    assert any("Search scores are not results" in caveat for caveat in report.caveats)


def test_mixed_devices_and_reuse_are_named() -> None:
    spec = make_spec()
    trials = make_records(spec)
    assert trials[0].result is not None
    result = trials[0].result.model_copy(update={"provenance": trials[0].result.provenance | {"device": "cuda"}})
    trials[0] = trials[0].model_copy(update={"result": result, "reused_from": "older"})
    caveats = report_on(spec, trials).caveats
    assert "The trials differ in device: cpu, cuda." in caveats
    assert any(caveat.startswith("1 of 18 trials were not trained again") for caveat in caveats)


def test_pairs_whose_halves_ran_on_different_devices_are_named() -> None:
    spec = make_spec()

    def on(device: str, trial: TrialRecord) -> TrialRecord:
        assert trial.result is not None
        result = trial.result.model_copy(update={"provenance": trial.result.provenance | {"device": device}})
        return trial.model_copy(update={"result": result})

    def device_of(trial: TrialRecord) -> str:
        # A whole pair on another model mixes nothing; half a pair does.
        return "A100" if trial.seed == 3 or (trial.arm, trial.seed) in {("gaussian", 0), ("gaussian", 2)} else "H100"

    caveats = report_on(spec, [on(device_of(trial), trial) for trial in make_records(spec)]).caveats
    (told,) = [caveat for caveat in caveats if "different devices" in caveat]
    assert told.startswith("gaussian and control of ")
    assert "were trained on different devices (A100; H100) for seeds 0, 2: these pairs" in told
    assert "The trials differ in device: A100, H100." in caveats


def test_several_cells_are_pooled() -> None:
    cells = [CELL, Cell(model=CELL.model, dataset="other")]
    spec = make_spec()
    trials = [make_record(arm.name, seed, cell) for cell in cells for seed in spec.seeds for arm in spec.arms]
    report = report_on(spec, trials, cells=cells)
    assert [effect.treatment for effect in report.pooled] == ["gaussian", "placebo"]
    assert any(sentence.startswith("Over 2 cells, gaussian changed test top-1 by +") for sentence in report.answers)


def test_a_validation_metric_is_named_as_such() -> None:
    report = report_with(0.07, primary_metric="best_val/top1")
    assert "changed best validation top-1 by" in report.answers[0]
    assert any("validation also chose the epoch" in caveat for caveat in report.caveats)


def test_a_loss_is_told_in_nats_and_lower_is_better() -> None:
    spec = make_spec(primary_metric="test/loss", seeds=list(range(7)))
    trials = make_records(spec)
    for index, trial in enumerate(trials):
        loss = 1.5 - (0.3 if trial.arm == "gaussian" else 0.0) + 0.01 * (index % 5)
        metrics = trial.result.metrics | {"test/loss": loss}
        trials[index] = trial.model_copy(update={"result": trial.result.model_copy(update={"metrics": metrics})})
    report = report_on(spec, trials)
    assert report.comparisons[0].verdict is Verdict.IMPROVED
    assert report.answers[0].startswith(f"On {CELL.dataset} with {CELL.model}, gaussian")
    assert " changed test loss by -0.297 nats (95 % CI" in report.answers[0]


def test_digits_suffice_to_show_the_verdict_of_every_row() -> None:
    spec = make_spec(primary_metric="test/loss", arms=make_spec().model_dump(mode="json")["arms"][:2])
    # Differences of -0.0004 and -0.0005 nats: three digits would round the effect, or an end of its interval, to 0.
    trials = [
        with_metric(trial, 1.4 - (0.0004 + 0.0001 * (trial.seed % 2)) * (trial.arm == "gaussian"))
        for trial in make_records(spec)
    ]
    (sentence,) = report_on(spec, trials).answers
    assert "changed test loss by -0.000450 nats (95 % CI -0.000507 to -0.000393, n = 6 pairs" in sentence
    assert sentence.endswith(": improved.")


def with_metric(trial: TrialRecord, value: float) -> TrialRecord:
    assert trial.result is not None
    metrics = trial.result.metrics | {"test/loss": value, "test/top1": value}
    return trial.model_copy(update={"result": trial.result.model_copy(update={"metrics": metrics})})


def test_pairs_that_all_agree_are_not_told_as_one_pair() -> None:
    spec = make_spec(seeds=[0, 1, 2], arms=make_spec().model_dump(mode="json")["arms"][:2])
    trials = [with_metric(trial, 0.5 + 0.05 * (trial.arm == "gaussian")) for trial in make_records(spec)]
    (sentence,) = report_on(spec, trials).answers
    assert sentence.endswith(
        "by +5.0 pp in each of 3 pairs (p = 0.250): inconclusive; the differences are all equal, which gives no "
        "interval. Very few scored images do that; with many it is unlikely of independent repetitions: check whether "
        "the seed and the change have any effect on what is scored."
    )


def test_twenty_pairs_that_score_alike_say_so() -> None:
    spec = make_spec(seeds=list(range(20)), arms=make_spec().model_dump(mode="json")["arms"][:2])
    trials = [with_metric(trial, 0.5 + 0.01 * trial.seed) for trial in make_records(spec)]
    (sentence,) = report_on(spec, trials).answers
    assert (
        "by 0.0 pp in each of 20 pairs (p = 1.000): inconclusive; control and treatment score alike, which" in sentence
    )


def test_where_nothing_can_be_better_that_is_said() -> None:
    spec = make_spec(seeds=[0, 1, 2], arms=make_spec().model_dump(mode="json")["arms"][:2])
    (sentence,) = report_on(spec, [with_metric(trial, 1.0) for trial in make_records(spec)]).answers
    assert sentence.endswith(
        "inconclusive; control and treatment both score 100 % every time, and nothing can be higher: what is scored "
        "does not tell them apart."
    )
    (sentence,) = report_on(spec, [with_metric(trial, 0.0) for trial in make_records(spec)]).answers
    assert "both score 0 % every time, and nothing can be lower" in sentence


def test_what_no_digit_shows_is_written_as_a_power_of_ten() -> None:
    spec = make_spec(
        primary_metric="test/loss", seeds=list(range(9)), arms=make_spec().model_dump(mode="json")["arms"][:2]
    )
    trials = [
        with_metric(trial, 1e-12 * (2 + trial.seed % 2 + (trial.arm == "gaussian") * (3 + trial.seed % 3)))
        for trial in make_records(spec)
    ]
    report = report_on(spec, trials)
    assert "changed test loss by +4.0e-12 nats (95 % CI 3.3e-12 to 4.7e-12" in report.answers[0]
    assert r"\mathbf{+4.0 \cdot 10^{-12}}" in to_latex(report)
    assert r"$[3.3 \cdot 10^{-12}, 4.7 \cdot 10^{-12}]$" in to_latex(report)
    assert "0.000000" not in to_latex(report)


def test_cells_that_could_not_be_pooled_are_counted() -> None:
    cells = [Cell(model=CELL.model, dataset=name) for name in ("one", "other", "empty")]
    spec = make_spec()
    trials = [make_record(arm.name, seed, cell) for cell in cells[:2] for seed in spec.seeds for arm in spec.arms]
    report = report_on(spec, trials, cells=cells)
    assert any(sentence.startswith("Over 2 of 3 cells, gaussian changed") for sentence in report.answers)
    assert r"gaussian & \multicolumn{3}{l}{2 of 3 cells, 6 seeds} & " in to_latex(report)
    assert "2 of 3" in to_text(report)
    assert not any("random effects" in sentence for sentence in report.answers)


def test_random_effects_stand_beside_the_pooled_effect_only_where_seeds_differ() -> None:
    cells = [Cell(model=CELL.model, dataset=name) for name in ("one", "other")]
    spec = make_spec()
    trials = [make_record(arm.name, seed, cell) for cell in cells for seed in spec.seeds for arm in spec.arms]
    both = report_on(spec, trials, cells=cells)
    (told, *_) = [sentence for sentence in both.answers if sentence.startswith("Over ")]
    assert "over 6 seeds; of these cells, outside Holm's family)" in told
    fewer = report_on(spec, trials[3:], cells=cells)
    (told, *_) = [sentence for sentence in fewer.answers if sentence.startswith("Over ")]
    found = fewer.pooled[0].random_effects
    assert found is not None
    assert "over 5 seeds" in told
    assert f"all pairs, with cells taken as independent (random effects): {found.effect:+.1f} pp (95 % CI" in told
    for render in (to_text, to_markdown):
        assert "all pairs, cells taken as independent" in render(fewer)
        assert "all pairs, cells taken as independent" not in render(both)
    assert r"random effects & \multicolumn{3}{l}{2 cells as if independent, all pairs} & " in to_latex(fewer)
    assert "random effects" not in to_latex(both)


def test_a_grid_is_counted_by_its_points_not_by_the_number_of_candidates_that_it_ignores() -> None:
    arms = make_spec().model_dump(mode="json")["arms"][:2]
    for arm, sigmas in zip(arms, ([1.0], [1.0, 2.0, 4.0]), strict=True):
        space = {"attention_bias.sigma": {"kind": "choice", "values": sigmas}}
        arm["search"] = {"space": space, "algorithm": {"kind": "grid"}, "seeds": [100, 101]}
    report = report_on(make_spec(arms=arms), [])
    assert any(
        "(gaussian: trials per cell (6 against 2), candidates (3 against 1), `attention_bias.sigma` "
        "(one of 1.0, 2.0, 4.0 against one of 1.0))" in caveat
        for caveat in report.caveats
    )


def test_pairs_that_differ_by_more_than_the_bias_are_named() -> None:
    trials = make_records(make_spec())
    elsewhere = trials[0].config.dataset.model_copy(update={"split_seed": 7})
    trials = [
        trial.model_copy(update={"config": trial.config.model_copy(update={"dataset": elsewhere})})
        if trial.arm == "gaussian"
        else trial
        for trial in trials
    ]
    (caveat,) = [caveat for caveat in report_on(make_spec(), trials).caveats if " differ in " in caveat]
    assert caveat == (
        "gaussian and control differ in the attention bias and the data: the effect is that of all changes together."
    )


def test_a_search_hides_no_other_change() -> None:
    """The learning rate was searched, the number of epochs was not: only the first has a table of its own."""
    rates = {"optimization.optimizer.lr": {"kind": "log_uniform", "low": 1e-4, "high": 1e-1}}
    arms = make_spec().model_dump(mode="json")["arms"][:2]
    for arm in arms:
        arm["search"] = {"space": rates, "num_candidates": 2, "seeds": [100, 101]}
    spec = make_spec(arms=arms)

    def caveats(**changes: object) -> list[str]:
        trials = make_records(spec)
        for place, trial in enumerate(trials):
            if trial.arm == "gaussian":
                document = trial.config.model_dump(mode="json")
                document["optimization"] |= changes
                config = type(trial.config).model_validate(document)
                trials[place] = trial.model_copy(update={"config": config})
        return [caveat for caveat in report_on(spec, trials).caveats if " differ in " in caveat]

    assert caveats(optimizer={"kind": "adamw", "lr": 0.05}) == []
    for change in ({"epochs": 400}, {"optimizer": {"kind": "adamw", "lr": 0.05, "weight_decay": 0.5}}):
        (caveat,) = caveats(**change)
        assert caveat.startswith("gaussian and control differ in the attention bias and the optimization: the effect")


def test_a_layer_that_no_gradient_reached_is_named() -> None:
    """In a ViT that reads out its class token, the last layer's Gaussian stays where it began."""

    def caveats(*stuck: str) -> list[str]:
        trials = make_records(make_spec())
        for place, trial in enumerate(trials):
            if trial.arm == "gaussian" and trial.result is not None:
                epochs = [
                    report.model_copy(update={"metrics": report.metrics | dict.fromkeys(stuck, 2.0)})
                    for report in trial.result.epochs
                ]
                result = trial.result.model_copy(update={"epochs": tuple(epochs)})
                trials[place] = trial.model_copy(update={"result": result})
        return [caveat for caveat in report_on(make_spec(), trials).caveats if "never moved" in caveat]

    assert caveats() == []
    (caveat,) = caveats("sigma/02")
    assert caveat.startswith(f"Sigma or A never moved (gaussian on {CELL.dataset} with {CELL.model}, layer 2): this")
    assert "class token" in caveat


def test_a_report_on_weights_that_nobody_trained():
    """Arms are told by what they change, and the caveats say that nothing was trained."""
    idle = {"optimization": {"epochs": 0}}
    arms = [
        {"name": "control", "role": "control"},
        {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian"}}},
        {"name": "placebo", "patch": {"model": {"position_embedding": "zero"}}},
    ]
    spec = make_spec(arms=arms, **idle)
    trials = []
    for record in make_records(make_spec()):
        bias = {"kind": "gaussian"} if record.arm == "gaussian" else {"kind": "none"}
        config = TrialConfig.model_validate(record.config.model_dump() | idle | {"attention_bias": bias})
        result = record.result.model_copy(update={"epochs": [], "best_epoch": None, "training_seconds": 0.0})
        trials.append(record.model_copy(update={"config": config, "result": result}))
    report = report_on(spec, trials)
    described = {arm.name: arm.description for arm in report.arms}
    assert described["gaussian"].endswith("not trained")
    assert described["placebo"] == "model.position_embedding = zero"
    (caveat,) = [caveat for caveat in report.caveats if caveat.startswith("Nothing was trained")]
    assert caveat.endswith("says nothing of other images.")
    assert not report.bias
    assert report.comparisons[0].num_pairs == 6
    assert all(trial.best_epoch is None for trial in report.trials)
    assert "Nothing was trained" in to_html(report)
    drawn = [{"kind": "receptive_field", "num_images": 48, "images": "by_seed"}]
    (caveat,) = [
        caveat
        for caveat in report_on(make_spec(arms=arms, analyses=drawn, **idle), trials).caveats
        if caveat.startswith("Nothing was trained")
    ]
    assert "and in the 48 validation images that an analysis draws" in caveat
    assert "other images" not in caveat


CHANGES = [
    ({"optimization": {"optimizer": {"kind": "adamw", "lr": 0.01}}}, "optimization.optimizer.lr = 0.01"),
    ({"augmentation": {"kind": "crop_flip", "flip_probability": 0.0}}, "augmentation.kind = crop_flip"),
    ({"model": {"drop_path": 0.2}}, "model.drop_path = 0.2"),
    ({"task": {"label_smoothing": 0.1}}, "task.label_smoothing = 0.1"),
]


def _report_on_an_arm_that_changes(patch: JsonObject, *, control: JsonObject | None = None) -> Report:
    """Trials as the plan makes them, with results."""
    arms = [
        {"name": "control", "role": "control", "patch": control or {}},
        {"name": "gaussian", "patch": (control or {}) | patch},
    ]
    spec = make_spec(arms=arms)
    planned = {(trial.arm, trial.seed): trial.config for trial in make_plan(spec, data_root=None).trials}
    records = [
        record.model_copy(update={"config": planned[record.arm, record.seed]})
        for record in make_records(make_spec())
        if record.arm != "placebo"
    ]
    return report_on(spec, records)


@pytest.mark.parametrize(("patch", "words"), CHANGES)
@pytest.mark.parametrize(
    "control", [{}, {"attention_bias": {"kind": "none"}}, {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}]
)
def test_an_arm_is_told_by_what_it_changes(patch, words, control):
    """Whatever the control's bias is, an arm that has the same one is not told by it, in any format."""
    report = _report_on_an_arm_that_changes(patch, control=control)
    (answer,) = report.answers
    assert words in answer
    told = [*report.answers, *report.remarks, *report.caveats, *(arm.description for arm in report.arms)]
    for text in (*told, to_latex(report)):
        assert "no bias" not in text
        assert "bias alone" not in text
        assert " differ in " not in text
        assert "Gaussian, sigma" not in text
    assert not [warning for warning in make_plan(report.spec, data_root=None).warnings if "bias" in warning]


def test_an_arm_that_changes_two_things_is_told_by_both():
    bias = {"attention_bias": {"kind": "gaussian", "sigma": 2.0}}
    report = _report_on_an_arm_that_changes(CHANGES[0][0] | bias)
    (answer,) = report.answers
    assert "(optimization.optimizer.kind = adamw; optimization.optimizer.lr = 0.01; Gaussian, sigma 2, A 1, " in answer
    together = "gaussian and control differ in the attention bias and the optimization: the effect is that of all"
    assert any(caveat.startswith(together) for caveat in report.caveats)
    assert next(arm for arm in report.arms if arm.name == "control").description == "no bias"


@pytest.mark.parametrize(
    ("share", "num_images", "is_told"), [(0.6, 10_000, False), (0.6, 100, True), (0.7, 10_000, True)]
)
def test_a_control_that_has_hardly_learned_is_named(share: float, num_images: int, is_told: bool) -> None:
    """Two standard errors of 0.6 are 1 pp of 10,000 images, and 10 pp of 100."""
    comparison = only(report_with(0.0)).model_copy(update={"control_mean": 65.0})
    told = list(_hardly_learned([comparison], {CELL.key: Guess(share, num_images)}))
    assert bool(told) == is_told
    for text in told:
        assert text.startswith(
            f"control has hardly learned anything on {CELL.dataset} with {CELL.model}: it scores 65.0 %"
        )
        assert f"for every one of {num_images} images scores {100 * share:.1f} %" in text
    assert list(_hardly_learned([comparison], {})) == []
