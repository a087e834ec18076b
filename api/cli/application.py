"""The `sigmalab` program: its commands, and what happens when one is interrupted."""

import signal
import sys
from importlib.metadata import version
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api.cli import (
    compare,
    data,
    doctor,
    experiments,
    export,
    learned_bias,
    local,
    new,
    receptive_field,
    recipes,
    results,
    stack,
)
from api.cli.terminal import Exit
from trainers.program import run_program

_EPILOG = (
    "Exit codes: 0 done; 1 the experiment failed or was cancelled; 2 wrong usage; 3 no service answers; "
    "4 the request was refused (the message says why); 5 a local server can't run; 6 a file or the output can't be "
    "written; 7 it ended without showing what --require or --null asks for; 130 interrupted."
)


class _Commands(TyperGroup):
    """All commands."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 (a context of the click inside typer)
        """Run one; typer itself would call a closed pipe a failure of the experiment (exit code 1)."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise typer.Exit(Exit.NOBODY_READS) from None
        except typer.BadParameter as error:
            # What a choice's own parser puts before its words.
            error.message = error.message.removeprefix("Value error, ")
            raise


application = typer.Typer(
    name="sigmalab",
    help="Does my change really help? Paired experiments, an interval, an honest verdict.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=_Commands,
)
_RUNNING = (stack, experiments, results, compare, export, doctor, local, new)
_LOOKING = (receptive_field, learned_bias, recipes, data)
for _group in (*_RUNNING, *_LOOKING):
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
    run_program(application)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: everything is put away first."""
    raise KeyboardInterrupt
