"""An experiment with four planned trials, ready to be written to."""

from typing import NamedTuple

import pytest

from orchestrator.planning.expansion import Expansion
from orchestrator.planning.planned import PlannedTrial
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt, insert_experiment, move
from orchestrator.store.trials import plan_trials
from trainers.result import EpochReport, TrialResult


class Running(NamedTuple):
    """An experiment whose first driver attempt is at work."""

    id: str
    attempt: int
    trials: list[int]
    """Ids, in plan order: control and gaussian of seed 0, then of seed 1."""


@pytest.fixture
def planned(small_spec: ExperimentSpec) -> tuple[PlannedTrial, ...]:
    return Expansion(small_spec, data_root=None).confirm_trials({})


@pytest.fixture
def experiment_id(database: Database, small_spec: ExperimentSpec) -> str:
    """A queued experiment without trials."""
    with database.write() as session:
        return insert_experiment(session, small_spec, "digest").id


@pytest.fixture
def running(database: Database, experiment_id: str, planned: tuple[PlannedTrial, ...]) -> Running:
    with database.write() as session:
        ids = plan_trials(session, experiment_id, planned)
        attempt = begin_attempt(session, experiment_id, "job-1")
        move(session, experiment_id, ExperimentStatus.STARTING)
        move(session, experiment_id, ExperimentStatus.RUNNING, attempt=attempt)
    return Running(experiment_id, attempt, list(ids.values()))


@pytest.fixture
def report() -> EpochReport:
    return EpochReport(epoch=0, metrics={"train/loss": 2.25, "val/top1": 0.5, "sigma/00": 1.5}, seconds=3.0)


@pytest.fixture
def result(report: EpochReport) -> TrialResult:
    return TrialResult(
        epochs=[report, report.model_copy(update={"epoch": 1})],
        best_epoch=0,
        metrics={"best_val/top1": 0.5, "test/top1": 0.25},
        predictions_file="predictions.npz",
        training_seconds=6.0,
        provenance={"device": "cpu", "num_workers": "1"},
    )
