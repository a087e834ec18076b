"""The service itself: what there is, how a spec looks, whether all is well."""

from importlib.metadata import version

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import JsonValue

from api.dependencies import ExperimentsDep, StateDep
from api.endpoint import ALIVE, HOME_ID_HEADER
from api.metrics import RowFigures
from api.openapi import PROBLEMS
from api.views import Check, ReadinessView, WelcomeView
from orchestrator.errors import StoreError
from orchestrator.spec.experiment import ExperimentSpec

router = APIRouter(tags=["service"], responses=PROBLEMS)

_NEEDED = frozenset({"state", "database", "reconciler", "ray"})
"""Without MLflow experiments run all the same; their curves wait in the store."""


@router.get("/")
def welcome(request: Request, state: StateDep) -> WelcomeView:
    """What there is."""
    here = str(request.base_url).rstrip("/")
    links = {
        "docs": f"{here}/docs",
        "openapi": f"{here}/openapi.json",
        "experiments": f"{here}/experiments",
        "schema": f"{here}/schema",
        "readiness": f"{here}/readyz",
        "metrics": f"{here}/metrics",
        "ray": state.settings.ray_link,
    }
    if state.settings.mlflow_link:
        links["mlflow"] = state.settings.mlflow_link
    return WelcomeView(name="sigmalab", version=version("sigmalab"), links=links)


@router.get("/schema")
def spec_schema() -> dict[str, JsonValue]:
    """JSON Schema of an experiment's spec, with every field's meaning, default and bounds."""
    return ExperimentSpec.model_json_schema()


@router.get("/healthz", response_class=PlainTextResponse)
async def is_alive(state: StateDep) -> PlainTextResponse:
    """Whether this process answers; asks nobody else. The header `Sigmalab-Home` tells its state folder from others."""
    return PlainTextResponse(ALIVE, headers={HOME_ID_HEADER: state.home_id})


@router.get("/readyz", responses={503: {"model": ReadinessView, "description": "Experiments can't run now."}})
def is_ready(response: Response, experiments: ExperimentsDep) -> ReadinessView:
    """Whether experiments can run to their end now: state, database, a leader, Ray, MLflow, each with its reason."""
    checks = {
        name: Check(ok=condition.ok, reason=condition.reason) for name, condition in experiments.readiness().items()
    }
    is_well = all(check.ok for name, check in checks.items() if name in _NEEDED)
    if not is_well:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return ReadinessView(status="ready" if is_well else "not_ready", checks=checks)


@router.get("/metrics", response_class=PlainTextResponse)
def prometheus_metrics(state: StateDep, experiments: ExperimentsDep) -> Response:
    """In Prometheus' text format: requests of this process, and what all of the service has done, from the rows."""
    of_process = generate_latest(state.metrics.registry)
    try:
        of_rows = generate_latest(RowFigures(experiments.figures()))
    except StoreError:
        # What this process knows is of use just then.
        of_rows = b""
    return Response(of_process + of_rows, media_type=CONTENT_TYPE_LATEST)
