"""`sigmalab new`: the package that it writes plans at once, and its own tests pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.scaffold.writing import ScaffoldError, write_package
from orchestrator.kept_code import with_code
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.spec.code import with_code_beside
from orchestrator.spec.experiment import parse_spec
from tests.preloaded.program import Sigmalab
from trainers.document import read_document


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new") / "vit_lab"
    write_package(folder)
    return folder


def planned(file: Path, storage: Path) -> Plan:
    document = read_document(file)
    assert isinstance(document, dict)
    with with_code(parse_spec(with_code_beside(document, file.parent)), storage, roots=None, keep=False) as spec:
        return make_plan(spec, data_root=None)


@pytest.mark.parametrize("name", ["compare", "loss"])
def test_both_questions_plan_as_they_are(package: Path, name: str, tmp_path: Path) -> None:
    plan = planned(package / f"{name}.json", tmp_path)
    assert plan.num_confirm_trials == 12
    # Minutes on a laptop.
    assert 0 < plan.cost.cpu_hours < 0.5


def test_its_own_tests_pass_and_ask_the_contract_suites(package: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", str(package)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(command, capture_output=True, text=True, cwd=package, env=environment)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_the_command_says_what_to_type_next(call: Sigmalab, tmp_path: Path) -> None:
    done = call("new", "mylab", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sigmalab run mylab/compare.json" in done.stdout
    assert sorted(path.name for path in (tmp_path / "mylab").iterdir()) == [
        "README.md",
        "compare.json",
        "conftest.py",
        "loss.json",
        "mylab",
        "test_mylab.py",
    ]
    again = call("new", "mylab", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert "mylab is there already, and nothing was written" in again.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-lab", "'my-lab' can't be the name of a package: take small letters"),
        ("MyLab", "'MyLab' can't be the name"),
        ("class", "'class' can't be the name"),
        ("torch", "torch is the name of a package that is installed here"),
        ("json", "json is the name of a package that is installed here"),
    ],
)
def test_a_name_that_is_no_package_s_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match=message):
        write_package(tmp_path / name)
    assert not list(tmp_path.iterdir())
