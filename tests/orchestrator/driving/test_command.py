"""Scripts as arms on a real Ray: pairs by seed, curves as they come, results that stand in, and one that fails."""

from pathlib import Path

import pytest

from orchestrator.kept_code import with_code
from orchestrator.spec.experiment import parse_spec
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.telemetry import metrics_of
from tests.orchestrator.small_experiments import (
    experiment_of,
    ray_cluster,  # noqa: F401
    rows_of,
    run,
    settings_in,
)
from trainers.strict_json import JsonObject

pytestmark = pytest.mark.ray

SCRIPT = """
import os, sys
seed, gain = int(sys.argv[1]), float(sys.argv[2])
assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
if seed == 2 and gain:
    sys.exit("no such data")
with open("summary.csv", "w") as table:
    table.write("epoch,val_acc,test_acc\\n")
    for epoch in range(2):
        table.write(f"{epoch},{50 + epoch + seed},{40 + 10 * seed + gain}\\n")
print("hello from seed", seed)
"""
ACC: JsonObject = {"unit": "percent", "better": "higher"}
SPEC: JsonObject = {
    "name": "script",
    "task": {
        "kind": "command",
        "results": {
            "kind": "csv",
            "file": "summary.csv",
            "row": "best",
            "metrics": {"test/acc": ACC | {"column": "test_acc"}, "val/acc": ACC | {"column": "val_acc"}},
        },
    },
    "models": [{"kind": "command", "argv": ["python", "train.py", "{seed}", "{gain}"], "arguments": {"gain": 0}}],
    "datasets": [{"kind": "command"}],
    "arms": [{"name": "a", "role": "control"}, {"name": "b", "patch": {"model": {"arguments": {"gain": 2}}}}],
    "seeds": [0, 1, 2],
}


def test_scripts_are_compared_and_their_results_stand_in(tmp_path: Path, database: Database, ray_cluster: str) -> None:  # noqa: F811
    settings, folder = settings_in(tmp_path), tmp_path / "mine"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    spec = parse_spec(SPEC | {"code": str(folder)})
    with with_code(spec, settings.effective_storage, roots=None, keep=True) as pinned:
        lines: list[str] = []
        experiment_id = run(database, settings, pinned, lines)
    row = experiment_of(database, experiment_id)
    assert (row.status, row.reason) == (ExperimentStatus.SUCCEEDED, "1 of 3 pairs is incomplete: 1 trial failed")
    trials = {(trial.arm, trial.seed): trial for trial in rows_of(database, experiment_id)}
    values = {key: trial.final_metrics.get("test/acc") for key, trial in trials.items()}
    assert values == {("a", 0): 40, ("b", 0): 42, ("a", 1): 50, ("b", 1): 52, ("a", 2): 60, ("b", 2): None}
    failed = trials["b", 2]
    assert failed.error == (
        "arm b, seed 2: the command ended with exit code 1; its output ends with: no such data [command_failed]"
    )
    assert failed.attempt == 1
    assert any("b +2.00 pp (seed 1)" in line for line in lines)
    with database.read() as session:
        assert metrics_of(session, trials["a", 1].id) == {"val/acc": [(0, 51.0), (1, 52.0)]}
    log = next(settings.effective_storage.glob(f"{trials['a', 1].identity}-*/log.txt")).read_text()
    assert "hello from seed 1" in log
    # Asked again, the same scripts have run already.
    with with_code(spec, settings.effective_storage, roots=None, keep=True) as pinned:
        again = run(database, settings, pinned)
    assert {trial.reused_from for trial in rows_of(database, again) if trial.seed < 2} == {experiment_id}
