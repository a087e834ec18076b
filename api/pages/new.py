"""The page of a new question: a spec is written, its plan stands beside it, and it is submitted."""

import io
import json
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse
from rich.console import Console

from api.abandonment import WhileWaitedForDep
from api.cli.tables import print_plan
from api.dependencies import ExperimentsDep
from api.openapi import SMALL_SPEC
from api.pages.forms import form_token, keep_form_token, read_form
from api.pages.rendering import page
from api.pages.route import pages_router
from api.planning import plan_view
from orchestrator.errors import Problem, SpecError
from orchestrator.kept_code import names_own_code
from orchestrator.planning.plan import Plan
from orchestrator.spec.experiment import parse_spec
from trainers.errors import DocumentError
from trainers.strict_json import decode_json

router = pages_router()

_MAX_BYTES = 1024 * 1024
_PLAN_COLUMNS = 80
_SMALL = "a small first question"


@router.get("/new")
async def show_new(request: Request, template: Annotated[str, Query(max_length=100)] = _SMALL) -> Response:
    """An example to begin with; the plan is made when it is asked for, or as a script sees a change."""
    return _shown(request, templates().get(template, templates()[_SMALL]), chosen=template)


@router.post("/new")
async def plan_or_submit(request: Request, waited_for: WhileWaitedForDep, experiments: ExperimentsDep) -> Response:
    """The plan of what was written; with `action=submit` it is stored, and runs from then on, once for all clicks.

    With `action=look`, which a script asks for while somebody types, no code of the user's own is run.
    """
    fields = await read_form(request, max_bytes=_MAX_BYTES)
    written, is_submitted = fields.get("spec", ""), fields.get("action") == "submit"
    try:
        spec = parse_spec(decode_json(written.encode()))
        if is_submitted:
            submission = await waited_for(
                lambda is_cancelled: experiments.hand_in(spec, unless_running=True, is_cancelled=is_cancelled)
            )
            return RedirectResponse(f"/experiments/{submission.view.id}", HTTPStatus.SEE_OTHER)
        if fields.get("action") == "look" and names_own_code(spec):
            return _shown(request, written, runs_code=True)
        plan = await waited_for(lambda is_cancelled: experiments.plan(spec, is_cancelled))
    except DocumentError as error:
        return _shown(request, written, problems=[Problem("", str(error))], is_refused=is_submitted)
    except SpecError as error:
        return _shown(request, written, problems=error.problems, is_refused=is_submitted)
    return _shown(request, written, plan=_in_words(plan))


def _shown(
    request: Request,
    written: str,
    *,
    chosen: str = "",
    problems: list[Problem] | None = None,
    plan: str | None = None,
    is_refused: bool = False,
    runs_code: bool = False,
) -> Response:
    token = form_token(request)
    answer = page(
        request,
        "new",
        HTTPStatus.UNPROCESSABLE_ENTITY if is_refused else HTTPStatus.OK,
        written=written,
        templates=list(templates()),
        chosen=chosen,
        problems=problems or [],
        plan=plan,
        runs_code=runs_code,
        form_token=token,
    )
    return keep_form_token(request, answer, token)


def _in_words(plan: Plan) -> str:
    """As `sigmalab plan` tells it."""
    text = io.StringIO()
    print_plan(Console(file=text, width=_PLAN_COLUMNS, color_system=None), plan_view(plan))
    return text.getvalue()


@cache
def templates() -> dict[str, str]:
    """Name -> text of the examples that come with the code; a service that is installed without them has the first."""
    folder = Path(__file__).parents[2] / "examples"
    files = sorted(folder.glob("*.json")) + sorted(folder.glob("paper/*.json"))
    found = {str(file.relative_to(folder).with_suffix("")): file.read_text() for file in files}
    return {_SMALL: json.dumps(SMALL_SPEC, indent=2), **found}
