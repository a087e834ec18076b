"""Figures of the report as pictures for pages, so that their own styles are none of the page's."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from api.dependencies import ReportsDep
from api.errors import RequestError
from api.pages.brief import drawn_figure

router = APIRouter(include_in_schema=False)

_HEADERS = {
    # Should somebody open the picture itself: it runs nothing and loads nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
    "Vary": "Cookie",
}


@router.get("/experiments/{experiment_id}/figures/{name}.svg")
async def show_figure(experiment_id: str, name: str, reports: ReportsDep) -> Response:
    """One figure."""
    svg = await reports.ask_of_pairs(drawn_figure, experiment_id, name)
    if svg is None:
        detail = f"the report of experiment {experiment_id} has no figure {name!r} that is drawn without maps"
        raise RequestError(HTTPStatus.NOT_FOUND, "figure_not_found", detail)
    return Response(svg, media_type="image/svg+xml", headers=_HEADERS)
