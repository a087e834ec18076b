"""The first page: one row a question."""

import asyncio
import json
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from api.abandonment import WhileWaitedForDep
from api.dependencies import ExperimentsDep, ReportsDep, StateDep
from api.errors import RequestError
from api.openapi import SMALL_SPEC
from api.pages.forms import form_token, keep_form_token, read_form
from api.pages.glance import Glance, glance_at
from api.pages.rendering import page
from api.pages.route import pages_router
from api.report_desk import Glimpse, ReportDesk
from orchestrator.errors import OrchestratorError
from orchestrator.service.views import ExperimentView
from orchestrator.spec.experiment import parse_spec
from orchestrator.status import ExperimentStatus

router = pages_router()

ROWS = 25
GLANCE_SECONDS = 0.15
"""How long the page waits for comparisons that nobody has looked at since a trial ended."""


@router.get("/")
async def show_experiments(
    request: Request,
    state: StateDep,
    experiments: ExperimentsDep,
    reports: ReportsDep,
    status: Annotated[str, Query(max_length=16)] = "",
    search: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str, Query(max_length=64, pattern=r"^[0-9a-z]*$")] = "",
) -> Response:
    """Experiments, newest first; what is filtered stands in the address."""
    wanted = ExperimentStatus(status) if status in set(ExperimentStatus) else None
    found, health = await asyncio.gather(
        run_in_threadpool(experiments.list, limit=ROWS, cursor=cursor or None, status=wanted, search=search),
        state.health.conditions(),
    )
    glances = await asyncio.gather(*(_glance(reports, view) for view in found.items))
    kept = {name: value for name, value in (("status", wanted), ("search", search)) if value}
    token = form_token(request)
    shown = page(
        request,
        "experiments",
        rows=list(zip(found.items, glances, strict=True)),
        is_waiting=any(_is_waited_for(*row) for row in zip(found.items, glances, strict=True)),
        health=health,
        statuses=list(ExperimentStatus),
        status=wanted,
        search=search,
        is_first_page=not cursor,
        first_link=f"/?{urlencode(kept)}" if kept else "/",
        next_link=f"/?{urlencode({**kept, 'cursor': found.next_cursor})}" if found.next_cursor else None,
        form_token=token,
        first_question=json.dumps(SMALL_SPEC, indent=2),
    )
    return keep_form_token(request, shown, token)


def _is_waited_for(view: ExperimentView, glance: Glimpse[Glance] | str | None) -> bool:
    """Whether the row will show more by itself."""
    if glance is None:
        return view.progress.pairs_complete > 0
    return isinstance(glance, Glimpse) and not glance.is_newest


async def _glance(reports: ReportDesk, view: ExperimentView) -> Glimpse[Glance] | str | None:
    """What the row shows, or why it can't (`None`: nothing yet)."""
    if not view.progress.pairs_complete:
        return None
    try:
        return await reports.glimpse(GLANCE_SECONDS, glance_at, view.id)
    except (RequestError, OrchestratorError) as error:
        # One experiment that can't be compared must not hide all others.
        return str(error)


@router.post("/first-question")
async def ask_first_question(request: Request, waited_for: WhileWaitedForDep, experiments: ExperimentsDep) -> Response:
    """Submit the example of an empty service: once, however often it is clicked."""
    await read_form(request)
    spec = parse_spec(SMALL_SPEC)
    submission = await waited_for(
        lambda is_cancelled: experiments.hand_in(spec, unless_running=True, is_cancelled=is_cancelled)
    )
    return RedirectResponse(f"/experiments/{submission.view.id}", HTTPStatus.SEE_OTHER)
