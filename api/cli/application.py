"""The `sigmalab` program: its commands, and what happens when one is interrupted."""

import signal
import sys
from importlib.metadata import version
from types import FrameType
from typing import Annotated

import typer

from api.cli import data, experiments, learned_bias, local, receptive_field, recipes, results, stack

_EPILOG = (
    "Exit codes: 0 done; 1 the experiment failed or was cancelled; 2 wrong usage; 3 no service answers; "
    "4 the request was refused (the message says why); 5 a local server can't run; 130 interrupted."
)

application = typer.Typer(
    name="sigmalab",
    help="Does my change really help? Paired experiments, an interval, an honest verdict.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _group in (stack, experiments, results, local, receptive_field, learned_bias, recipes, data):
    _group.add_commands(application)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"sigmalab {version('sigmalab')}\n")
        raise typer.Exit


@application.callback()
def _options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run one command and exit; typer makes 2 of wrong usage and 130 of an interrupt."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    application()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: everything is put away first."""
    raise KeyboardInterrupt
