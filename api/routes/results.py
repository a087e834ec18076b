"""What an experiment leaves behind: its report in several formats, its driver's log."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from api.dependencies import ExperimentsDep
from api.openapi import PROBLEMS, problems
from orchestrator.report import Report
from orchestrator.report.appendix import to_latex_appendix, to_markdown_appendix
from orchestrator.report.csv_table import to_csv, trials_to_csv, trials_to_parquet
from orchestrator.report.files import to_zip
from orchestrator.report.html import to_html
from orchestrator.report.latex import to_latex
from orchestrator.report.markdown import to_markdown
from orchestrator.report.parts import NO_MAPS, WHOLE, ReportParts

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
    parts: ReportParts = WHOLE
    is_for_people: bool = False
    """Whether it calls arms by their labels; machines get both."""


def _to_json(report: Report) -> str:
    return report.model_dump_json()


_WRITERS = {
    ReportFormat.JSON: _Writer("application/json", _to_json),
    ReportFormat.MARKDOWN: _Writer("text/markdown; charset=utf-8", to_markdown, is_for_people=True),
    ReportFormat.HTML: _Writer("text/html; charset=utf-8", to_html, is_for_people=True),
    ReportFormat.CSV: _Writer("text/csv; charset=utf-8", to_csv, NO_MAPS),
    ReportFormat.LATEX: _Writer("application/x-tex; charset=utf-8", to_latex, is_for_people=True),
    ReportFormat.APPENDIX_LATEX: _Writer("application/x-tex; charset=utf-8", to_latex_appendix, is_for_people=True),
    ReportFormat.APPENDIX_MARKDOWN: _Writer("text/markdown; charset=utf-8", to_markdown_appendix, is_for_people=True),
    ReportFormat.TRIALS_CSV: _Writer("text/csv; charset=utf-8", trials_to_csv, NO_MAPS),
    ReportFormat.TRIALS_PARQUET: _Writer("application/vnd.apache.parquet", trials_to_parquet, NO_MAPS),
    # Every file that `sigmalab run --output` writes, figures included.
    ReportFormat.ZIP: _Writer("application/zip", to_zip),
}

_CONTENT = {writer.media_type.partition(";")[0]: {"schema": {"type": "string"}} for writer in _WRITERS.values()}


@router.get(
    "/report",
    response_class=Response,
    responses={**problems(404, 422), 200: {"description": "The report.", "content": _CONTENT, "model": Report}},
)
def get_report(
    experiment_id: str,
    experiments: ExperimentsDep,
    report_format: Annotated[ReportFormat, Query(alias="format", description="How to write it.")] = ReportFormat.JSON,
) -> Response:
    """Comparisons with their verdicts, learned sigma, exclusions, provenance; a preview while the experiment runs."""
    writer = _WRITERS[report_format]
    report = experiments.report(experiment_id, writer.parts)
    return Response(writer.write(report.for_people() if writer.is_for_people else report), media_type=writer.media_type)


@router.get("/logs", response_class=PlainTextResponse, responses=problems(404, 503))
def get_logs(experiment_id: str, experiments: ExperimentsDep) -> PlainTextResponse:
    """What the newest driver has written."""
    return PlainTextResponse(experiments.logs(experiment_id))
