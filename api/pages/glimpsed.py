"""What a page shows of an experiment's results: read by the reports' processes, or in its place why it can't be."""

from typing import ParamSpec, TypeVar

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from api.errors import RequestError
from api.pages.rendering import page
from api.report_desk import Glimpse, ReportDesk, Work
from orchestrator.errors import OrchestratorError
from orchestrator.service.experiments import Experiments

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


async def glimpse_or_why(
    reports: ReportDesk,
    seconds: float,
    work: Work[P, ResultT],
    experiment_id: str,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Glimpse[ResultT] | str | None:
    """What is known after so many seconds (`None`: nothing yet), or why it can't be; a page does without."""
    try:
        return await reports.glimpse(seconds, work, experiment_id, *args, **kwargs)
    except (RequestError, OrchestratorError) as error:
        return str(error)


async def subject_page(
    request: Request,
    template: str,
    experiment_id: str,
    *,
    experiments: Experiments,
    reports: ReportDesk,
    work: Work[[], ResultT],
    seconds: float,
) -> Response:
    """A page of an experiment that shows one thing, its template's `found`.

    Args:
        request: for the page.
        template: its name.
        experiment_id: whose.
        experiments: the use cases.
        reports: who reads it.
        work: reads it.
        seconds: how long the page waits for what nobody has looked at since a trial ended.
    """
    # Before all else: what happens meanwhile is told again, not missed.
    last_event = await run_in_threadpool(experiments.last_event, experiment_id)
    view = await run_in_threadpool(experiments.get, experiment_id)
    told = await glimpse_or_why(reports, seconds, work, experiment_id)
    glimpse, trouble = (None, told) if isinstance(told, str) else (told, "")
    return page(
        request,
        template,
        view=view,
        path=f"/experiments/{experiment_id}",
        found=None if glimpse is None else glimpse.answer,
        is_newest=glimpse is not None and glimpse.is_newest,
        trouble=trouble,
        last_event=last_event,
    )
