"""How runs, tags, params and metrics are called in MLflow.

Plain tags (`arm`, `cell`, `seed`, `phase`, `pair`) are what people group, filter and colour by; `sigmalab.*` tags are
for machines. A metric's text before the slash is its section on MLflow's charts page.
"""

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from orchestrator.arm_labels import arm_labels
from orchestrator.report.arm_style import arm_style
from orchestrator.spec import Arm
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.tables import ExperimentRow, TrialRow
from trainers.config import TrialConfig

NOTE = "mlflow.note.content"
EXPERIMENT_ID = "sigmalab.experiment_id"
SPEC_NAME = "sigmalab.name"
TRIAL = "sigmalab.trial"
SUMMARY = "summary"

RUN_STATUS = {
    TrialStatus.SUCCEEDED: "FINISHED",
    TrialStatus.FAILED: "FAILED",
    TrialStatus.PRUNED: "KILLED",
    TrialStatus.CANCELLED: "KILLED",
}
SUMMARY_STATUS = {
    ExperimentStatus.SUCCEEDED: "FINISHED",
    ExperimentStatus.FAILED: "FAILED",
    ExperimentStatus.CANCELLED: "KILLED",
}

_MAX_TAG, _MAX_PARAM = 5000, 6000
_NOT_IN_KEY = re.compile(r"[^\w\-. :/]")


def trial_key(trial: TrialRow) -> str:
    """Names a trial for good: what a run is searched by before another one is made."""
    return f"{trial.experiment_id}/{trial.id}"


def run_name(trial: TrialRow, labels: Mapping[str, str]) -> str:
    """`<arm>/seed<k>/<cell>`: MLflow's table shows about 20 characters, and the arm is what people look for.

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


def trial_tags(trial: TrialRow, experiment: ExperimentRow, arms: Sequence[Arm]) -> dict[str, str]:
    """Tags of a trial's run, known before it starts.

    Args:
        trial: the trial.
        experiment: its experiment.
        arms: all arms, in the order of the spec: gives each arm one colour in MLflow's charts.
    """
    tags = {
        "mlflow.runName": run_name(trial, arm_labels(arms)),
        "mlflow.source.name": "sigmalab",
        "mlflow.user": "sigmalab",
        "mlflow.runColor": arm_style(trial.arm, [arm.name for arm in arms], experiment.control).color,
        "arm": trial.arm,
        "cell": trial.cell,
        "seed": str(trial.seed),
        "phase": trial.phase,
        "role": "control" if trial.arm == experiment.control else "treatment",
        EXPERIMENT_ID: experiment.id,
        TRIAL: trial_key(trial),
        "sigmalab.digest": experiment.digest,
        "sigmalab.identity": trial.identity,
    }
    if trial.phase == Phase.CONFIRM:
        tags["pair"] = pair_name(trial)
    return tags


def closing_tags(trial: TrialRow) -> dict[str, str]:
    """Tags that are known when a trial has ended."""
    tags = {"sigmalab.status": trial.status, "sigmalab.attempts": str(trial.attempt)}
    # A retry that succeeds writes over the error of the attempt before.
    if trial.error or trial.attempt > 1:
        tags["sigmalab.error"] = trial.error[:_MAX_TAG]
    if trial.reused_from is not None:
        tags["sigmalab.reused_from"] = trial.reused_from
    return tags


def params_of(config: TrialConfig) -> dict[str, str]:
    """The config, flat: `attention_bias.sigma` -> `2.0`; what is `None` or empty is left out."""
    flat: dict[str, str] = {}
    _flatten(config.model_dump(mode="json", exclude={"score_test"}), "", flat)
    return flat


def _flatten(value: JsonValue, path: str, flat: dict[str, str]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _flatten(inner, f"{path}.{name}" if path else name, flat)
    elif value is not None and value != []:
        flat[path] = str(value)[:_MAX_PARAM]


def metric_key(*parts: str) -> str:
    """Parts with a slash between; characters that MLflow refuses become `_`."""
    return _NOT_IN_KEY.sub("_", "/".join(parts))


def tracked_key(key: str) -> str:
    """A trial's metric, as MLflow calls it: only `amplitude/00` becomes `gaussian_amplitude/00`.

    MLflow sorts its chart sections by name; accuracies and differences should come before amplitudes.
    """
    return metric_key(key.replace("amplitude/", "gaussian_amplitude/", 1) if key.startswith("amplitude/") else key)


def delta_key(metric: str) -> str:
    """`test/top1` -> `delta/test_top1`: the pair's difference, on the treatment's run."""
    return metric_key("delta", metric.replace("/", "_"))


def _short(value: JsonValue) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
