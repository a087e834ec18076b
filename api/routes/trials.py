"""One trial of an experiment: what it has put out, and its weights."""

import shutil
import tempfile
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.background import BackgroundTask

from api.dependencies import ExperimentsDep
from api.openapi import PROBLEMS, problems
from api.views import MetricCurve

router = APIRouter(prefix="/experiments/{experiment_id}/trials/{trial_id}", tags=["results"], responses=PROBLEMS)

_SAFETENSORS = "application/octet-stream"

TrialId = Annotated[int, Path(ge=0, lt=2**63, description="Its `id` in the list of trials.")]


@router.get("/logs", response_class=PlainTextResponse, responses=problems(404, 409, 422))
def get_trial_logs(experiment_id: str, trial_id: TrialId, experiments: ExperimentsDep) -> PlainTextResponse:
    """What the trial's own processes have written, execution after execution (only the newest 4 MiB are kept)."""
    return PlainTextResponse(experiments.trial_log(experiment_id, trial_id))


@router.get("/metrics", responses=problems(404, 422))
def get_trial_metrics(experiment_id: str, trial_id: TrialId, experiments: ExperimentsDep) -> dict[str, MetricCurve]:
    """Every metric of a trial by epoch, as far as it is; each as it was recorded (accuracies are fractions)."""
    curves = experiments.curves(experiment_id, trial_id)
    return {
        name: MetricCurve(epochs=tuple(epoch for epoch, _ in points), values=tuple(value for _, value in points))
        for name, points in curves.items()
    }


@router.get(
    "/weights",
    response_class=FileResponse,
    responses={
        **problems(404, 422),
        200: {
            "description": "A safetensors file; `sigmalab` in its header says, as JSON, what model it is.",
            "content": {_SAFETENSORS: {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
def get_trial_weights(experiment_id: str, trial_id: TrialId, experiments: ExperimentsDep) -> FileResponse:
    """The weights of a finished trial's best epoch, in timm's own names (an attention bias adds its sigma and A)."""
    folder = FilePath(tempfile.mkdtemp(prefix="weights-"))
    file = folder / f"{experiment_id}-{trial_id}.safetensors"
    try:
        experiments.write_trial_weights(experiment_id, trial_id, file)
    except BaseException:
        shutil.rmtree(folder)
        raise
    done = BackgroundTask(shutil.rmtree, folder)
    return FileResponse(file, media_type=_SAFETENSORS, filename=file.name, background=done)
