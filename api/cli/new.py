"""The command that writes a package of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.terminal import Exit, complain, out
from api.scaffold.writing import ScaffoldError, write_package


def add_commands(application: typer.Typer) -> None:
    """Add this file's command."""
    application.command(epilog="Example: sigmalab new mylab && sigmalab run mylab/compare.json")(new)


def new(
    folder: Annotated[
        Path, typer.Argument(metavar="NAME", help="A folder that does not exist; names the package, too.")
    ],
) -> None:
    """Write a package with a model, a change of it, a loss, a data set, tests, and two questions that run at once."""
    try:
        files = write_package(folder)
    except ScaffoldError as error:
        complain(str(error))
        raise typer.Exit(Exit.USAGE) from error
    except OSError as error:
        complain(f"{folder} can't be written: {error.strerror}")
        raise typer.Exit(Exit.FILE_TROUBLE) from error
    out.print(f"wrote {folder}: {', '.join(str(file.relative_to(folder)) for file in files)}", markup=False)
    told = {
        f"sigmalab run {folder / 'compare.json'}": f"the change in {folder.name}/bias.py against its control",
        f"sigmalab run {folder / 'loss.json'}": "a loss and a data set of one's own",
        f"pytest {folder}": "whether model, bias and data set keep to what a fair comparison needs",
    }
    width = max(map(len, told))
    for command, words in told.items():
        out.print(f"  {command:{width}}   {words}", markup=False)
