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
from ray.exceptions import RayActorError

from orchestrator.driving.beginning import Arms, unequal_arms
from orchestrator.driving.node_faults import NodeFaultError, fitting_nodes, may_be_the_nodes
from orchestrator.driving.silence import SilenceLimit
from orchestrator.driving.storage_faults import Patience, saved_state, storage_trouble
from orchestrator.search.acceptance import ACCEPTED
from orchestrator.spec.experiment import Resources
from trainers.config import TrialConfig
from trainers.errors import InterruptedTrainingError, TrainerError
from trainers.fence import Fence, fenced
from trainers.own_code.place import OwnCode, own_code, running
from trainers.result import EpochReport
from trainers.runtime import Runtime
from trainers.trial_log import kept_output

REPORT = "report"
"""Key of an epoch's `EpochReport`, as JSON."""
RESULT = "result"
"""Key of the `TrialResult`, as JSON: the trial has succeeded."""
ALIKE = "alike"
"""Key of what was found of the arms' starts, in words: before the first epoch, of some trials."""
UNEQUAL = "unequal"
"""Key of the reason why the arms of the trial's cell make no pairs."""
STORAGE = "storage"
"""Key of what the trial waits for, in words (empty: it goes on)."""
ERROR = "error"
"""Key of the reason why the trial can't be trained."""

_PATIENCE_SECONDS = 86_400
"""How long a process' next trial waits until one that was stopped early has closed its loaders and freed its model.

Tune's own 2 s are too short for many loader processes; after them it drops the next trial, tells nobody, and the
experiment never ends.
"""


def job_of(
    config_json: str, runtime: Runtime, resources: Resources, *, run_name: str, folder: Path, arms: str = ""
) -> dict[str, Any]:
    """What `run_trial` needs, as Tune passes it on.

    Args:
        config_json: canonical JSON of the TrialConfig.
        runtime: where it runs.
        resources: its workers.
        run_name: stable name of the trial.
        folder: for Ray Train's own files.
        arms: all arms of its cell and seed, if they are to be compared first: JSON of `Arms`.
    """
    return {
        "config": config_json,
        "runtime": runtime.model_dump_json(),
        "resources": resources.model_dump_json(),
        "run_name": run_name,
        "folder": str(folder),
        "arms": arms,
    }


def run_trial(config: dict[str, Any]) -> dict[str, str]:
    """Train one trial; `config` is what `job_of` made (Tune insists on the name).

    Returns:
        `{RESULT: ...}`, `{ERROR: ...}` or `{UNEQUAL: ...}`; Tune makes it the trial's last report.
    """
    # torch and timm take seconds, on a busy machine a minute: a driver only names this function and does without them,
    # and they are not counted as the trial's silence.
    from trainers import ray_worker  # noqa: F401, PLC0415

    # Here, because Tune hands only few variables of the driver's environment on to its processes.
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", str(_PATIENCE_SECONDS))
    trial = TrialConfig.model_validate_json(config["config"])
    runtime = Runtime.model_validate_json(config["runtime"])
    resources = Resources.model_validate_json(config["resources"], context=ACCEPTED)
    runtime.close_files()
    with SilenceLimit(runtime.silence_seconds) as limit:
        return _run_patiently(trial, runtime, resources, config, limit)


def _run_patiently(
    trial: TrialConfig, runtime: Runtime, resources: Resources, config: dict[str, Any], limit: SilenceLimit
) -> dict[str, str]:
    """Train it, and again from its checkpoint whenever the storage could not be written."""
    started, patience = time.monotonic(), Patience()

    def wait(words: str) -> None:
        limit.touch()
        tune.report({STORAGE: words})

    while True:
        try:
            runtime.require_storage()
            # A command's code is for its own process: here it may even bear the name of a library.
            code = own_code(OwnCode(runtime.code)) if trial.task.runs_itself else running(runtime.code)
            with kept_output(runtime.storage), fenced(Fence(runtime.data_roots)), code:
                unequal = _unequal_arms(config["arms"], runtime)
                return {UNEQUAL: unequal} if unequal else _train(trial, runtime, resources, config, limit)
        except Exception as error:  # noqa: BLE001 (whatever it is, `_ended_by` raises it again)
            root, folder = runtime.storage_root, runtime.storage
            if root is None or folder is None:
                return _ended_by(error, resources, time.monotonic() - started)
            saved = saved_state(folder)
            trouble = storage_trouble(error, root, saved.num_bytes)
            if trouble is None or not patience.begins_round(saved):
                return _ended_by(error, resources, time.monotonic() - started)
        # Not in the handler, which would keep the model and its memory.
        patience.wait(root, trouble, wait, saved.num_bytes)
        tune.report({STORAGE: ""})


def _ended_by(error: Exception, resources: Resources, seconds: float) -> dict[str, str]:
    """What an error makes of a trial: its end, or another execution on another node (raises then)."""
    if isinstance(error, InterruptedTrainingError):
        # Ray's own word for it: Tune tries again, on a node that stays, and counts no failure.
        raise RayActorError(
            error_msg=f"a node of this trial is about to be taken away; {error}", preempted=True
        ) from error
    if resources.num_workers > 1 or not may_be_the_nodes(error):
        # Ray Train places its workers itself, and says of none where it was.
        return _told(error)
    here, nodes = get_runtime_context().get_node_id(), fitting_nodes(resources)
    if not nodes.keys() - {here}:
        return _told(error)
    raise NodeFaultError(_words(error), here, nodes.get(here, here), seconds) from error


def _unequal_arms(arms_json: str, runtime: Runtime) -> str:
    """Why the arms of a trial's cell make no pairs (empty: nothing says so)."""
    if not arms_json:
        return ""
    arms = Arms.model_validate_json(arms_json)
    try:
        look = unequal_arms(arms, runtime.data_root)
    except TrainerError as error:
        # The arm's own trials say so, too: this one may be another arm's.
        tune.report({ALIKE: f"{arms.cell}: could not check whether the arms start alike: {error}"})
        return ""
    if not look.complaints:
        tune.report({ALIKE: look.alike})
    return "; ".join(look.complaints)


def _told(error: Exception) -> dict[str, str]:
    """The end of a trial that can't be trained; whatever else went wrong raises."""
    if not isinstance(error, TrainerError):
        raise error
    return {ERROR: _words(error)}


def _words(error: Exception) -> str:
    return f"{error} [{error.code}]" if isinstance(error, TrainerError) else f"{type(error).__name__}: {error}"


def _train(
    trial: TrialConfig, runtime: Runtime, resources: Resources, config: dict[str, Any], limit: SilenceLimit
) -> dict[str, str]:
    from trainers.__main__ import progress_line  # noqa: PLC0415
    from trainers.command import trial as command  # noqa: PLC0415
    from trainers.ray_worker import stop_when_drained, train_with_ray  # noqa: PLC0415
    from trainers.training.trial import train  # noqa: PLC0415

    def report(epoch: EpochReport) -> None:
        limit.touch()
        if not trial.task.runs_itself:
            # A script's own words are in the log already.
            sys.stdout.write(progress_line(epoch, trial) + "\n")
        tune.report({REPORT: epoch.model_dump_json()})

    try:
        if resources.num_workers == 1:
            with stop_when_drained([get_runtime_context().get_node_id()]) as stop:
                if trial.task.runs_itself:
                    result = command.run(trial, runtime, on_epoch=report, stop=stop, on_life=limit.touch)
                else:
                    result = train(trial, runtime, on_epoch=report, stop=stop)
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
