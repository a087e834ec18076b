"""The page of one experiment: where it stands, what its pairs say, and what can be done about it."""

import asyncio
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from pydantic import JsonValue

from api.abandonment import WhileWaitedForDep
from api.dependencies import ExperimentsDep, ReportsDep, get_extension
from api.pages.brief import BriefReport, brief_report
from api.pages.forms import form_token, keep_form_token, read_form
from api.pages.glimpsed import glimpse_or_why
from api.pages.rendering import page
from api.pages.route import pages_router
from api.report_desk import Glimpse, ReportDesk
from api.routes.results import ReportFormat
from orchestrator.overrides import with_overrides
from orchestrator.report.page.matrix import matrix_of
from orchestrator.report.sections.comparisons.tables import comparison_table, footnotes
from orchestrator.report.words.table import without_constant_columns
from orchestrator.status import TrialStatus

router = pages_router()

TRIALS = 100
REPORT_SECONDS = 0.2
"""How long the page waits for answers that nobody has looked at since a trial ended."""

LargestId = Annotated[int, Query(ge=0, lt=2**63)]

DOWNLOADS = {
    ReportFormat.HTML: "page (self-contained)",
    ReportFormat.ZIP: "all files",
    ReportFormat.MARKDOWN: "Markdown",
    ReportFormat.LATEX: "LaTeX",
    ReportFormat.CSV: "comparisons (CSV)",
    ReportFormat.TRIALS_CSV: "trials (CSV)",
    ReportFormat.TRIALS_PARQUET: "trials (Parquet)",
    ReportFormat.APPENDIX_LATEX: "appendix (LaTeX)",
    ReportFormat.APPENDIX_MARKDOWN: "appendix (Markdown)",
    ReportFormat.JSON: "JSON",
}
"""Every file of the report, the most asked-for first."""


@router.get("/experiments/{experiment_id}")
async def show_experiment(
    request: Request,
    experiment_id: str,
    experiments: ExperimentsDep,
    reports: ReportsDep,
    trials: Annotated[str, Query(max_length=16)] = "",
    after: LargestId = 0,
) -> Response:
    """Where it stands, the table of its comparisons, answers and caveats, its trials."""
    # Before all else: what happens meanwhile is told again, not missed.
    last_event = await run_in_threadpool(experiments.last_event, experiment_id)
    wanted = TrialStatus(trials) if trials in set(TrialStatus) else None
    view, found, told = await asyncio.gather(
        run_in_threadpool(experiments.get, experiment_id),
        run_in_threadpool(experiments.trials, experiment_id, status=wanted, after=after, limit=TRIALS + 1),
        report_for_page(reports, experiment_id),
    )
    glimpse, trouble = (None, told) if isinstance(told, str) else (told, "")
    brief = None if glimpse is None else glimpse.answer
    report = None if brief is None else brief.report
    shown_trials, is_last = found[:TRIALS], len(found) <= TRIALS
    path = f"/experiments/{experiment_id}"
    kept = {"trials": wanted} if wanted else {}
    next_trials = None if is_last else f"{path}?{urlencode({**kept, 'after': shown_trials[-1].id})}#trials"
    token = form_token(request)
    answer = page(
        request,
        "experiment",
        view=view,
        path=path,
        report=report,
        is_newest=glimpse is not None and glimpse.is_newest,
        pairs_version="" if glimpse is None else glimpse.version,
        num_compared=0 if report is None else sum(comparison.num_pairs for comparison in report.comparisons),
        trouble=trouble,
        has_learned=brief is not None and brief.has_learned,
        has_search=brief is not None and brief.has_search,
        matrix=None if report is None else matrix_of(report, view.arm_labels),
        comparisons=None if report is None else without_constant_columns(comparison_table(report)),
        footnotes=() if report is None else footnotes(report),
        trials=shown_trials,
        trial_statuses=list(TrialStatus),
        trial_status=wanted,
        is_first_trials=not after,
        next_trials=next_trials,
        last_event=last_event,
        downloads=DOWNLOADS,
        form_token=token,
    )
    return keep_form_token(request, answer, token)


async def report_for_page(reports: ReportDesk, experiment_id: str) -> Glimpse[BriefReport] | str | None:
    """What it says, or why it can't be made (`None`: nothing yet). The rest of the page does without."""
    return await glimpse_or_why(reports, REPORT_SECONDS, brief_report, experiment_id)


@router.post("/experiments/{experiment_id}/cancel")
async def cancel_experiment(request: Request, experiment_id: str, experiments: ExperimentsDep) -> Response:
    """Ask it to stop."""
    await read_form(request)
    await run_in_threadpool(experiments.cancel, experiment_id)
    return RedirectResponse(f"/experiments/{experiment_id}", HTTPStatus.SEE_OTHER)


@router.get("/experiments/{experiment_id}/extend")
async def show_extension(
    request: Request,
    waited_for: WhileWaitedForDep,
    experiment_id: str,
    experiments: ExperimentsDep,
    seeds: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """What more seeds would take, before they are added."""
    view = await run_in_threadpool(experiments.get, experiment_id)
    wanted = _seeds(seeds)
    cost = await waited_for(lambda is_cancelled: experiments.cost_of_extension(experiment_id, wanted, is_cancelled))
    token = form_token(request)
    answer = page(
        request,
        "extend",
        view=view,
        path=f"/experiments/{experiment_id}",
        seeds=wanted,
        written=seeds,
        cost=cost,
        form_token=token,
    )
    return keep_form_token(request, answer, token)


@router.post("/experiments/{experiment_id}/extend")
async def extend_experiment(
    request: Request, waited_for: WhileWaitedForDep, experiment_id: str, experiments: ExperimentsDep
) -> Response:
    """Add the seeds, and run them."""
    seeds = _seeds((await read_form(request)).get("seeds", ""))
    await waited_for(lambda is_cancelled: experiments.extend(experiment_id, seeds, is_cancelled))
    return RedirectResponse(f"/experiments/{experiment_id}", HTTPStatus.SEE_OTHER)


def _seeds(written: str) -> tuple[int, ...]:
    """`6..9` or `6,7`, as the command line writes them.

    Raises:
        SpecError: it is not written so.
        RequestError: 422, these can't be added.
    """
    text = written.replace(" ", "")
    nothing: JsonValue = {}
    document = with_overrides(nothing, [f"seeds={text}"])
    assert isinstance(document, dict)
    return get_extension(document).seeds
