"""Own code on a real Ray: trials import the snapshot, and two versions of one package give two results."""

from pathlib import Path

import pytest

from orchestrator.kept_code import with_code
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import open_database
from tests.orchestrator.own_net import NET
from tests.orchestrator.small_experiments import (
    experiment_of,
    metrics_by_trial,
    ray_cluster,  # noqa: F401
    run,
    settings_in,
    spec_of,
)

pytestmark = pytest.mark.ray


def test_two_versions_of_a_package_give_two_results(tmp_path: Path, ray_cluster: str) -> None:  # noqa: F811
    settings, package = settings_in(tmp_path), tmp_path / "mine" / "labr"
    database = open_database(settings.effective_database_url)
    package.mkdir(parents=True)
    model = {"kind": "python", "target": "labr.net:Net", "arguments": {"width": 4}, "image_size_px": 8}
    arms = [{"name": "a", "role": "control"}, {"name": "b", "patch": {"model": {"arguments": {"width": 8}}}}]
    found = []
    for text in (NET, NET.replace("GELU", "Tanh")):
        (package / "net.py").write_text(text)
        spec = spec_of(code=str(package.parent), models=[model], arms=arms, seeds=[0])
        with with_code(spec, settings.effective_storage, roots=None, keep=True) as pinned:
            experiment_id = run(database, settings, pinned)
        # It was done with when the driver began: only the snapshot counts.
        row = experiment_of(database, experiment_id)
        assert (row.status, row.reason) == (ExperimentStatus.SUCCEEDED, "")
        found.append(metrics_by_trial(database, experiment_id))
    assert found[0].keys() == found[1].keys()
    assert all(found[0][trial] != found[1][trial] for trial in found[0])
    database.close()
