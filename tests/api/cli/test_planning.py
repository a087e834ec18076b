"""`sigmalab plan` by itself: what it imports, and so how long it takes; what it remembers and what it leaves behind."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.settings import Settings
from orchestrator.store.database import open_database
from tests.orchestrator.kept_database import restore
from tests.preloaded.program import PreloadedProgram

TINY = Path("examples/tiny.json")
SLOW = (
    "torch",
    "torchvision",
    "timm",
    "scipy.stats",
    "scipy.optimize",
    "pandas",
    "mlflow",
    "ray",
    "matplotlib",
    "alembic",
)
"""Each takes from half a second to several to import."""


def plan(spec: Path, home: Path) -> tuple[str, set[str]]:
    """What the command prints, and which slow packages it has imported."""
    code = (
        "import sys\nfrom api.cli import main\nsys.argv = ['sigmalab', 'plan', sys.argv[1]]\n"
        f"try:\n    main()\nfinally:\n    print(*sorted(set({SLOW!r}) & set(sys.modules)), file=sys.stderr)"
    )
    environment = {**os.environ, "SIGMALAB_HOME": str(home), "SIGMALAB_CACHE": str(home / "cache"), "COLUMNS": "120"}
    done = subprocess.run([sys.executable, "-c", code, spec], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout, set(done.stderr.splitlines()[-1].split())


def test_imports_nothing_slow_and_leaves_nothing_behind(tmp_path: Path) -> None:
    printed, slow = plan(TINY, tmp_path)
    assert "4 trials make 2 pairs" in printed
    assert slow == set()
    assert list(tmp_path.iterdir()) == []


def test_imports_nothing_slow_beside_a_database(tmp_path: Path) -> None:
    open_database(Settings(home=tmp_path).effective_database_url).close()
    assert plan(TINY, tmp_path)[1] == set()


def test_an_earlier_version_s_database_is_left_as_it_is(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    restore(settings.effective_database_url)
    before = settings.database_file.read_bytes()
    printed, slow = plan(TINY, tmp_path)
    told = " ".join(printed.split())
    assert "4 trials make 2 pairs" in told
    assert "the database has schema 0008, and this version of sigmalab reads schema" in told
    assert "what is finished already was not counted, and no cost was measured" in told
    assert slow == set()
    assert settings.database_file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["sigmalab.db"]


def test_pairs_by_variance_stand_beside_equal_ones(tmp_path: Path) -> None:
    document = json.loads(TINY.read_text())
    document["datasets"] *= 2
    document["datasets"][1] = document["datasets"][1] | {"num_train": 90}
    document["seeds"] = {"total": 30, "allocate": "by_variance"}
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(document))
    printed, slow = plan(spec, tmp_path)
    assert slow == set()
    assert printed.count("15 fixed") == len(re.findall(r"^ *15  ", printed, flags=re.MULTILINE)) > 0
    told = " ".join(printed.split())
    assert "pairs that are shared out by variance are judged by the sd of each row's first 7" in told
    # At most: the control of a row that gets more pairs is trained for that row alone.
    assert "trials at most 60 trials make 30 pairs" in told
    assert "cost 60 trainings if all rows vary alike" in told


def test_asks_timm_about_a_model_only_once(tmp_path: Path) -> None:
    document = json.loads(TINY.read_text())
    document["models"] = [{"kind": "timm", "name": "vit_relpos_small_patch16_224"}]
    document["analyses"] = [{"kind": "receptive_field"}]
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(document))
    first, asked = plan(spec, tmp_path)
    second, remembered = plan(spec, tmp_path)
    assert "timm" in asked
    assert remembered == set()
    assert first == second


@pytest.fixture(scope="module")
def program_with_timm() -> Iterator[PreloadedProgram]:
    preloaded = PreloadedProgram("sigmalab", ("api.cli.planning", "timm"))
    yield preloaded
    preloaded.close()


@pytest.mark.parametrize("name", ["vit_relpos_smal_patch16_224", "mobilenetv3_small_100"])
def test_a_name_that_is_refused_is_refused_again(
    name: str, program_with_timm: PreloadedProgram, tmp_path: Path
) -> None:
    document = json.loads(TINY.read_text())
    document["models"] = [{"kind": "timm", "name": name}]
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(document))
    environment = {**os.environ, "SIGMALAB_HOME": str(tmp_path), "SIGMALAB_CACHE": str(tmp_path / "cache")}
    command = [*program_with_timm.command, "plan", spec]
    answers = [subprocess.run(command, capture_output=True, text=True, env=environment) for _ in range(2)]
    assert [answer.returncode for answer in answers] == [4, 4]
    assert answers[0].stderr == answers[1].stderr
    assert name in answers[0].stderr
