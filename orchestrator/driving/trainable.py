"""What Ray Tune runs for one trial: a plain function in a process that the next trial uses again.

torch is imported once per process (seconds), not once per trial. A trial that can't be trained as its config says
ends its function normally and says so: Tune retries whatever raises, and this would fail again. What may be a fault of
the node raises, where there is another node to try.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from ray import get_runtime_context, tune

from orchestrator.driving.node_faults import NodeFaultError, fitting_nodes, may_be_the_nodes
from orchestrator.search.acceptance import ACCEPTED
from orchestrator.spec import Resources
from trainers.__main__ import progress_line
from trainers.config import TrialConfig
from trainers.errors import TrainerError
from trainers.loop import train
from trainers.ray_worker import train_with_ray
from trainers.result import EpochReport
from trainers.runtime import Runtime
from trainers.trial_log import kept_output

REPORT = "report"
"""Key of an epoch's `EpochReport`, as JSON."""
RESULT = "result"
"""Key of the `TrialResult`, as JSON: the trial has succeeded."""
ERROR = "error"
"""Key of the reason why the trial can't be trained."""

_PATIENCE_SECONDS = 86_400
"""How long a process' next trial waits until one that was stopped early has closed its loaders and freed its model.

Tune's own 2 s are too short for many loader processes; after them it drops the next trial, tells nobody, and the
experiment never ends.
"""


def job_of(config_json: str, runtime: Runtime, resources: Resources, *, run_name: str, folder: Path) -> dict[str, Any]:
    """What `run_trial` needs, as Tune passes it on.

    Args:
        config_json: canonical JSON of the TrialConfig.
        runtime: where it runs.
        resources: its workers.
        run_name: stable name of the trial.
        folder: for Ray Train's own files.
    """
    return {
        "config": config_json,
        "runtime": runtime.model_dump_json(),
        "resources": resources.model_dump_json(),
        "run_name": run_name,
        "folder": str(folder),
    }


def run_trial(config: dict[str, Any]) -> dict[str, str]:
    """Train one trial; `config` is what `job_of` made (Tune insists on the name).

    Returns:
        `{RESULT: ...}` or `{ERROR: ...}`; Tune makes it the trial's last report.
    """
    # Here, because Tune hands only few variables of the driver's environment on to its processes.
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", str(_PATIENCE_SECONDS))
    trial = TrialConfig.model_validate_json(config["config"])
    runtime = Runtime.model_validate_json(config["runtime"])
    resources = Resources.model_validate_json(config["resources"], context=ACCEPTED)
    started = time.monotonic()
    try:
        with kept_output(runtime.storage):
            return _train(trial, runtime, resources, config)
    except Exception as error:
        if resources.num_workers > 1 or not may_be_the_nodes(error):
            # Ray Train places its workers itself, and says of none where it was.
            return _told(error)
        here, nodes = get_runtime_context().get_node_id(), fitting_nodes(resources)
        if not nodes.keys() - {here}:
            return _told(error)
        raise NodeFaultError(_words(error), here, nodes.get(here, here), time.monotonic() - started) from error


def _told(error: Exception) -> dict[str, str]:
    """The end of a trial that can't be trained; whatever else went wrong raises."""
    if not isinstance(error, TrainerError):
        raise error
    return {ERROR: _words(error)}


def _words(error: Exception) -> str:
    return f"{error} [{error.code}]" if isinstance(error, TrainerError) else f"{type(error).__name__}: {error}"


def _train(trial: TrialConfig, runtime: Runtime, resources: Resources, config: dict[str, Any]) -> dict[str, str]:
    def report(epoch: EpochReport) -> None:
        sys.stdout.write(progress_line(epoch, trial) + "\n")
        tune.report({REPORT: epoch.model_dump_json()})

    try:
        if resources.num_workers == 1:
            result = train(trial, runtime, on_epoch=report)
        else:
            result = train_with_ray(
                trial,
                runtime,
                num_workers=resources.num_workers,
                cpus_per_worker=resources.cpus_per_worker,
                gpus_per_worker=resources.gpus_per_worker,
                accelerator_type=resources.accelerator_type,
                run_name=config["run_name"],
                storage_path=Path(config["folder"]),
                report=report,
            )
    except TrainerError as error:
        # Into the trial's own log.
        sys.stderr.write(f"error ({error.code}): {error}\n")
        raise
    return {RESULT: result.model_dump_json()}
