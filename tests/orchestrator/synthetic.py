"""A synthetic experiment with planted effects: what a report or a tracker must say about it is known.

Nothing is trained: curves and results are made up, but they go through the real types and the real store.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from orchestrator.planning.plan import PlannedTrial
from orchestrator.report import ExperimentFacts, Report, TrialRecord, build_report
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.statistics.pooling import pool_effects
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt, insert_experiment, move
from orchestrator.store.telemetry import record_epoch
from orchestrator.store.trials import TrialRowKey, fail_trial, plan_trials, start_trial, succeed_trial
from trainers.config import TrialConfig
from trainers.result import EpochReport, LayerFit, TrialResult

GAINS = {"control": 0.0, "gaussian": 0.072, "placebo": 0.002}
BIASES = {
    "control": {"kind": "none"},
    "gaussian": {"kind": "gaussian", "sigma": 2.0, "amplitude": 1.0, "lr_multiplier": 20.0},
    "placebo": {"kind": "permuted_gaussian", "sigma": 2.0, "amplitude": 1.0, "lr_multiplier": 20.0},
}
DIGEST = "9d1f0c2b7a55e3d40812"
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def make_spec(**changes: object) -> ExperimentSpec:
    spec = {
        "name": "digits-gaussian-bias",
        "question": "Does a Gaussian attention bias help a small ViT that sees few images?",
        "models": [{"kind": "small_vit"}],
        "datasets": [{"kind": "digits", "num_train": 300}],
        "arms": [
            {"name": name, "role": "control" if name == "control" else "treatment", "patch": {"attention_bias": bias}}
            for name, bias in BIASES.items()
        ],
        "seeds": list(range(6)),
    }
    return ExperimentSpec.model_validate(spec | changes)


def cell_of(spec: ExperimentSpec) -> Cell:
    return Cell(model=spec.models[0].label, dataset=spec.datasets[0].label)


CELL = cell_of(make_spec())


def make_record(
    arm: str,
    seed: int,
    cell: Cell = CELL,
    *,
    gain: float | None = None,
    num_epochs: int = 20,
    num_layers: int = 3,
    **changes: object,
) -> TrialRecord:
    """A succeeded confirm trial; a pair shares its luck, and each trial has a little of its own."""
    own = np.random.default_rng([seed, list(GAINS).index(arm), len(cell.dataset)])
    shared = np.random.default_rng([seed, 99, len(cell.dataset)])
    top1 = 0.512 + 0.045 * shared.standard_normal() + (GAINS[arm] if gain is None else gain)
    top1 += 0.012 * own.standard_normal()
    config = TrialConfig.model_validate(
        {
            "model": {"kind": "small_vit", "depth": num_layers},
            "dataset": {"kind": "digits", "num_train": 300},
            "attention_bias": BIASES[arm],
            "seed": seed,
        }
    )
    epochs = []
    for epoch in range(num_epochs):
        share = 1 - math.exp(-(epoch + 1) / 6)
        metrics = {
            "train/loss": 2.3 - 1.2 * share + 0.02 * own.standard_normal(),
            "val/loss": 2.3 - 1.0 * share * (top1 / 0.5) + 0.03 * own.standard_normal(),
            "val/top1": 0.1 + (top1 - 0.1) * share + 0.01 * own.standard_normal(),
            "val/top5": min(0.99, 0.5 + 0.45 * share),
            "lr": 0.002 * (1 + math.cos(math.pi * epoch / num_epochs)) / 2,
            "images_per_second": 900.0 + 20 * own.standard_normal(),
            "data_wait_fraction": 0.02,
        }
        if arm != "control":
            for layer in range(num_layers):
                drift = (0.15 + 0.3 * layer) * (1 if arm == "gaussian" else -0.4)
                metrics[f"sigma/{layer:02d}"] = 2.0 + share * (drift + 0.06 * own.standard_normal())
                metrics[f"amplitude/{layer:02d}"] = 1.0 + share * 0.1 * (layer + 1)
        epochs.append(EpochReport(epoch=epoch, metrics=metrics, seconds=0.33))
    learned_bias = [
        LayerFit(part=part, layer=layer, **_fit(part, layer, num_layers, own))
        for layer in range(num_layers)
        for part in (("own",) if arm == "control" else ("own", "sum"))
    ]
    result = TrialResult(
        learned_bias=tuple(learned_bias),
        epochs=epochs,
        best_epoch=num_epochs - 2,
        metrics={
            **epochs[-1].metrics,
            "best_val/top1": top1 + 0.01,
            "test/top1": top1,
            "test/top5": 0.95,
            "test/loss": 1.4,
        },
        predictions_file="predictions.npz",
        training_seconds=6.6,
        provenance={"device": "cpu", "torch": "2.15.0", "data_fingerprint": "0123456789ab", "num_workers": "1"},
    )
    record = TrialRecord(
        identity=f"{arm}-{seed}-{cell.dataset}-{num_layers}"[:64],
        cell=cell,
        arm=arm,
        seed=seed,
        phase=Phase.CONFIRM,
        params={},
        config=config,
        status=TrialStatus.SUCCEEDED,
        attempt=1,
        result=result,
        mlflow_run_id=None,
    )
    return record.model_copy(update=changes)


def _fit(part: str, layer: int, num_layers: int, random: np.random.Generator) -> dict[str, object]:
    """As in the paper: all layers but the last learn a Gaussian."""
    is_gaussian = part == "sum" or layer < num_layers - 1
    r_squared = (0.92 if is_gaussian else 0.3) + 0.02 * random.standard_normal()
    sigma = 2.5 + layer + 0.1 * random.standard_normal()
    return {"sigma": sigma, "height": 1.5, "r_squared": r_squared, "is_gaussian": is_gaussian, "spread": 1.6}


def make_records(spec: ExperimentSpec, num_epochs: int = 20) -> list[TrialRecord]:
    """All confirm trials of a spec with one cell, in pair order."""
    return [
        make_record(arm.name, seed, cell_of(spec), num_epochs=num_epochs) for seed in spec.seeds for arm in spec.arms
    ]


def report_on(
    spec: ExperimentSpec,
    trials: Sequence[TrialRecord],
    *,
    cells: Sequence[Cell] = (CELL,),
    status: ExperimentStatus = ExperimentStatus.SUCCEEDED,
    chosen_params: dict[str, dict[str, object]] | None = None,
) -> Report:
    comparisons = compare_arms(
        cells=cells,
        control=spec.control.name,
        treatments=[arm.name for arm in spec.treatments],
        seeds=spec.seeds,
        outcomes=[
            TrialOutcome(
                cell=trial.cell,
                arm=trial.arm,
                seed=trial.seed,
                status=trial.status,
                error=trial.error,
                metrics=trial.result.metrics if trial.result else {},
            )
            for trial in trials
            if trial.phase is Phase.CONFIRM
        ],
        metric=spec.primary_metric,
        confidence=spec.confidence,
        equivalence_margin=spec.equivalence_margin,
        measure=metric_named(spec.primary_metric, spec.task),
    )
    return build_report(
        experiment=ExperimentFacts(
            id="4f2a91c0d3e7",
            name=spec.name,
            status=status,
            created_at=START,
            ended_at=START + timedelta(minutes=4) if status.is_final else None,
        ),
        spec=spec,
        digest=DIGEST,
        cells=cells,
        trials=trials,
        chosen_params=chosen_params or {},
        comparisons=comparisons,
        pooled=pool_effects(comparisons),
    )


# ---- the same experiment, played into a store ----


def begin(database: Database, spec: ExperimentSpec) -> tuple[str, int]:
    """A running experiment without trials: its id and its driver's attempt."""
    with database.write() as session:
        experiment_id = insert_experiment(session, spec, DIGEST).id
        attempt = begin_attempt(session, experiment_id, None)
        move(session, experiment_id, ExperimentStatus.STARTING)
        move(session, experiment_id, ExperimentStatus.RUNNING, attempt=attempt)
    return experiment_id, attempt


def plan(database: Database, experiment_id: str, record: TrialRecord) -> int:
    planned = PlannedTrial(
        identity=record.identity,
        cell=record.cell,
        arm=record.arm,
        seed=record.seed,
        phase=record.phase,
        params=record.params,
        config=record.config,
    )
    with database.write() as session:
        return plan_trials(session, experiment_id, [planned])[TrialRowKey.of(planned)]


def train(database: Database, trial_id: int, record: TrialRecord, attempt: int, *, epochs: slice = slice(None)) -> None:
    """Report epochs; the trial is left running."""
    assert record.result is not None
    with database.write() as session:
        start_trial(session, trial_id, attempt)
        for report in record.result.epochs[epochs]:
            recorded_at = START + timedelta(minutes=trial_id, seconds=0.33 * (report.epoch + 1))
            record_epoch(session, trial_id, report, recorded_at, attempt)


def end(database: Database, trial_id: int, record: TrialRecord, attempt: int) -> None:
    """The trial's end as its record says."""
    with database.write() as session:
        if record.status is TrialStatus.FAILED:
            fail_trial(session, trial_id, record.error, attempt)
        else:
            assert record.result is not None
            succeed_trial(session, trial_id, record.result, attempt)


def play(database: Database, spec: ExperimentSpec, records: Sequence[TrialRecord] | None = None) -> str:
    """A whole experiment, finished; gives its id."""
    experiment_id, attempt = begin(database, spec)
    for record in make_records(spec, num_epochs=5) if records is None else records:
        trial_id = plan(database, experiment_id, record)
        train(database, trial_id, record, attempt)
        end(database, trial_id, record, attempt)
    finish(database, experiment_id, attempt)
    return experiment_id


def finish(database: Database, experiment_id: str, attempt: int) -> None:
    with database.write() as session:
        move(session, experiment_id, ExperimentStatus.SUCCEEDED, attempt=attempt)
