"""A driver that trains nothing: it plays made-up results into the store, as the real driver would."""

from collections.abc import Collection
from datetime import UTC, datetime

from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt, move
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.trials import fail_trial, start_trial, succeed_trial, trials_of
from trainers.result import EpochReport, TrialResult

GAIN = 0.1
"""Planted effect of every treatment, in every pair; small, known noise comes on top."""


def result_of(arm: str, seed: int) -> TrialResult:
    top1 = 0.5 + 0.01 * seed + (0.0 if arm == "control" else GAIN + 0.001 * (seed % 3))
    metrics = {"train/loss": 1.0, "val/loss": 1.1, "val/top1": top1, "val/top5": 0.9, "lr": 0.001}
    if arm != "control":
        metrics |= {"sigma/00": 2.5, "amplitude/00": 1.1}
    epochs = [EpochReport(epoch=epoch, metrics=metrics, seconds=0.5) for epoch in range(2)]
    return TrialResult(
        epochs=epochs,
        best_epoch=1,
        metrics={**metrics, "best_val/top1": top1, "test/top1": top1, "test/top5": 0.9, "test/loss": 1.1},
        predictions_file=None,
        training_seconds=1.0,
        provenance={"device": "cpu", "num_workers": "1"},
    )


def begin(database: Database, experiment_id: str) -> int:
    with database.write() as session:
        attempt = begin_attempt(session, experiment_id, None)
        move(session, experiment_id, ExperimentStatus.STARTING)
        move(session, experiment_id, ExperimentStatus.RUNNING, attempt=attempt)
    return attempt


def train(
    database: Database,
    experiment_id: str,
    attempt: int,
    *,
    failing: Collection[tuple[str, int]] = (),
    limit: int | None = None,
) -> None:
    """Train all trials (or so many) that have not ended; those in `failing` (arm, seed) end with a NaN loss."""
    with database.read() as session:
        trials = [trial for trial in trials_of(session, experiment_id) if trial.ended_at is None]
    for trial in trials[:limit]:
        with database.write() as session:
            start_trial(session, trial.id, attempt)
            if (trial.arm, trial.seed) in failing:
                fail_trial(session, trial.id, "the training loss became nan in epoch 0, step 3", attempt)
                continue
            result = result_of(trial.arm, trial.seed)
            for report in result.epochs:
                record_epoch(session, trial.id, report, datetime.now(UTC), attempt)
            succeed_trial(session, trial.id, result, attempt)


def finish(
    database: Database, experiment_id: str, attempt: int, status: ExperimentStatus = ExperimentStatus.SUCCEEDED
) -> None:
    with database.write() as session:
        move(session, experiment_id, status, attempt=attempt)


def play(database: Database, experiment_id: str, *, failing: Collection[tuple[str, int]] = ()) -> None:
    """The whole experiment."""
    attempt = begin(database, experiment_id)
    train(database, experiment_id, attempt, failing=failing)
    finish(database, experiment_id, attempt)
