"""Which requests get a page: those that prefer HTML; every other goes on to the route that answers with JSON."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from api.errors import RequestError, problem_of
from api.pages.accept import prefers_html
from api.pages.refreshing import Refreshing, is_refresh
from api.pages.rendering import page
from orchestrator.errors import OrchestratorError


class PageRoute(APIRoute):
    """A route of pages: it matches no other request, and tells its problems as a page."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As any route, for those that prefer HTML."""
        if scope["type"] == "http" and not prefers_html(Headers(scope=scope)):
            return Match.NONE, {}
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint, with its problems shown."""
        handle = super().get_route_handler()

        async def show_problems(request: Request) -> Response:
            try:
                if request.method == "GET" and is_refresh(request.headers):
                    refreshing: Refreshing = request.app.state.sigmalab.refreshing
                    return await refreshing.page(request, lambda: handle(request))
                return await handle(request)
            except (RequestError, OrchestratorError, RequestValidationError) as error:
                return problem_page(request, error)

        return show_problems


def problem_page(request: Request, error: Exception) -> Response:
    """What the HTTP interface would have told, for people."""
    problem = problem_of(request, error)
    return page(request, "problem", problem.status, problem=problem)


def pages_router() -> APIRouter:
    """A router whose routes are pages; they are no part of the documented interface."""
    return APIRouter(route_class=PageRoute, include_in_schema=False)
