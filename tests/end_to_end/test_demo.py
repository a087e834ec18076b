"""`sigmalab demo` and `sigmalab run`: a stack for one experiment, and a second run that finds everything done."""

import json
import re
from pathlib import Path

import pytest

from tests.end_to_end.serving import EXAMPLES, assert_nothing_is_left, sigmalab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TINY = str(EXAMPLES / "tiny.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def test_from_nothing_to_a_verdict(folder: Path) -> None:
    demo = sigmalab(folder, "demo", "--spec", TINY)
    assert demo.returncode == 0, demo.stderr
    for words in ("ready in", "pair 1/2", "pair 2/2", "succeeded"):
        assert words in demo.stderr
    for words in ("What it can show, before anything is spent", "Learned sigma by layer", "2.00 → ", "Answer"):
        assert words in demo.stdout
    assert "reused" not in demo.stdout
    paths = [Path(line.split()[-1]) for line in demo.stdout.splitlines() if line.startswith(("report ", "LaTeX "))]
    assert [path.name for path in paths] == ["report.html", "table.tex"]
    assert all(path.stat().st_size > 500 for path in paths)
    page, last = demo.stdout.splitlines()[-2:]
    assert re.fullmatch(r"page +http://127\.0\.0\.1:\d+/experiments/\w+", page)
    assert "in a browser: `make serve`" in last
    assert_nothing_is_left(folder, [])


def test_again_it_reuses_everything_and_says_so(folder: Path) -> None:
    demo = sigmalab(folder, "demo", "--spec", TINY)
    assert demo.returncode == 0, demo.stderr
    assert "4 of 4 trials were finished already and were reused" in demo.stdout
    assert "4 are finished already" in demo.stdout
    assert_nothing_is_left(folder, [])


def test_the_same_in_one_terminal_without_a_service(folder: Path, tmp_path: Path) -> None:
    run = sigmalab(folder, "run", TINY, "--output", str(tmp_path / "report"))
    assert run.returncode == 0, run.stderr
    (comparison,) = json.loads((tmp_path / "report" / "report.json").read_text())["comparisons"]
    one, two = (pair["treatment"] - pair["control"] for pair in comparison["pairs"])
    # Student's t of two pairs (12.706 at 95 %). They can't confirm anything: p is at least 0.5.
    excludes_0 = 0 < 12.706 * abs(one - two) / 2 < abs(one + two) / 2
    assert comparison["verdict"] == ("suggestive" if excludes_0 else "inconclusive")
    assert comparison["verdict"] in run.stdout
    assert_nothing_is_left(folder, [])
