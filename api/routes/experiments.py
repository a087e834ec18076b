"""Experiments: hand in, preview, look, cancel, resume, extend."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, status

from api.abandonment import WhileWaitedForDep
from api.body import JsonBody
from api.dependencies import ExperimentsDep, ExtensionDep, SpecDep
from api.endpoint import REPLAYED_HEADER
from api.openapi import EXTENSION_BODY, PROBLEMS, SPEC_BODY, problems
from api.planning import plan_view
from api.views import PlanView
from orchestrator.service.views import ExperimentPage, ExperimentView, Origin, TrialView
from orchestrator.statistics.comparison import Comparison
from orchestrator.status import ExperimentStatus, Phase

router = APIRouter(prefix="/experiments", tags=["experiments"], responses=PROBLEMS)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Any text of your choice; the same key with the same body returns the first call's experiment, "
        "with the header `Idempotent-Replayed: true`.",
    ),
]


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=SPEC_BODY,
    responses={
        **problems(400, 409, 413, 415, 422, 503),
        200: {"model": ExperimentView, "description": "The experiment that was there before (only if you asked)."},
    },
    response_description="Stored; it runs from now on. `Location` is its address.",
)
async def submit_experiment(
    waited_for: WhileWaitedForDep,
    spec: SpecDep,
    body: JsonBody,
    response: Response,
    experiments: ExperimentsDep,
    idempotency_key: IdempotencyKey = None,
    unless_running: Annotated[
        bool,
        Query(
            description="If an experiment of the same digest is queued, starting or running: store no second one, but "
            "answer 200 with that one."
        ),
    ] = False,
) -> ExperimentView:
    """Hand in an experiment. It is stored before this answers, and runs whatever happens to the caller."""
    submission = await waited_for(
        lambda is_cancelled: experiments.hand_in(
            spec,
            idempotency_key=idempotency_key,
            body=body,
            unless_running=unless_running,
            is_cancelled=is_cancelled,
        )
    )
    if unless_running and submission.origin is not Origin.NEW:
        response.status_code = status.HTTP_200_OK
    if submission.origin is Origin.REPLAY:
        response.headers[REPLAYED_HEADER] = "true"
    response.headers["Location"] = f"/experiments/{submission.view.id}"
    return submission.view


@router.post("/plan", openapi_extra=SPEC_BODY, responses=problems(400, 413, 415, 422, 503))
async def plan_experiment(waited_for: WhileWaitedForDep, spec: SpecDep, experiments: ExperimentsDep) -> PlanView:
    """What the experiment would do and what it could show. Nothing is stored or started."""
    return await waited_for(lambda is_cancelled: plan_view(experiments.plan(spec, is_cancelled)))


@router.get("", responses=problems(422))
def list_experiments(
    experiments: ExperimentsDep,
    limit: Annotated[int, Query(ge=1, le=200, description="At most this many entries in a page.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=64, pattern=r"^[0-9a-z]*$", description="`next_cursor` of the previous page.")
    ] = None,
    status: Annotated[ExperimentStatus | None, Query(description="Only experiments with this status.")] = None,
    search: Annotated[
        str, Query(max_length=200, description="Text in the name or the question, or how the id begins.")
    ] = "",
) -> ExperimentPage:
    """Experiments, newest first."""
    return experiments.list(limit=limit, cursor=cursor, status=status, search=search)


@router.get("/{experiment_id}", responses=problems(404))
def get_experiment(experiment_id: str, experiments: ExperimentsDep) -> ExperimentView:
    """Where an experiment stands: status with its reason, conditions, progress in trials and pairs, MLflow link."""
    return experiments.get(experiment_id)


@router.get("/{experiment_id}/trials", responses=problems(404, 422))
def list_trials(
    experiment_id: str,
    experiments: ExperimentsDep,
    phase: Annotated[Phase | None, Query(description="Only trials of this phase.")] = None,
) -> tuple[TrialView, ...]:
    """Every trial, with its status, its error, and its final metrics."""
    return tuple(experiments.trials(experiment_id, phase=phase))


@router.get("/{experiment_id}/comparisons", responses=problems(404))
def list_comparisons(experiment_id: str, experiments: ExperimentsDep) -> tuple[Comparison, ...]:
    """Effect, interval, p and verdict for every cell and treatment; a preview while the experiment runs."""
    return experiments.comparisons(experiment_id)


@router.post("/{experiment_id}/cancel", status_code=status.HTTP_202_ACCEPTED, responses=problems(404, 409))
def cancel_experiment(experiment_id: str, experiments: ExperimentsDep) -> ExperimentView:
    """Ask an experiment to stop. Trials that are finished stay, and stay reusable."""
    return experiments.cancel(experiment_id)


@router.post("/{experiment_id}/resume", status_code=status.HTTP_202_ACCEPTED, responses=problems(404, 409, 422, 503))
async def resume_experiment(
    waited_for: WhileWaitedForDep,
    experiment_id: str,
    experiments: ExperimentsDep,
    retry: Annotated[bool, Query(description="Also try failed trials again.")] = False,
) -> ExperimentView:
    """Go on with an experiment that failed or was cancelled. Trials that are finished stay as they are."""
    return await waited_for(
        lambda is_cancelled: experiments.resume(experiment_id, retry=retry, is_cancelled=is_cancelled)
    )


@router.post(
    "/{experiment_id}/extend",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=EXTENSION_BODY,
    responses=problems(400, 404, 409, 413, 415, 422, 503),
)
async def extend_experiment(
    waited_for: WhileWaitedForDep, experiment_id: str, extension: ExtensionDep, experiments: ExperimentsDep
) -> ExperimentView:
    """Add seeds to a finished experiment and run them; the pairs that exist stay as they are."""
    return await waited_for(lambda is_cancelled: experiments.extend(experiment_id, extension.seeds, is_cancelled))
