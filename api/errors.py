"""Every error as RFC 9457 problem+json: the one place where codes meet HTTP statuses.

RequestError             a request that is refused before it reaches the orchestrator; carries its status and code
"""

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from api.views import ProblemItem, ProblemView
from orchestrator.errors import (
    ExperimentNotFoundError,
    IdempotencyConflictError,
    IdempotencyInFlightError,
    MapNotFoundError,
    OrchestratorError,
    RayUnavailableError,
    SpecError,
    StatusConflictError,
    StoreError,
    TrialNotFoundError,
    WeightsNotFoundError,
)

PROBLEM_JSON = "application/problem+json"

_log = logging.getLogger(__name__)

_STATUSES: dict[type[OrchestratorError], HTTPStatus] = {
    SpecError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ExperimentNotFoundError: HTTPStatus.NOT_FOUND,
    TrialNotFoundError: HTTPStatus.NOT_FOUND,
    WeightsNotFoundError: HTTPStatus.NOT_FOUND,
    MapNotFoundError: HTTPStatus.NOT_FOUND,
    StatusConflictError: HTTPStatus.CONFLICT,
    IdempotencyConflictError: HTTPStatus.UNPROCESSABLE_ENTITY,
    IdempotencyInFlightError: HTTPStatus.CONFLICT,
    RayUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
}

_HTTP_CODES = {
    HTTPStatus.NOT_FOUND: "path_not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}


class RequestError(Exception):
    """A request that is refused at the door."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        errors: Sequence[ProblemItem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status, self.code, self.errors, self.headers = status, code, tuple(errors), headers
        super().__init__(detail)


def problem_of(request: Request, error: Exception) -> ProblemView:
    """What is told of an error that has a handler here."""
    answer = next(tell for kind, tell in _HANDLERS.items() if isinstance(error, kind))(request, error)
    return ProblemView.model_validate_json(bytes(answer.body))


def problem_response(
    *,
    status: int,
    code: str,
    detail: str,
    path: str,
    errors: Sequence[ProblemItem] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem as a response."""
    problem = ProblemView(
        type=f"/problems/{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        instance=path,
        errors=tuple(errors),
    )
    return Response(
        problem.model_dump_json(exclude_none=True), status_code=status, media_type=PROBLEM_JSON, headers=headers
    )


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of the application a problem."""
    for kind, tell in _HANDLERS.items():
        app.add_exception_handler(kind, tell)


def _on_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return problem_response(
        status=error.status,
        code=error.code,
        detail=str(error),
        path=request.url.path,
        errors=error.errors,
        headers=error.headers,
    )


def _on_orchestrator_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OrchestratorError)
    status = next(
        (status for kind, status in _STATUSES.items() if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    detail = str(error)
    items: tuple[ProblemItem, ...] = ()
    if isinstance(error, SpecError):
        items = tuple(ProblemItem(pointer=problem.pointer, detail=problem.message) for problem in error.problems)
        detail = _summary(items)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s %s: %s", request.method, request.url.path, error)
    return problem_response(status=status, code=error.code, detail=detail, path=request.url.path, errors=items)


def _on_validation_error(request: Request, error: Exception) -> Response:
    """A query parameter, path parameter, header or small body that FastAPI has refused."""
    assert isinstance(error, RequestValidationError)
    items = []
    for details in error.errors():
        where, *rest = details["loc"]
        if where == "body":
            pointer = "".join(f"/{part}" for part in rest)
            items.append(ProblemItem(pointer=pointer, detail=details["msg"]))
        else:
            items.append(ProblemItem(parameter=".".join(map(str, rest)), detail=details["msg"]))
    return problem_response(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code="request_invalid",
        detail=_summary(tuple(items)),
        path=request.url.path,
        errors=items,
    )


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = str(error.detail)
    if status is HTTPStatus.NOT_FOUND:
        detail = f"nothing is at {request.url.path}; GET / lists what there is"
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        detail = f"{request.url.path} does not take {request.method}" + (f", only {allowed}" if allowed else "")
    return problem_response(
        status=status,
        code=_HTTP_CODES.get(status, f"http_{status.value}"),
        detail=detail,
        path=request.url.path,
        headers=dict(error.headers or {}),
    )


def _on_unexpected_error(request: Request, error: Exception) -> Response:
    # Starlette raises it again after this answer, so that the server's log has the traceback.
    return problem_response(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        code="internal_error",
        detail=f"an error of the service itself ({type(error).__name__}); its log says more",
        path=request.url.path,
    )


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    RequestError: _on_request_error,
    OrchestratorError: _on_orchestrator_error,
    RequestValidationError: _on_validation_error,
    HTTPException: _on_http_error,
    Exception: _on_unexpected_error,
}


def _summary(items: tuple[ProblemItem, ...]) -> str:
    if len(items) == 1:
        where = items[0].pointer or items[0].parameter
        return f"{where}: {items[0].detail}" if where else items[0].detail
    return f"{len(items)} things are wrong; `errors` lists them"
