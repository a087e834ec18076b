"""Commands that fetch documents: report, logs, schema."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.experiments import resolve
from api.cli.readings import ReportReading
from api.cli.report_files import save_report
from api.cli.report_tables import print_report
from api.cli.service import reading
from api.cli.terminal import AsJson, Exit, ExperimentId, ServiceUrl, complain, out, write_json
from api.cli.trial_choice import Arm, CellName, Seed, TrialChoice, TrialId
from api.client import BINARY_FORMATS, ReportFormat


def add_commands(application: typer.Typer) -> None:
    """Add this file's commands."""
    application.command(epilog="Example: sigmalab report last --format latex > table.tex")(report)
    application.command(epilog="Example: sigmalab logs last --arm gaussian --seed 3")(logs)
    application.command(epilog="Example: sigmalab schema > spec.schema.json")(schema)


def report(
    experiment_id: ExperimentId,
    report_format: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Write a document in this format instead of the terminal's tables."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Save all files, the figures included, into this folder.", file_okay=False)
    ] = None,
    url: ServiceUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show or save a report: terminal table, JSON, Markdown, HTML page, CSV, LaTeX tables, figures."""
    with reading(url) as client:
        known_id = resolve(client, experiment_id)
        if output is not None:
            files = save_report(client, known_id, output)
            if as_json:
                write_json({name: str(file) for name, file in files.items()})
            else:
                out.print("\n".join(str(file) for file in files.values()))
            return
        if report_format in BINARY_FORMATS:
            write_bytes(client.report_file(known_id, report_format), report_format)
        elif as_json or report_format is not None:
            write_text(client.report(known_id, report_format or "json"))
        else:
            print_report(out, ReportReading.model_validate_json(client.report(known_id)))


def logs(
    experiment_id: ExperimentId,
    arm: Arm = None,
    seed: Seed = None,
    cell: CellName = None,
    trial: TrialId = None,
    url: ServiceUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what the experiment's newest driver has written; with --arm and --seed, what that trial has."""
    choice = TrialChoice(arm, seed, cell, trial)
    with reading(url) as client:
        known_id = resolve(client, experiment_id)
        if choice.is_made():
            text = client.trial_logs(known_id, choice.find(client, known_id).id)
        else:
            text = client.logs(known_id)
    if as_json:
        write_json({"log": text})
    else:
        write_text(text)


def schema(
    url: Annotated[str | None, typer.Option("--url", help="Ask this service (default: this installation).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The schema is always JSON.")] = True,
) -> None:
    """Show the JSON Schema of a spec: every field with its meaning, default and bounds. No service is needed."""
    if url is None:
        # Knows every config and thus torch: three seconds that no other command should pay.
        from orchestrator.spec.experiment import ExperimentSpec  # noqa: PLC0415

        write_json(ExperimentSpec.model_json_schema())
        return
    with reading(url) as client:
        write_json(dict(client.schema()))


def write_bytes(content: bytes, name: str) -> None:
    """Bytes to stdout, which has to be a file or a pipe."""
    if out.is_terminal:
        complain(f"{name} is not text: write it into a file, such as `> report.{name.rpartition('-')[2]}`")
        raise typer.Exit(Exit.REFUSED)
    typer.echo(content, nl=False)


def write_text(text: str) -> None:
    """A document as it is."""
    typer.echo(text, nl=not text.endswith("\n"))
