"""`sigmalab plan` by itself: what it imports, and so how long it takes; what it remembers and what it leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.settings import Settings
from orchestrator.store.database import open_database

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


@pytest.mark.parametrize("name", ["vit_relpos_smal_patch16_224", "mobilenetv3_small_100"])
def test_a_name_that_is_refused_is_refused_again(name: str, tmp_path: Path) -> None:
    document = json.loads(TINY.read_text())
    document["models"] = [{"kind": "timm", "name": name}]
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(document))
    environment = {**os.environ, "SIGMALAB_HOME": str(tmp_path), "SIGMALAB_CACHE": str(tmp_path / "cache")}
    command = [Path(sys.executable).with_name("sigmalab"), "plan", spec]
    answers = [subprocess.run(command, capture_output=True, text=True, env=environment) for _ in range(2)]
    assert [answer.returncode for answer in answers] == [4, 4]
    assert answers[0].stderr == answers[1].stderr
    assert name in answers[0].stderr
