"""Numbers that scripts write: in which forms they are read, which of them count, and what is said of the others."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from trainers.command.results import Results, ResultsConfig
from trainers.command.rows import Chosen, chosen, curves, merged
from trainers.errors import CommandError
from trainers.strict_json import JsonObject

TOP1: JsonObject = {"column": "top1", "unit": "percent", "better": "higher"}
TIMM = "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,2.3,2.0,30.5,60,0.1\n1,1.9,1.7,45.25,70,0.1\n"
"""As timm's train.py writes it."""


def results_of(kind: str = "csv", **changes: object) -> Results:
    file: JsonObject = {} if kind == "regex" else {"file": "summary.csv"}
    found: Results = TypeAdapter(ResultsConfig).validate_python(
        {"kind": kind, **file, "metrics": {"test/top1": TOP1}, **changes}
    )
    return found


def counted(results: Results, folder: Path, text: str | None, said: list[str] | None = None) -> Chosen:
    if text is not None:
        (folder / "summary.csv").write_text(text)
    heard = [each for line in said or [] for each in results.heard(line)]
    rows = merged(results.rows(folder, heard, is_over=True))
    return chosen(rows, list(results.metrics), results.row, results.chooser)


def complaint(results: Results, folder: Path, text: str | None, said: list[str] | None = None) -> str:
    with pytest.raises(CommandError) as caught:
        counted(results, folder, text, said)
    return str(caught.value)


def test_a_table_of_one_row(tmp_path: Path) -> None:
    assert counted(results_of(), tmp_path, "\ufeffseed, top1\n3, 91.5\n") == Chosen({"test/top1": 91.5}, None)


def test_timms_summary_gives_its_best_or_its_last_row(tmp_path: Path) -> None:
    declared: JsonObject = {
        "val/top1": TOP1 | {"column": "eval_top1"},
        "val/loss": {"column": "eval_loss", "better": "lower"},
        "train/loss": {"column": "train_loss", "better": "lower"},
    }
    later = TIMM + "2,1.8,1.6,44.0,71,0.1\n"
    best = counted(results_of(metrics=declared, row="best", best_by="val/top1"), tmp_path, later)
    assert best == Chosen({"val/top1": 45.25, "val/loss": 1.7, "train/loss": 1.9}, 1)
    last = counted(results_of(metrics=declared, row="last"), tmp_path, later)
    assert last == Chosen({"val/top1": 44.0, "val/loss": 1.6, "train/loss": 1.8}, None)
    # By a loss, the least is the best.
    by_loss = counted(results_of(metrics=declared, row="best", best_by="val/loss"), tmp_path, later)
    assert by_loss.epoch == 2
    rows = merged(results_of(metrics=declared, row="last").rows(tmp_path, [], is_over=True))
    assert [row["val/top1"] for row in curves(rows)] == [30.5, 45.25, 44.0]


def test_of_equal_rows_the_earlier_is_the_best(tmp_path: Path) -> None:
    results = results_of(metrics={"val/top1": TOP1, "test/acc": TOP1 | {"column": "acc"}}, row="best")
    assert counted(results, tmp_path, "top1,acc\n50,1\n60,2\n60,3\n").values["test/acc"] == 2


def test_rows_of_one_epoch_are_one_as_lightning_writes_them(tmp_path: Path) -> None:
    results = results_of(
        metrics={
            "val/top1": TOP1 | {"column": "val_acc"},
            "train/loss": {"column": "train_loss", "better": "lower"},
            "test/top1": TOP1 | {"column": "test_acc"},
        },
        row="best",
    )
    text = (
        "epoch,step,test_acc,train_loss,val_acc\n"
        "0,9,,1.5,\n0,9,,,70.0\n1,19,,1.2,\n1,19,,,80.0\n2,29,,1.1,\n2,29,,,75.0\n3,30,77.5,,\n"
    )
    assert counted(results, tmp_path, text).values == {"val/top1": 80.0, "train/loss": 1.2, "test/top1": 77.5}


@pytest.mark.parametrize(
    "text",
    [
        '{"top1": 91.5}',
        '[{"top1": 91.5}]',
        '{"epoch": 0, "lr": 1}\n{"epoch": 0, "top1": 91.5}\n',
        json.dumps({"top1": 91.5}, indent=2),
    ],
    ids=["object", "list", "lines", "pretty"],
)
def test_json(text: str, tmp_path: Path) -> None:
    assert counted(results_of("json"), tmp_path, text).values == {"test/top1": 91.5}


def test_a_dot_leads_into_an_object(tmp_path: Path) -> None:
    results = results_of("json", metrics={"test/top1": TOP1 | {"column": "test.top1"}})
    assert counted(results, tmp_path, '{"test": {"top1": 91.5}}').values == {"test/top1": 91.5}


def test_what_is_printed(tmp_path: Path) -> None:
    results = results_of("regex", metrics={"test/top1": TOP1 | {"column": r"Acc@1 ([\d.]+)"}}, row="last")
    assert counted(results, tmp_path, None, ["Acc@1 50.5 Acc@5 60", "hello", " * Acc@1 91.5"]).values == {
        "test/top1": 91.5
    }
    assert "nothing that the script printed fits the expression of test/top1" in complaint(results, tmp_path, None, [])


def test_half_a_row_is_not_read_while_the_script_writes(tmp_path: Path) -> None:
    (tmp_path / "summary.csv").write_text("epoch,top1\n0,50\n1,9")
    rows = results_of(row="last").rows(tmp_path, [], is_over=False)
    assert [row.values["test/top1"] for row in rows] == [50]
    (tmp_path / "summary.csv").unlink()
    assert results_of().rows(tmp_path, [], is_over=False) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "the script wrote no summary.csv where it runs; there are other.txt"),
        ("", "summary.csv has no column `top1`; it has nothing"),
        ("epoch,acc\n0,1\n", "summary.csv has no column `top1`; it has epoch, acc"),
        ("top1\nnan\n", "test/top1 is 'nan' in line 2 of summary.csv, which is not a finite number"),
        ("top1\ntop1\n", "test/top1 is 'top1' in line 2 of summary.csv, which is not a finite number"),
        ("top1\n191\n", "test/top1 is 191 in line 2 of summary.csv, and a percent is 0 to 100"),
        ("top1\n50\n60\n", "test/top1 is there 2 times, the first in line 2 of summary.csv"),
        ("epoch,top1\n0,50\n0,60\n", "epoch 0 has test/top1 twice, in line 2 of summary.csv and in line 3"),
        ("epoch,top1\n1,50\n0,60\n", "line 3 of summary.csv is of epoch 0, behind line 2 of summary.csv of epoch 1"),
    ],
)
def test_what_is_said_of_a_table_that_can_not_count(text: str | None, message: str, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("")
    assert message in complaint(results_of(), tmp_path, text)


def test_a_fraction_above_one_is_asked_whether_it_is_percent(tmp_path: Path) -> None:
    results = results_of(metrics={"test/top1": TOP1 | {"unit": "fraction"}})
    assert "a fraction is 0 to 1; is its unit percent?" in complaint(results, tmp_path, "top1\n91\n")


def test_a_pattern_that_several_files_fit_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.csv").write_text("top1\n1\n")
    assert "2 files fit */summary.csv" in complaint(results_of(file="*/summary.csv"), tmp_path, None)
    (tmp_path / "b" / "summary.csv").unlink()
    assert counted(results_of(file="*/summary.csv"), tmp_path, None).values == {"test/top1": 1}


def test_units_become_those_of_comparisons() -> None:
    declared: JsonObject = {
        "test/top1": TOP1,
        "test/iou": {"unit": "fraction", "better": "higher"},
        "test/latency": {"unit": "ms", "better": "lower"},
        "val/width": {"better": "neither"},
    }
    found = {
        each.name: (each.unit, each.scale, each.higher_is_better) for each in results_of(metrics=declared).measured
    }
    assert found == {
        "top1": ("pp", 1.0, True),
        "iou": ("pp", 100.0, True),
        "latency": ("ms", 1.0, False),
        "width": ("", 1.0, None),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"top1": TOP1}}, "its split, a slash"),
        ({"metrics": {"train/loss": {"better": "lower"}}}, "there is nothing to compare"),
        ({"metrics": {"test/top1": TOP1, "val/top1": {"better": "higher"}}}, "give both the same unit and better"),
        ({"row": "best"}, "chosen by a `val/` metric"),
        (
            {"row": "best", "metrics": {"val/a": TOP1, "val/b": TOP1}},
            "several metrics may choose the best row: name one of",
        ),
        (
            {"row": "best", "metrics": {"val/a": TOP1}, "best_by": "val/b"},
            "val/b can't choose the best row: name one of val/a",
        ),
        ({"best_by": "val/a"}, "no row is chosen by it"),
        ({"metrics": {"test/top1": TOP1 | {"unit": "%"}}}, "write `percent` "),
        ({"file": "/tmp/summary.csv"}, "not a path inside of the folder"),
        ({"kind": "regex", "metrics": {"test/top1": TOP1 | {"column": "Acc ("}}}, "can't be read"),
        ({"kind": "regex", "metrics": {"test/top1": TOP1 | {"column": "Acc"}}}, "has 0 groups"),
    ],
)
def test_what_is_said_of_results_that_are_declared_wrongly(changes: JsonObject, message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        results_of(**changes)  # type: ignore[arg-type]


def test_json_that_is_nested_too_deeply_is_no_table(tmp_path: Path) -> None:
    assert "nested too deeply" in complaint(results_of("json"), tmp_path, "[" * 200_000)


def test_numbers_that_are_printed_unequally_often_choose_no_best_row(tmp_path: Path) -> None:
    metrics = {"val/top1": TOP1 | {"column": r"val ([\d.]+)"}, "test/top1": TOP1 | {"column": r"test ([\d.]+)"}}
    results = results_of("regex", metrics=metrics, row="best")
    said = ["val 10", "val 20", "test 1", "val 5", "test 2"]
    assert "printed val/top1 3 times, test/top1 2 times, so nobody knows" in complaint(results, tmp_path, None, said)
    assert counted(results, tmp_path, None, [*said, "test 3"]).values == {"val/top1": 20, "test/top1": 2}
    # Scored once, at the end.
    assert counted(results, tmp_path, None, [*said[:2], "test 4"]).values == {"val/top1": 20, "test/top1": 4}


def test_what_timms_own_writer_writes_is_read(tmp_path: Path) -> None:
    """`train.py` itself is not in timm's package; what writes its table is."""
    from timm.utils import update_summary

    for epoch in range(3):
        scores = {"loss": 2.0 - epoch / 10, "top1": 60.0 + epoch, "top5": 80.0 + epoch}
        update_summary(epoch, {"loss": 2.5 - epoch}, scores, str(tmp_path / "summary.csv"), lr=0.1)
    results = results_of(metrics={"test/top1": TOP1 | {"column": "eval_top1"}}, row="last")
    assert counted(results, tmp_path, None).values == {"test/top1": 62.0}
