"""Commands that bring servers up: serve, demo."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from api.cli.following import follow, require_success
from api.cli.report_files import keep_report, print_links
from api.cli.tables import print_plan
from api.cli.terminal import (
    AsJson,
    Exit,
    Overrides,
    complain,
    err,
    errors_as_exits,
    out,
    read_spec,
    write_json,
    write_json_line,
)
from api.client import Client
from api.listening import may_listen, refusal
from api.local_stack import AlreadyRunningError, LocalStack, StackOptions, StackUrls
from orchestrator.service.views import ExperimentView, Origin
from orchestrator.state_folder import state_folder

DEMO_SPEC = Path("examples") / "digits.json"
TRACKING_SECONDS = 20.0
"""How long the demo waits at its end until MLflow has everything."""


def add_commands(application: typer.Typer) -> None:
    """Add this file's commands."""
    application.command(epilog="Example: sigmalab serve --port 8080")(serve)
    application.command(epilog="Example: sigmalab demo --keep")(demo)


def serve(
    host: Annotated[
        str,
        typer.Option(
            help="Address that the API listens at; an address that other machines can reach needs SIGMALAB_API_TOKEN."
        ),
    ] = ("127.0.0.1"),
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port of the API (default: 8000, or one of the next where it is taken; 0: any free port).",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the service with all it needs: a Ray head, an MLflow server, the API. Ctrl-C stops it.

    RAY_ADDRESS, MLFLOW_TRACKING_URI and SIGMALAB_DATABASE_URL point it at servers that run already. All state is in
    SIGMALAB_HOME (default: .sigmalab in the current folder if it is there, else ~/.sigmalab).
    """
    if not may_listen(host, os.environ.get("SIGMALAB_API_TOKEN")):
        complain(refusal(host))
        raise typer.Exit(Exit.USAGE)
    options = StackOptions(home=state_folder(), host=host, port=port)
    with errors_as_exits(), LocalStack(options, tell) as stack:
        if as_json:
            urls = stack.urls.shown()
            write_json({"api": urls.api, "mlflow": urls.mlflow, "ray": urls.ray})
            sys.stdout.flush()
        else:
            _print_links(stack.urls.shown())
            err.print("Ctrl-C stops everything; experiments go on at the next start.")
        _wait_for_interrupt(stack)


def demo(
    overrides: Overrides = None,
    spec: Annotated[
        Path | None, typer.Option(help="Run this spec instead of examples/digits.json.", dir_okay=False)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the service running at the end, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the example experiment, start to verdict, on this machine."""
    text = read_spec(spec or _find_demo_spec(), overrides)
    with errors_as_exits(), _service() as (url, stack):
        with Client(url) as client:
            _run_demo(client, text, as_json=as_json, stays_up=keep or stack is None)
        if stack is not None and keep:
            _print_links(stack.urls.shown())
            err.print("The service stays up; Ctrl-C stops it.")
            _wait_for_interrupt(stack)


def _run_demo(client: Client, text: bytes, *, as_json: bool, stays_up: bool) -> None:
    started = time.monotonic()
    plan = client.plan(text)
    if not as_json:
        out.print()
        print_plan(out, plan)
        out.print()
    view, origin = client.hand_in(text, unless_running=True)
    if origin is Origin.NEW:
        err.print(f"submitted as {view.id} to {client.endpoint.shown}/experiments")
    else:
        err.print(f"going on with {view.id}, which an earlier demo has left unfinished")
    try:
        require_success(follow(client, view.id, as_json=as_json))
    except KeyboardInterrupt:
        err.print(f"interrupted; experiment {view.id} keeps what is finished and goes on with the next `make demo`")
        raise
    seconds = time.monotonic() - started
    view = _wait_for_tracking(client, view.id)
    links = keep_report(client, view)
    if as_json:
        write_json_line(view)
        return
    out.print()
    reused, total = view.progress.trials_reused, view.progress.trials_total
    if reused:
        were = "was" if reused == 1 else "were"
        out.print(f"{reused} of {total} trials {were} finished already and {were} reused (same config, code and data).")
    out.print(f"took {seconds:.0f} s, from plan to report")
    print_links(links)
    if not stays_up:
        out.print(
            "The servers stop now. To look at the pairs, curves and images of this page in a browser: "
            "`make serve` (or `sigmalab serve`).",
            soft_wrap=True,
        )


def _wait_for_tracking(client: Client, experiment_id: str) -> ExperimentView:
    """Give the trackers a moment to take the last curves; what they have not got then waits in the store."""
    deadline = time.monotonic() + TRACKING_SECONDS
    while True:
        view = client.get(experiment_id)
        is_tracked = all(condition.ok for condition in view.conditions if condition.type == "tracking")
        if is_tracked or time.monotonic() > deadline:
            return view
        time.sleep(0.5)


@contextmanager
def _service() -> Iterator[tuple[str, LocalStack | None]]:
    """The service that runs already, or one that runs as long as the block."""
    given = os.environ.get("SIGMALAB_URL")
    if given:
        err.print(f"using the service at {given}")
        yield given, None
        return
    with ExitStack() as running:
        try:
            stack = running.enter_context(LocalStack(StackOptions(home=state_folder()), tell))
        except AlreadyRunningError as error:
            if error.url is None:
                raise
            err.print(f"using the service that runs at {error.url}")
            yield error.url, None
            return
        assert stack.urls.api is not None
        yield stack.urls.api, stack


def _wait_for_interrupt(stack: LocalStack) -> None:
    """A service that was told to stop has done its work: no error."""
    with suppress(KeyboardInterrupt):
        stack.wait()


def tell(name: str, news: str) -> None:
    """One line about one server."""
    # The terminal may be gone (SIGHUP, a closed pipe); the servers must be ended all the same.
    with suppress(OSError):
        sys.stderr.write(f"{name:<9} {news}\n")
        sys.stderr.flush()


def _print_links(urls: StackUrls) -> None:
    out.print()
    out.print(f"  sigmalab  {urls.api}")
    if urls.mlflow is not None:
        out.print(f"  MLflow    {urls.mlflow}")
    out.print(f"  Ray       {urls.ray}")
    out.print()


def _find_demo_spec() -> Path:
    """`examples/digits.json` here, or in the source tree that this package comes from."""
    beside_source = Path(__file__).parents[2] / DEMO_SPEC
    return beside_source if not DEMO_SPEC.exists() and beside_source.exists() else DEMO_SPEC
