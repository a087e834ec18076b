"""How the runs of trials and experiments are called, in every tracker.

Plain tags (`arm`, `cell`, `seed`, `phase`, `pair`) are what people group, filter and colour by; `sigmalab.*` tags are
for machines. A metric's text before the slash is its section.
"""

from collections.abc import Mapping

from pydantic import JsonValue

from orchestrator.status import Phase
from orchestrator.store.tables import ExperimentRow, TrialRow
from trainers.config import TrialConfig

EXPERIMENT_ID = "sigmalab.experiment_id"
KEY = "sigmalab.trial"
SUMMARY = "summary"


def trial_key(trial: TrialRow) -> str:
    """Names a trial for good: what a run is searched by before another one is made."""
    return f"{trial.experiment_id}/{trial.id}"


def summary_key(experiment_id: str) -> str:
    """Names an experiment's summary for good."""
    return f"{experiment_id}/{SUMMARY}"


def run_name(trial: TrialRow, labels: Mapping[str, str]) -> str:
    """`<arm>/seed<k>/<cell>`: a table of runs shows few characters, and the arm is what people look for.

    Search trials carry their params too, for they share cell, arm and seed. `labels`: see `orchestrator.arm_labels`.
    """
    name = f"{labels.get(trial.arm, trial.arm)}/seed{trial.seed}/{trial.cell}"
    if trial.phase == Phase.CONFIRM:
        return name
    point = ",".join(f"{path.rpartition('.')[2]}={_short(value)}" for path, value in sorted(trial.params.items()))
    return f"search/{name}/{point}"


def pair_name(trial: TrialRow) -> str:
    """What control and treatment share."""
    return f"{trial.cell}/seed{trial.seed}"


def trial_tags(trial: TrialRow, experiment: ExperimentRow) -> dict[str, str]:
    """Tags of a trial's run, known before it starts."""
    tags = {
        "arm": trial.arm,
        "cell": trial.cell,
        "seed": str(trial.seed),
        "phase": trial.phase,
        "role": "control" if trial.arm == experiment.control else "treatment",
        EXPERIMENT_ID: experiment.id,
        KEY: trial_key(trial),
        "sigmalab.digest": experiment.digest,
        "sigmalab.identity": trial.identity,
    }
    if trial.phase == Phase.CONFIRM:
        tags["pair"] = pair_name(trial)
    return tags


def summary_tags(experiment: ExperimentRow) -> dict[str, str]:
    """Tags of a summary's run, known before it starts."""
    return {
        "phase": SUMMARY,
        EXPERIMENT_ID: experiment.id,
        KEY: summary_key(experiment.id),
        "sigmalab.digest": experiment.digest,
    }


def closing_tags(trial: TrialRow) -> dict[str, str]:
    """Tags that are known when a trial has ended."""
    tags = {"sigmalab.status": trial.status, "sigmalab.attempts": str(trial.attempt)}
    # A retry that succeeds writes over the error of the attempt before.
    if trial.error or trial.attempt > 1:
        tags["sigmalab.error"] = trial.error
    if trial.reused_from is not None:
        tags["sigmalab.reused_from"] = trial.reused_from
    return tags


def params_of(config: TrialConfig) -> dict[str, bool | float | str]:
    """The config, flat: `attention_bias.sigma` -> 2.0; what is `None` or empty is left out."""
    flat: dict[str, bool | float | str] = {}
    _flatten(config.model_dump(mode="json", exclude={"score_test", *config.unread_fields}), "", flat)
    return flat


def _flatten(value: JsonValue, path: str, flat: dict[str, bool | float | str]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _flatten(inner, f"{path}.{name}" if path else name, flat)
    elif isinstance(value, bool | int | float | str):
        flat[path] = value
    elif value:
        flat[path] = str(value)


def delta_key(metric: str) -> str:
    """`test/top1` -> `delta/test_top1`: the pair's difference, on the treatment's run."""
    return f"delta/{metric.replace('/', '_')}"


def _short(value: JsonValue) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
