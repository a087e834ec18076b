"""Results from elsewhere: what is read of a table, what is refused, and that the numbers are those of our reports."""

from datetime import UTC, datetime

import pytest
from scipy import stats

from orchestrator.foreign.columns import results_of
from orchestrator.foreign.measure import measure_of, named_metric
from orchestrator.foreign.report import foreign_report
from orchestrator.foreign.results import ForeignQuestion, ForeignResultsError
from orchestrator.foreign.tables import read_table
from orchestrator.report import Report
from orchestrator.report.formats.folder import report_files
from orchestrator.report.sections.trials import trials_to_csv
from orchestrator.statistics.comparison import Basis, Verdict
from tests.orchestrator.synthetic import make_records, make_spec, report_on

AT = datetime(2026, 11, 27, tzinfo=UTC)
BASELINE = (91.2, 91.0, 90.7, 91.4, 91.1, 90.9, 91.3)
MINE = (91.9, 91.5, 91.3, 92.1, 91.6, 91.8, 91.9)


def rows(arm: str, values: tuple[float | str, ...], more: str = "") -> str:
    return "".join(f"{arm},{seed},{value}{more}\n" for seed, value in enumerate(values))


CSV = "arm,seed,acc\n" + rows("baseline", BASELINE) + rows("mine", MINE)


def report_of(
    text: str, metric: str = "acc:higher", unit: str | None = "%", *, file: str = "r.csv", **asked: object
) -> Report:
    columns, where = asked.pop("columns", {}), asked.pop("where", ())
    name, direction = named_metric(metric)
    results = results_of(read_table(text.encode(), file), name, columns=columns, where=where)
    measure = measure_of(name, direction, unit, results.results)
    question = ForeignQuestion(**{"control": "baseline", "metric": name, "measure": measure, **asked})
    return foreign_report(results, question, name="r", read_at=AT, conditions=where)


def refusal(*args: object, **kwargs: object) -> str:
    with pytest.raises(ForeignResultsError) as caught:
        report_of(*args, **kwargs)
    return str(caught.value)


def test_the_effect_is_that_of_a_paired_t_test_by_others() -> None:
    (comparison,) = report_of(CSV).comparisons
    expected = stats.ttest_rel(MINE, BASELINE)
    interval = expected.confidence_interval(0.95)
    assert (comparison.ci_low, comparison.ci_high) == pytest.approx((interval.low, interval.high))
    # All seven differences are above 0: of 2^7 equally likely sign patterns, two are as extreme.
    assert comparison.p_value == pytest.approx(2 / 2**7)
    assert (comparison.verdict, comparison.unit, comparison.num_pairs) == (Verdict.IMPROVED, "pp", 7)


def test_less_may_be_better_and_neither_too() -> None:
    assert report_of(CSV, "acc:lower").comparisons[0].verdict is Verdict.WORSE
    assert report_of(CSV, "acc:neither").comparisons[0].verdict is Verdict.LARGER


def test_our_own_trials_give_the_numbers_of_our_own_report() -> None:
    spec = make_spec(seeds=list(range(7)), equivalence_margin=0.5)
    ours = report_on(spec, make_records(spec))
    again = report_of(
        trials_to_csv(ours), "test/top1", None, control="control", where=[("phase", "confirm")], equivalence_margin=0.5
    )
    assert again.comparisons == ours.comparisons
    assert (again.unit, again.decimals, again.pooled) == (ours.unit, ours.decimals, ours.pooled)


def test_the_report_can_be_asked_again_from_its_own_files() -> None:
    report = report_of(CSV + "mine,7,nan\n")
    files = {name: content for _, name, content in report_files(report)}
    assert "spec.json" not in files
    assert {"report.html", "table.tex", "effects.svg", "pairs.png", "trials.csv"} <= files.keys()
    again = report_of(files["trials.csv"].decode())
    assert again.provenance.digest == report.provenance.digest
    assert report.ask_again == (
        "sigmalab compare trials.csv --control baseline --metric acc:higher --unit % --confidence 0.95"
    )
    for name in ("report.md", "report.html", "report.txt"):
        assert "sigmalab did not train these" in files[name].decode(), name
    assert "not trained by sigmalab" in files["table.tex"].decode()
    assert Report.model_validate_json(files["report.json"]) == report


@pytest.mark.parametrize(
    ("column", "more"),
    [("training_seconds", ""), ("error", ""), ("arm_label", ""), ("status", " --column status=trial_status")],
)
def test_a_metric_may_be_called_like_a_column_of_the_trials(column: str, more: str) -> None:
    columns = {"status": "state"} if column == "status" else {}
    text = (
        CSV.replace("arm,seed,acc\n", f"arm,seed,{column},state\n").replace("\n", ",ok\n").replace("state,ok", "state")
    )
    report = report_of(text + "mine,7,nan,ok\n", f"{column}:lower", "s", columns=columns, equivalence_margin=0.1234567)
    trials = trials_to_csv(report)
    headings = trials.splitlines()[0].split(",")
    assert headings.count(column) == 1
    assert f"trial_{column}" in headings or column == "arm_label"
    assert report.ask_again == (
        f"sigmalab compare trials.csv --control baseline --metric {column}:lower --unit s{more} --confidence 0.95 "
        "--margin 0.1234567"
    )
    renamed = {"status": "trial_status"} if column == "status" else {}
    again = report_of(trials, f"{column}:lower", "s", columns=renamed, equivalence_margin=0.1234567)
    assert again.provenance.digest == report.provenance.digest


def test_a_number_is_found_however_it_is_written() -> None:
    text = "arm,seed,acc,epoch\n" + rows("baseline", BASELINE, ",99.0") + rows("mine", MINE, ",99.0")
    text += "mine,0,12.0,9\n"
    assert report_of(text, where=[("epoch", "99")]).comparisons[0].num_pairs == 7
    lines = [
        f'{{"arm": "{arm}", "seed": {seed}, "acc": {value}, "epoch": 99.0}}\n'
        for arm, values in {"baseline": BASELINE, "mine": MINE}.items()
        for seed, value in enumerate(values)
    ]
    assert report_of("".join(lines), file="r.jsonl", where=[("epoch", "99")]).comparisons[0].num_pairs == 7
    assert "has epoch=last" in refusal(text, where=[("epoch", "last")])


def test_of_a_failed_training_and_its_rerun_the_status_chooses() -> None:
    text = "arm,seed,acc,State\n" + rows("baseline", BASELINE, ",finished") + rows("mine", MINE, ",finished")
    failed = text + "mine,3,12.0,crashed\n"
    said = refusal(failed)
    assert "stands in line 12 already, and one of the two did not finish" in said
    assert said.endswith("--where State=finished")
    chosen = report_of(failed, where=[("State", "finished")])
    assert chosen.comparisons == report_of(text).comparisons


def test_what_is_missing_is_counted_and_said() -> None:
    report = report_of(CSV.replace("baseline,3,91.4\n", "").replace("mine,5,91.8", "mine,5,"))
    (comparison,) = report.comparisons
    assert (comparison.num_pairs, comparison.num_planned_pairs) == (5, 7)
    assert any("has no result for seed 3." in caveat and "baseline" in caveat for caveat in report.caveats)
    (exclusion,) = report.exclusions
    assert (exclusion.arm, exclusion.seed, exclusion.reason) == ("mine", 5, "no value of acc (line 13)")
    assert any("1 of mine" in caveat for caveat in report.caveats)


def test_a_training_that_did_not_finish_does_not_count() -> None:
    text = "arm,seed,acc,State\n" + rows("baseline", BASELINE, ",finished") + rows("mine", MINE, ",finished")
    report = report_of(text.replace("mine,2,91.3,finished", "mine,2,12.0,crashed"))
    assert report.comparisons[0].num_pairs == 6
    assert report.exclusions[0].reason == "its State is crashed (line 11)"


def test_models_and_data_sets_are_cells_and_an_arm_may_be_in_some_only() -> None:
    lines = [
        f"{arm};{seed};{value};vit_s;{data}\n"
        for data, arms in {"pets": ("baseline", "mine", "other"), "cars": ("baseline", "mine")}.items()
        for arm in arms
        for seed, value in enumerate(MINE if arm == "mine" else BASELINE)
    ]
    report = report_of("arm;seed;acc;model;data set\n" + "".join(lines) + "lonely;0;90;vit_s;dogs\n")
    places = [(each.cell.key, each.treatment) for each in report.comparisons]
    assert places == [("vit_s/pets", "mine"), ("vit_s/pets", "other"), ("vit_s/cars", "mine")]
    assert {effect.treatment: effect.num_cells for effect in report.pooled} == {"mine": 2, "other": 1}
    assert any("Compared with nothing" in caveat and "lonely on dogs with vit_s" in caveat for caveat in report.caveats)
    # Three rows, so Holm's correction is over three.
    assert report.comparisons[0].p_holm == pytest.approx(3 * 2 / 2**7)


def test_json_lines_with_objects_in_objects() -> None:
    lines = [
        f'{{"config": {{"arm": "{arm}", "seed": {seed}}}, "acc": {value}}}\n'
        for arm, values in {"baseline": BASELINE, "mine": (*MINE[:-1], "NaN")}.items()
        for seed, value in enumerate(values)
    ]
    report = report_of("".join(lines), file="r.jsonl", columns={"arm": "config.arm", "seed": "config.seed"})
    assert report.comparisons[0].num_pairs == 6
    assert report.origin is not None
    assert report.origin.columns == ("arm: config.arm", "seed: config.seed")


def test_looked_at_results_get_any_time_intervals() -> None:
    report = report_of(CSV, is_any_time=True)
    assert report.basis is Basis.ANYTIME
    assert report.ask_again.endswith("--any-time")


def test_a_name_may_look_like_a_formula_and_a_metric_like_latex() -> None:
    text = CSV.replace("mine", r"$\alpha_").replace("acc", "val_acc")
    files = {name: content for _, name, content in report_files(report_of(text, "val_acc:higher"))}
    assert r"Val\_acc, mean" in files["table.tex"].decode()


@pytest.mark.parametrize(
    ("text", "metric", "unit", "says"),
    [
        (CSV + "mine,3,90\n", "acc:higher", "%", "line 16: arm `mine`, seed 3 stands in line 12 already"),
        (CSV, "acc", "%", "is more of `acc` better? Say --metric acc:higher, acc:lower, or acc:neither"),
        (CSV, "ac:higher", "%", "r.csv has no column `ac`; did you mean `acc`? Valid: arm, seed, acc"),
        (CSV, "acc:higher", "fraction", "a fraction is 0 to 1: percent are --unit %"),
        (CSV.replace("acc", "test/top1"), "test/top1", None, "a fraction is 0 to 1: percent are --unit %"),
        (
            CSV.replace("arm,", "variant,"),
            "acc:higher",
            "%",
            "no column `arm`: say which one it is with --column arm",
        ),
        (
            CSV.replace("mine,2,", "mine,two,"),
            "acc:higher",
            "%",
            "line 11: `seed` is 'two', and a seed is a whole",
        ),
        (CSV.replace("91.3", "91.3%"), "acc:higher", "%", "`acc` is '91.3%', which is not a number"),
        (CSV.replace("baseline", "base"), "acc:higher", "%", "is of the arm `baseline`; did you mean `base`?"),
        ("arm,seed,acc\n" + rows("baseline", BASELINE), "acc:higher", "%", "nothing can be paired"),
        ("arm,seed,acc\n", "acc:higher", "%", "r.csv has no results"),
        ("arm,seed,acc,acc\n", "acc:higher", "%", "several columns called acc"),
        (CSV + "mine,9\n", "acc:higher", "%", "line 16: 2 values under 3 headings"),
    ],
)
def test_what_can_not_be_compared_is_refused(text: str, metric: str, unit: str | None, says: str) -> None:
    assert says in refusal(text, metric, unit)


def test_of_many_wrong_rows_some_are_named_and_all_counted() -> None:
    said = refusal("arm,seed,acc\n" + "".join(f"mine,{seed},bad\n" for seed in range(25)))
    assert len(said.splitlines()) == 11
    assert said.endswith("and 15 more such rows")
