"""`sigmalab compare` as a user types it."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from api.cli.application import application
from api.cli.terminal import Exit

CSV = "variant,seed,top1\n" + "".join(
    f"baseline,{seed},{90 + seed % 3}\nmine,{seed},{91 + seed % 3 + seed / 20}\n" for seed in range(7)
)
ASK = ("--control", "baseline", "--metric", "top1:higher", "--unit", "%", "--column", "arm=variant")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    file = tmp_path / "results.csv"
    file.write_text(CSV)
    return file


def compare(*arguments: str | Path, **options: object) -> Result:
    return CliRunner().invoke(application, ["compare", *map(str, arguments)], env={"COLUMNS": "160"}, **options)


def test_prints_the_table_the_caveats_and_the_answer(results: Path) -> None:
    answer = compare(results, *ASK)
    assert answer.exit_code == Exit.OK
    assert "improved" in answer.stdout
    text = " ".join(answer.stdout.split())
    assert "sigmalab did not train these: 14 results of results.csv." in text
    # 1 + the mean of 0, 0.05, ..., 0.3
    assert "mine (trained elsewhere) changed top-1 by +1.15" in text


def test_reads_standard_input_and_writes_json(results: Path) -> None:
    answer = compare("-", *ASK, "--json", input=results.read_bytes())
    assert json.loads(answer.stdout)["comparisons"][0]["verdict"] == "improved"


def test_saves_a_report_that_the_command_in_it_asks_again(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    assert compare(results, *ASK, "--output", folder).exit_code == Exit.OK
    report = json.loads((folder / "report.json").read_text())
    program, command, file, *options = report["origin"]["ask_again"].split()
    again = compare(folder / file, *options, "--json")
    assert (program, command) == ("sigmalab", "compare")
    assert json.loads(again.stdout)["provenance"]["digest"] == report["provenance"]["digest"]


def test_a_demand_that_is_not_met_is_an_exit_code(results: Path) -> None:
    assert compare(results, *ASK, "--require", "mine=improved").exit_code == Exit.OK
    turned = (*ASK[:3], "top1:lower", *ASK[4:])
    assert compare(results, *turned, "--require", "improved").exit_code == Exit.NOT_SHOWN
    assert compare(results, *ASK, "--require", "yours=improved").exit_code == Exit.USAGE


def test_what_is_wrong_is_said_and_told_apart(results: Path, tmp_path: Path) -> None:
    refused = compare(results, "--control", "baseline", "--metric", "top1:higher")
    assert refused.exit_code == Exit.REFUSED
    assert "has no column `arm`: say which one it is with --column arm=NAME" in refused.stderr
    assert compare(tmp_path / "none.csv", *ASK).exit_code == Exit.USAGE
    assert compare(results, *ASK, "--where", "epoch").exit_code == Exit.USAGE


def test_an_mlflow_needs_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    answer = compare("mlflow:mine", *ASK)
    assert answer.exit_code == Exit.USAGE
    assert "--tracking-uri http://host:5000" in answer.stderr
