"""`--require`: an exit code for scripts by what an experiment has shown."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from api.cli.readings import ReportReading
from api.cli.terminal import Exit, complain
from api.client import Client
from orchestrator.statistics.requirement import Requirement, complaints, unmet


def _parsed(text: str) -> Requirement:
    try:
        return Requirement.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Requirements = Annotated[
    list[Requirement] | None,
    typer.Option(
        "--require",
        parser=_parsed,
        metavar="[ARM=]DEMAND",
        help="improved, not-worse or equivalent: exit code 7 unless every row (or every row of ARM) shows it.",
    ),
]


def refuse_unmeetable(spec: bytes, requirements: Sequence[Requirement]) -> None:
    """Say before an experiment runs for hours that no result of it can meet what is required.

    Raises:
        typer.Exit: an arm that is named is not a treatment of the spec, or equivalence lacks its margin.
    """
    if not requirements:
        return
    document = json.loads(spec)
    arms = document.get("arms") if isinstance(document, dict) else None
    # What is no list of objects, the service refuses, with a better message.
    named = [arm for arm in arms if isinstance(arm, dict)] if isinstance(arms, list) else []
    treatments = [str(arm.get("name")) for arm in named if arm.get("role") != "control"]
    margin = document.get("equivalence_margin") if isinstance(document, dict) else None
    found = complaints(requirements, treatments, margin or 0.0)
    for text in found:
        complain(text)
    if found:
        raise typer.Exit(Exit.USAGE)


def require_of(client: Client, experiment_id: str, requirements: Sequence[Requirement]) -> None:
    """Say what an experiment that has ended does not show; nothing is asked where nothing is required.

    Raises:
        typer.Exit: something required is not shown.
    """
    if requirements:
        end_unless_shown(unmet(requirements, client.comparisons(experiment_id)))


def require_equal_repeats(client: Client, experiment_id: str) -> None:
    """Say where the control, trained once more, gave other numbers.

    Raises:
        typer.Exit: it did, or no pair was complete.
    """
    report = ReportReading.model_validate_json(client.report(experiment_id))
    end_unless_shown([check.text for check in report.repeats if not 0 < check.num_pairs == check.num_equal])


def end_unless_shown(not_shown: Sequence[str]) -> None:
    """Say each of these sentences.

    Raises:
        typer.Exit: there is one.
    """
    for sentence in not_shown:
        complain(sentence)
    if not_shown:
        raise typer.Exit(Exit.NOT_SHOWN)
