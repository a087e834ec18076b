"""What endpoints ask for."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from api.body import JsonBody
from api.errors import RequestError
from api.state import AppState
from orchestrator.errors import SpecError
from orchestrator.experiments import Experiments
from orchestrator.json_text import decode_json
from orchestrator.spec import ExperimentSpec, parse_spec
from orchestrator.views import ExperimentView


def get_state(request: Request) -> AppState:
    """What the application holds while it runs."""
    state: AppState = request.app.state.sigmalab
    return state


StateDep = Annotated[AppState, Depends(get_state)]


def get_experiments(state: StateDep) -> Experiments:
    """The use cases."""
    return state.experiments


ExperimentsDep = Annotated[Experiments, Depends(get_experiments)]


def get_spec(body: JsonBody) -> ExperimentSpec:
    """The body as a spec.

    Raises:
        RequestError: 400, it is no JSON.
        SpecError: it is no spec.
    """
    try:
        document = decode_json(body)
    except SpecError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, "json_invalid", error.problems[0].message) from None
    if not isinstance(document, dict):
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "spec_invalid", "a spec is a JSON object, nothing else")
    return parse_spec(document)


SpecDep = Annotated[ExperimentSpec, Depends(get_spec)]


def get_known_experiment(experiment_id: str, experiments: ExperimentsDep) -> ExperimentView:
    """The experiment of the path.

    Raises:
        ExperimentNotFoundError: there is none.
    """
    return experiments.get(experiment_id)


KnownExperiment = Annotated[ExperimentView, Depends(get_known_experiment)]
