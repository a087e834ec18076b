"""What endpoints ask for."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from pydantic import JsonValue, ValidationError

from api.body import JsonBody
from api.errors import RequestError
from api.report_desk import ReportDesk
from api.state import AppState
from api.views import ExtendRequest, ProblemItem
from orchestrator.service.experiments import Experiments
from orchestrator.spec.complaints import problems_of
from orchestrator.spec.experiment import ExperimentSpec, parse_spec
from trainers.errors import DocumentError
from trainers.strict_json import decode_json


def get_state(request: Request) -> AppState:
    """What the application holds while it runs."""
    state: AppState = request.app.state.sigmalab
    return state


StateDep = Annotated[AppState, Depends(get_state)]


def get_experiments(state: StateDep) -> Experiments:
    """The use cases."""
    return state.experiments


ExperimentsDep = Annotated[Experiments, Depends(get_experiments)]


def get_reports(state: StateDep) -> ReportDesk:
    """Where reports are built."""
    return state.reports


def get_pictures(state: StateDep) -> ReportDesk:
    """Where single images are found and drawn."""
    return state.pictures


PicturesDep = Annotated[ReportDesk, Depends(get_pictures)]
ReportsDep = Annotated[ReportDesk, Depends(get_reports)]


def get_document(body: JsonBody) -> dict[str, JsonValue]:
    """The body as a JSON object.

    Raises:
        RequestError: 400, it is not JSON; 422, it is not an object.
    """
    try:
        document = decode_json(body)
    except DocumentError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, "json_invalid", str(error)) from None
    if not isinstance(document, dict):
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "body_invalid", "the body must be a JSON object")
    return document


DocumentDep = Annotated[dict[str, JsonValue], Depends(get_document)]


def get_spec(document: DocumentDep) -> ExperimentSpec:
    """The body as a spec.

    Raises:
        SpecError: it is not a spec.
    """
    return parse_spec(document)


def get_extension(document: DocumentDep) -> ExtendRequest:
    """The body as an extension.

    Raises:
        RequestError: 422, it is none.
    """
    try:
        return ExtendRequest.model_validate(document)
    except ValidationError as error:
        items = [ProblemItem(pointer=place, detail=message) for place, message in problems_of(error, ExtendRequest)]
        detail = "this body is not a valid extension of an experiment; `errors` says why"
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "body_invalid", detail, items) from None


ExtensionDep = Annotated[ExtendRequest, Depends(get_extension)]


SpecDep = Annotated[ExperimentSpec, Depends(get_spec)]
