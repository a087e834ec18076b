"""`sigmalab compare`: a verdict on results that were trained elsewhere. No service is needed."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.readings import ReportReading
from api.cli.report_tables import print_report
from api.cli.requirements import Requirements, end_unless_shown
from api.cli.results import write_text
from api.cli.terminal import AsJson, Exit, complain, out, write_json
from orchestrator.statistics.requirement import complaints, unmet

if TYPE_CHECKING:
    from orchestrator.foreign.results import Table
    from orchestrator.report import Report

MLFLOW, TENSORBOARD = "mlflow:", "tensorboard:"
"""Before the name of an MLflow experiment, or a folder of event files, in place of a file."""

Document = Literal["json", "text", "markdown", "html", "latex", "csv"]


def add_commands(application: typer.Typer) -> None:
    """Add this file's command."""
    application.command(
        epilog="Example: sigmalab compare results.csv --control baseline --metric top1:higher --unit %, or "
        "sigmalab compare mlflow:my-experiment --control baseline --metric val_loss:lower --column arm=variant"
    )(compare)


def compare(
    source: Annotated[
        str,
        typer.Argument(
            help="A CSV or JSON lines (.jsonl) file with a row for each training (- reads CSV from standard input), or "
            "mlflow:EXPERIMENT or tensorboard:LOGDIR, whose runs are the rows.",
        ),
    ],
    control: Annotated[str, typer.Option(help="The arm that all others are compared with.")],
    metric: Annotated[
        str,
        typer.Option(
            metavar="COLUMN[:DIRECTION]",
            help="The compared metric's column, and whether higher, lower or neither is better; only what sigmalab's "
            "own metrics are called (test/top1, loss) needs no direction.",
        ),
    ],
    unit: Annotated[
        str | None,
        typer.Option(help="Of the values: % (0 to 100), fraction (0 to 1, told in %), or any other. [default: none]"),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="ROLE=COLUMN",
            help="Where the column of arm, seed, model, dataset or status is called otherwise: --column arm=variant",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Read only rows with this value: --where epoch=99"),
    ] = None,
    tracking_uri: Annotated[
        str | None, typer.Option(help="The MLflow server of mlflow:EXPERIMENT (default: MLFLOW_TRACKING_URI).")
    ] = None,
    pattern: Annotated[
        str,
        typer.Option(
            help="Where arm and seed stand in a run's path below tensorboard:LOGDIR; {model} and {dataset} may, too."
        ),
    ] = "{arm}/seed{seed}",
    confidence: Annotated[float, typer.Option(help="Confidence of every interval.", min=0.501, max=0.999999)] = 0.95,
    margin: Annotated[
        float, typer.Option(help="Smallest effect that matters, in the effects' unit (0: never equivalent).", min=0)
    ] = 0.0,
    is_any_time: Annotated[
        bool,
        typer.Option(
            "--any-time", help="Results were looked at before it was settled how many seeds there are: wider intervals."
        ),
    ] = False,
    requirements: Requirements = None,
    name: Annotated[str | None, typer.Option(help="Of the report (default: the file's or the experiment's).")] = None,
    question: Annotated[str, typer.Option(help="The question in words.")] = "",
    document: Annotated[
        Document | None, typer.Option("--format", help="Write a document instead of the terminal's table.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Save all files, figures too, into this folder.", file_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare results that were trained elsewhere: pairs by seed, intervals, verdicts, figures, LaTeX."""
    # The statistics take most of a second, which no other command should pay.
    from orchestrator.foreign.columns import results_of  # noqa: PLC0415
    from orchestrator.foreign.measure import measure_of, named_metric  # noqa: PLC0415
    from orchestrator.foreign.report import foreign_report  # noqa: PLC0415
    from orchestrator.foreign.results import ForeignQuestion, ForeignResultsError  # noqa: PLC0415

    named = dict(_pair(text, "--column") for text in columns or ())
    conditions = [_pair(text, "--where") for text in where or ()]
    column, direction = named_metric(metric)
    try:
        results = results_of(_table(source, tracking_uri, pattern), column, columns=named, where=conditions)
        asked = ForeignQuestion(
            control=control,
            metric=column,
            measure=measure_of(column, direction, unit, results.results),
            question=question,
            confidence=confidence,
            equivalence_margin=margin,
            is_any_time=is_any_time,
        )
        report = foreign_report(
            results, asked, name=name or _name(source), read_at=datetime.now(UTC), conditions=conditions
        )
    except ForeignResultsError as error:
        complain("\n  ".join(error.problems))
        raise typer.Exit(Exit.REFUSED) from error
    treatments = [arm.name for arm in report.arms if arm.role == "treatment"]
    unmeetable = complaints(requirements or (), treatments, margin)
    if unmeetable:
        complain("\n  ".join(unmeetable))
        raise typer.Exit(Exit.USAGE)
    _show(report, document, output, as_json=as_json)
    end_unless_shown(unmet(requirements or (), report.comparisons))


def _table(source: str, tracking_uri: str | None, pattern: str) -> "Table":
    """All rows of the source.

    Raises:
        typer.Exit: it can't be read.
        ForeignResultsError: it holds no results.
    """
    if source.startswith(MLFLOW):
        return _of_mlflow(source.removeprefix(MLFLOW), tracking_uri)
    if source.startswith(TENSORBOARD):
        # A second.
        from orchestrator.tracking.tensorboard import past_runs  # noqa: PLC0415

        return past_runs.past_runs(Path(source.removeprefix(TENSORBOARD)), pattern)
    from orchestrator.foreign.tables import read_table  # noqa: PLC0415

    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        complain(f"can't read {source}: {error.strerror}")
        raise typer.Exit(Exit.USAGE) from error
    return read_table(data, "standard input" if source == "-" else Path(source).name)


def _of_mlflow(experiment: str, tracking_uri: str | None) -> "Table":
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        complain("which MLflow server? Say --tracking-uri http://host:5000, or set MLFLOW_TRACKING_URI")
        raise typer.Exit(Exit.USAGE)
    # Seconds, which nobody needs who reads a file.
    from orchestrator.tracking.mlflow.past_runs import past_runs  # noqa: PLC0415
    from orchestrator.tracking.tracker import TrackerRefusedError, TrackerUnavailableError  # noqa: PLC0415

    try:
        return past_runs(uri, experiment)
    except TrackerUnavailableError as error:
        complain(f"MLflow does not answer: {error}")
        raise typer.Exit(Exit.UNREACHABLE) from error
    except TrackerRefusedError as error:
        complain(f"MLflow refuses: {error}")
        raise typer.Exit(Exit.REFUSED) from error


def _name(source: str) -> str:
    if source == "-":
        return "results"
    if source.startswith(MLFLOW):
        return source.removeprefix(MLFLOW)
    return Path(source.removeprefix(TENSORBOARD)).absolute().stem


def _pair(text: str, option: str) -> tuple[str, str]:
    first, sign, second = text.partition("=")
    if not sign or not first:
        raise typer.BadParameter(f"{option} {text}: write it as NAME=VALUE")
    return first, second


def _show(report: "Report", document: Document | None, output: Path | None, *, as_json: bool) -> None:
    """Print what was asked for, or save it."""
    from orchestrator.report.formats.folder import section_file, write_report  # noqa: PLC0415
    from orchestrator.report.formats.html import to_html  # noqa: PLC0415
    from orchestrator.report.formats.latex import to_latex  # noqa: PLC0415
    from orchestrator.report.formats.markdown import to_markdown  # noqa: PLC0415
    from orchestrator.report.formats.terminal import to_text  # noqa: PLC0415

    if output is not None:
        try:
            files = write_report(report, output)
        except OSError as error:
            complain(f"{output} can't be written: {error.strerror}")
            raise typer.Exit(Exit.FILE_TROUBLE) from error
        if as_json:
            write_json({key: str(file) for key, file in files.items()})
        else:
            out.print("\n".join(str(file) for file in files.values()), markup=False)
        return
    writers = {"text": to_text, "markdown": to_markdown, "html": to_html, "latex": to_latex}
    if as_json or document == "json":
        write_json(report)
    elif document == "csv":
        write_text(section_file(report, "csv").decode())
    elif document is not None:
        write_text(writers[document](report))
    else:
        print_report(out, ReportReading.model_validate_json(report.model_dump_json()))
