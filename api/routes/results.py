"""What an experiment leaves behind: its report in several formats, its driver's log."""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from api.dependencies import ExperimentsDep, ReportsDep
from api.openapi import PROBLEMS, problems
from orchestrator.report import Report
from orchestrator.report.formats.appendix import to_latex_appendix, to_markdown_appendix
from orchestrator.report.formats.folder import section_file, to_zip
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.latex import to_latex
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.service.experiments import Experiments

router = APIRouter(prefix="/experiments/{experiment_id}", tags=["results"], responses=PROBLEMS)


class ReportFormat(StrEnum):
    """How a report can be written."""

    JSON = "json"
    MARKDOWN = "md"
    HTML = "html"
    CSV = "csv"
    LATEX = "latex"
    APPENDIX_LATEX = "appendix-latex"
    APPENDIX_MARKDOWN = "appendix-md"
    TRIALS_CSV = "trials-csv"
    TRIALS_PARQUET = "trials-parquet"
    ZIP = "zip"


class _Writer(NamedTuple):
    media_type: str
    write: Callable[[Report], str | bytes]
    with_maps: bool = True
    """Whether it shows anything of the trials' maps, which take long to read."""
    is_for_people: bool = False
    """Whether it calls arms by their labels; machines get both."""


def _to_json(report: Report) -> str:
    return report.model_dump_json()


_WRITERS = {
    ReportFormat.JSON: _Writer("application/json", _to_json),
    ReportFormat.MARKDOWN: _Writer("text/markdown; charset=utf-8", to_markdown, is_for_people=True),
    ReportFormat.HTML: _Writer("text/html; charset=utf-8", to_html, is_for_people=True),
    ReportFormat.CSV: _Writer("text/csv; charset=utf-8", partial(section_file, name="csv"), with_maps=False),
    ReportFormat.LATEX: _Writer("application/x-tex; charset=utf-8", to_latex, is_for_people=True),
    ReportFormat.APPENDIX_LATEX: _Writer("application/x-tex; charset=utf-8", to_latex_appendix, is_for_people=True),
    ReportFormat.APPENDIX_MARKDOWN: _Writer("text/markdown; charset=utf-8", to_markdown_appendix, is_for_people=True),
    ReportFormat.TRIALS_CSV: _Writer(
        "text/csv; charset=utf-8", partial(section_file, name="trials_csv"), with_maps=False
    ),
    ReportFormat.TRIALS_PARQUET: _Writer(
        "application/vnd.apache.parquet", partial(section_file, name="trials_parquet"), with_maps=False
    ),
    # Every file that `sigmalab run --output` writes, figures included.
    ReportFormat.ZIP: _Writer("application/zip", to_zip),
}

_CONTENT = {writer.media_type.partition(";")[0]: {"schema": {"type": "string"}} for writer in _WRITERS.values()}


def written_report(experiments: Experiments, experiment_id: str, report_format: ReportFormat) -> str | bytes:
    """The report in a format."""
    writer = _WRITERS[report_format]
    report = experiments.report(experiment_id, with_maps=writer.with_maps)
    return writer.write(report.for_people() if writer.is_for_people else report)


@router.get(
    "/report",
    response_class=Response,
    responses={**problems(404, 422), 200: {"description": "The report.", "content": _CONTENT, "model": Report}},
)
async def get_report(
    experiment_id: str,
    reports: ReportsDep,
    report_format: Annotated[
        ReportFormat, Query(alias="format", description="Format of the answer.")
    ] = ReportFormat.JSON,
) -> Response:
    """Comparisons with their verdicts, learned sigma, exclusions, provenance; a preview while the experiment runs."""
    content = await reports.ask(written_report, experiment_id, report_format)
    return Response(content, media_type=_WRITERS[report_format].media_type)


@router.get("/logs", response_class=PlainTextResponse, responses=problems(404, 503))
def get_logs(experiment_id: str, experiments: ExperimentsDep) -> PlainTextResponse:
    """What the newest driver has written."""
    return PlainTextResponse(experiments.logs(experiment_id))
