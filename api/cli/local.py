"""Commands that need no service: plan, run."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from api.cli.requirements import Requirements, refuse_unmeetable
from api.cli.stack import tell
from api.cli.tables import print_plan
from api.cli.terminal import (
    AsJson,
    Exit,
    IsNull,
    Overrides,
    SpecFile,
    complain,
    complain_of_spec,
    err,
    errors_as_exits,
    out,
    read_spec,
    write_json,
)
from api.running_here import ray_here

_EXITS = {0: Exit.OK, 2: Exit.REFUSED, 5: Exit.STACK, 7: Exit.NOT_SHOWN}
"""Exit status of `python -m orchestrator run` -> ours."""


def add_commands(application: typer.Typer) -> None:
    """Add this file's commands."""
    application.command(epilog="Example: sigmalab plan examples/digits.json")(plan)
    application.command(epilog="Example: sigmalab run examples/digits.json --output results")(run)


def plan(spec: SpecFile, overrides: Overrides = None, is_null: IsNull = False, as_json: AsJson = False) -> None:
    """Show what a spec would do, take and show. Nothing is started; no service is needed."""
    text = read_spec(spec, overrides, is_null=is_null)
    # Knows every config: most of a second that no other command should pay.
    from api.cli.planning import plan_here  # noqa: PLC0415
    from orchestrator.errors import SpecError, StoreError  # noqa: PLC0415
    from orchestrator.settings import WrongSettingsError  # noqa: PLC0415

    try:
        # A spinner on a terminal, nothing elsewhere.
        with err.status("counting trials, reading models and data sets (asking timm takes seconds, once per model)"):
            view = plan_here(text)
    except SpecError as error:
        complain_of_spec(error)
        raise typer.Exit(Exit.REFUSED) from error
    except StoreError as error:
        complain(str(error))
        raise typer.Exit(Exit.REFUSED) from error
    except WrongSettingsError as error:
        complain(str(error))
        raise typer.Exit(Exit.USAGE) from error
    if as_json:
        write_json(view)
    else:
        print_plan(out, view)


def run(
    spec: Annotated[Path, typer.Argument(help="A spec (JSON or YAML).", dir_okay=False)],
    overrides: Overrides = None,
    requirements: Requirements = None,
    is_null: IsNull = False,
    output: Annotated[Path | None, typer.Option(help="Save the report into this folder.", file_okay=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Run a whole experiment in this terminal, on a Ray of its own (or RAY_ADDRESS). No service is needed."""
    refuse_unmeetable(read_spec(spec, overrides, is_null=is_null), requirements or ())
    command = [sys.executable, "-m", "orchestrator", "run", str(spec), *(overrides or ())]
    command += ["--output", str(output)] if output else []
    command += ["--json"] if as_json else []
    command += ["--null"] if is_null else []
    command += [text for requirement in requirements or () for text in ("--require", str(requirement))]
    with errors_as_exits(), ray_here(tell, err.print) as environment:
        status = subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 (our own command)
    raise typer.Exit(_EXITS.get(status, Exit.NOT_SUCCEEDED))
