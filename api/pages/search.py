"""The page of the search phase: what was tried, and what was chosen. Never the claim."""

from typing import NamedTuple

from fastapi import Request, Response
from markupsafe import Markup

from api.dependencies import ExperimentsDep, ReportsDep
from api.pages.glimpsed import subject_page
from api.pages.route import pages_router
from orchestrator.report.sections.search.figure import score_range
from orchestrator.report.sections.search.glyph import search_glyph
from orchestrator.report.sections.search.tables import control_words, search_overview, search_table
from orchestrator.report.words.table import Table, without_constant_columns
from orchestrator.service.experiments import Experiments

router = pages_router()

SEARCH_SECONDS = 0.5
"""How long the page waits for what nobody has looked at since a trial ended."""


class SearchShown(NamedTuple):
    """One search."""

    title: str
    metric: str
    drawn: Markup
    control: str
    """The control's level, in words (empty: the arm is the control, or nothing is known of it)."""
    is_one: bool
    """Whether one value was searched."""


class Searches(NamedTuple):
    """All of an experiment."""

    overview: Table | None
    candidates: Table | None
    searches: tuple[SearchShown, ...]


@router.get("/experiments/{experiment_id}/search")
async def show_search(
    request: Request, experiment_id: str, experiments: ExperimentsDep, reports: ReportsDep
) -> Response:
    """Every search with its candidates, beside the control."""
    return await subject_page(
        request,
        "search",
        experiment_id,
        experiments=experiments,
        reports=reports,
        work=searches,
        seconds=SEARCH_SECONDS,
    )


def searches(experiments: Experiments, experiment_id: str) -> Searches:
    """Drawn from the report."""
    report = experiments.report(experiment_id, with_maps=False).for_people()
    found = [search for search in report.searches if search.candidates]
    if not report.searches:
        return Searches(None, None, ())
    shown = []
    for search in found:
        scores = score_range([each for each in found if each.metric == search.metric])
        words = ""
        if search.control is not None:
            words = control_words(search.control, report.control, search.metric, report.decimals, report.confidence)
        # Numbers, and names that the glyph escapes.
        drawn = Markup(search_glyph(search, scores, report.confidence))  # noqa: S704
        title = f"{search.arm} on {search.cell.key}"
        shown.append(SearchShown(title, search.metric, drawn, words, len(search.space) == 1))
    overview, table = search_overview(report), search_table(report)
    return Searches(without_constant_columns(overview), without_constant_columns(table), tuple(shown))
