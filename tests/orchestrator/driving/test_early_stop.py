"""A trial that is stopped early takes its time to let go; the next one in its process waits (real Ray, real races)."""

import threading
from typing import Any

import pytest

from orchestrator.driving import tuning
from orchestrator.driving.trainable import run_trial
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.database import open_database
from tests.orchestrator.small_experiments import (
    experiment_of,
    ray_cluster,  # noqa: F401
    rows_of,
    run,
    settings_in,
    spec_of,
)

LR = "optimization.optimizer.lr"
LONGER_THAN_TUNE_WAITS = 2.5


def slow_to_let_go(config: dict[str, Any]) -> dict[str, str]:
    """A trial whose end takes as long as that of many loader processes."""
    try:
        return run_trial(config)
    except SystemExit:
        threading.Event().wait(LONGER_THAN_TUNE_WAITS)
        raise


@pytest.mark.ray
@pytest.mark.timeout(240)  # without the patience it would never end
@pytest.mark.usefixtures("ray_cluster")
def test_the_next_trial_of_the_process_waits_for_one_that_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "run_trial", slow_to_let_go)
    database = open_database(f"sqlite:///{tmp_path / 'sigmalab.db'}")
    candidates = {LR: {"kind": "choice", "values": [1e-2, 1e-7, 2e-2]}}
    race = {"kind": "asha", "grace_epochs": 1, "reduction_factor": 2}
    search = {"space": candidates, "algorithm": {"kind": "grid"}, "seeds": [100], "early_stopping": race}
    spec = spec_of(
        optimization={"epochs": 4, "global_batch_size": 20, "schedule": {"kind": "constant"}},
        arms=[
            {"name": "control", "role": "control", "search": search},
            {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian"}}},
        ],
        seeds=[0],
        resources={"max_concurrent_trials": 1},
    )
    experiment_id = run(database, settings_in(tmp_path), spec)
    assert experiment_of(database, experiment_id).status == ExperimentStatus.SUCCEEDED
    ends = {row.params[LR]: (row.status, row.attempt) for row in rows_of(database, experiment_id, Phase.SEARCH)}
    assert ends[1e-7] == (TrialStatus.PRUNED, 1)
    # The innocent one, in the same process.
    assert ends[2e-2] in {(TrialStatus.SUCCEEDED, 1), (TrialStatus.PRUNED, 1)}
    database.close()
