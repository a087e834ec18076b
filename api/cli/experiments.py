"""Commands that speak of experiments: submit, list, show, watch, cancel, resume, extend."""

from typing import Annotated

import typer

from api.cli.following import watch_to_end
from api.cli.readings import ReportReading
from api.cli.report_tables import print_report
from api.cli.requirements import Requirements, refuse_unmeetable, require_equal_repeats, require_of
from api.cli.service import changing, reading
from api.cli.tables import experiment_table, news_of, print_data_found, print_experiment
from api.cli.terminal import (
    AsJson,
    Exit,
    ExperimentId,
    IsNull,
    Overrides,
    ServiceUrl,
    SpecFile,
    complain,
    err,
    out,
    read_spec,
    write_json,
    write_json_line,
)
from api.client import Client
from orchestrator.service.views import ExperimentView, Origin
from orchestrator.status import ExperimentStatus


def add_commands(application: typer.Typer) -> None:
    """Add this file's commands."""
    application.command(epilog="Example: sigmalab submit examples/digits.json --watch")(submit)
    application.command("list", epilog="Example: sigmalab list --status running")(list_experiments)
    application.command(epilog="Example: sigmalab show last")(show)
    application.command(epilog="Example: sigmalab watch last")(watch)
    application.command(epilog="Example: sigmalab cancel last")(cancel)
    application.command(epilog="Example: sigmalab resume last --retry")(resume)
    application.command(epilog="Example: sigmalab extend last --seed 6 --seed 7")(extend)


def submit(
    spec: SpecFile,
    overrides: Overrides = None,
    then_watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end, then show the report.")] = False,
    key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            help="A key of your choice: a repeated call with the same key finds the first call's experiment.",
        ),
    ] = None,
    requirements: Requirements = None,
    is_null: IsNull = False,
    again: Annotated[
        bool, typer.Option("--again", help="Submit it even if the same experiment is running already.")
    ] = False,
    url: ServiceUrl = None,
    as_json: AsJson = False,
) -> None:
    """Hand in an experiment. It runs on, whatever happens to this terminal.

    If the same spec, on the same code and data, is running already, that experiment is named (and watched).
    `--require` and `--null` watch it to its end, too.
    """
    text = read_spec(spec, overrides, is_null=is_null)
    refuse_unmeetable(text, requirements or ())
    with changing(url) as client:
        view, origin = client.hand_in(text, idempotency_key=key, unless_running=not again)
        if origin is Origin.TWIN:
            err.print(
                f"not submitted: experiment {view.id} asks the same and is {view.status.value}; --again insists",
                markup=False,
            )
        elif origin is Origin.REPLAY:
            err.print(
                f"not submitted again: the idempotency key {key} stands for experiment {view.id}, which is "
                f"{view.status.value}; another key (or none) makes a new one",
                markup=False,
            )
        done = "submitted as" if origin is Origin.NEW else "watching"
        _tell(client, view, done, then_watch=then_watch or bool(requirements) or is_null, as_json=as_json)
        require_of(client, view.id, requirements or ())
        if is_null:
            require_equal_repeats(client, view.id)


def list_experiments(
    status: Annotated[ExperimentStatus | None, typer.Option(help="Only experiments with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="List at most this many.")] = 20,
    url: ServiceUrl = None,
    as_json: AsJson = False,
) -> None:
    """List experiments, newest first."""
    with reading(url) as client:
        page = client.page(limit=limit, status=status)
    if as_json:
        write_json(page)
    elif page.items:
        out.print(experiment_table(page.items))
        for view in page.items:
            if news := news_of(view):
                out.print(f"{view.id}  {news}", markup=False)
    else:
        err.print("no experiments yet; submit one with: sigmalab submit examples/digits.json")


def show(experiment_id: ExperimentId, url: ServiceUrl = None, as_json: AsJson = False) -> None:
    """Show where an experiment stands and what its pairs say so far."""
    with reading(url) as client:
        known_id = resolve(client, experiment_id)
        view = client.get(known_id)
        if as_json:
            write_json(view)
            return
        print_experiment(out, view)
        if view.progress.pairs_complete:
            print_report(out, ReportReading.model_validate_json(client.report(known_id)))


def watch(experiment_id: ExperimentId, url: ServiceUrl = None, as_json: AsJson = False) -> None:
    """Follow an experiment to its end, pair by pair, then show its report. `--json`: one event a line."""
    with reading(url) as client:
        watch_to_end(client, resolve(client, experiment_id), as_json=as_json)


def cancel(experiment_id: ExperimentId, url: ServiceUrl = None, as_json: AsJson = False) -> None:
    """Ask an experiment to stop. Finished trials stay, and stay reusable."""
    with changing(url) as client:
        view = client.cancel(resolve(client, experiment_id))
    if as_json:
        write_json(view)
    else:
        print_experiment(out, view)


def resume(
    experiment_id: ExperimentId,
    retry: Annotated[bool, typer.Option("--retry", help="Also try its failed trials again.")] = False,
    then_watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end, then show the report.")] = False,
    url: ServiceUrl = None,
    as_json: AsJson = False,
) -> None:
    """Go on with an experiment that failed or was cancelled; what is finished stays."""
    with changing(url) as client:
        view = client.resume(resolve(client, experiment_id), retry=retry)
        _tell(client, view, "resumed", then_watch=then_watch, as_json=as_json)


def extend(
    experiment_id: ExperimentId,
    seeds: Annotated[list[int], typer.Option("--seed", help="A seed to add (repeat the option for more).")],
    then_watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end, then show the report.")] = False,
    url: ServiceUrl = None,
    as_json: AsJson = False,
) -> None:
    """Add seeds to a finished experiment and run them; the pairs that exist stay as they are."""
    with changing(url) as client:
        view = client.extend(resolve(client, experiment_id), seeds)
        _tell(client, view, "extended", then_watch=then_watch, as_json=as_json)


def _tell(client: Client, view: ExperimentView, what: str, *, then_watch: bool, as_json: bool) -> None:
    """What was accepted; then its progress, if that is wanted."""
    if not then_watch:
        if as_json:
            write_json(view)
        else:
            print_experiment(out, view)
            out.print(f"\nFollow it with: sigmalab watch {view.id}")
        return
    if as_json:
        write_json_line(view)
    else:
        err.print(f"{what} {view.id}")
        print_data_found(err, view.data_found)
    watch_to_end(client, view.id, as_json=as_json)


def resolve(client: Client, experiment_id: str) -> str:
    """The id, or the newest experiment's for `last`.

    Raises:
        typer.Exit: `last`, and there is none.
    """
    if experiment_id != "last":
        return experiment_id
    page = client.page(limit=1)
    if not page.items:
        complain("there is no experiment yet")
        raise typer.Exit(Exit.REFUSED)
    return page.items[0].id
