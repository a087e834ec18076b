"""Figures of the report as pictures for pages, so that their own styles are none of the page's."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.dependencies import ReportsDep
from api.errors import RequestError
from api.pages.brief import drawn_figure
from api.pages.rendering import packed

router = APIRouter(include_in_schema=False)

_HEADERS = {
    # Should somebody open the picture itself: it runs nothing and loads nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept-Encoding, Cookie",
}


@router.get("/experiments/{experiment_id}/figures/{name}.svg")
async def show_figure(request: Request, experiment_id: str, name: str, reports: ReportsDep) -> Response:
    """One figure."""
    svg = await reports.ask_of_pairs(drawn_figure, experiment_id, name)
    if svg is None:
        detail = f"the report of experiment {experiment_id} has no figure {name!r} that is drawn without maps"
        raise RequestError(HTTPStatus.NOT_FOUND, "figure_not_found", detail)
    body, packing = packed(request, svg)
    return Response(body, media_type="image/svg+xml", headers={**_HEADERS, **packing})
