"""Commands about data sets: data prepare, data write, data list.

The work is that of `trainers`, which knows torch; it runs as a process of its own.
"""

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.cli.subject import data_root
from api.cli.terminal import CHILD_EXITS, AsJson, Exit


class Protocol(StrEnum):
    """How a data set is split."""

    OFFICIAL = "official"
    PAPER = "paper"


def add_commands(application: typer.Typer) -> None:
    """Add this file's commands."""
    data = typer.Typer(
        help="Prepare data sets, write generated ones to disk, and list those that can be prepared.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    data.command(epilog="Example: sigmalab data prepare oxford_pet --root ~/pets --protocol paper")(prepare)
    data.command(epilog="Example: sigmalab data write shapes_objects num_train=160 --output shapes")(write)
    data.command("list", epilog="Example: sigmalab data list")(list_sets)
    application.add_typer(data, name="data")


def prepare(
    data_set: Annotated[
        str, typer.Argument(metavar="SET", help="Name of the data set; `sigmalab data list` lists the names.")
    ],
    root: Annotated[Path, typer.Option(help="Folder into which its archives were unpacked.")],
    protocol: Annotated[
        Protocol, typer.Option(help="The publisher's split, or the paper's 70/15/15.")
    ] = Protocol.OFFICIAL,
    output: Annotated[
        Path | None,
        typer.Option(help="The manifest (default: <set>-<protocol>.manifest.parquet in SIGMALAB_DATA_ROOT, or here)."),
    ] = None,
    allow_incomplete: Annotated[
        bool,
        typer.Option(
            "--allow-incomplete", help="Accept an incomplete data set: missing and broken images are left out."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a data set as it was downloaded, and write the manifest that trials read.

    Counts classes and images, decodes every image, takes its checksum, splits. Nothing is moved or copied.
    """
    arguments = ["prepare", data_set, "--root", str(root), "--protocol", protocol.value]
    arguments += ["--output", str(output)] if output else []
    arguments += ["--allow-incomplete"] if allow_incomplete else []
    _run(arguments, as_json=as_json)


def write(
    data_set: Annotated[str, typer.Argument(metavar="SET", help="The generated set: shapes or shapes_objects.")],
    output: Annotated[Path, typer.Option(help="Folder to be made.")],
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIELD=VALUE]...",
            help="Fields of the set, such as num_train=100 generation_seed=1 (`sigmalab schema` lists them).",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a generated set to disk: shapes as ADE20K's folders of masks, shapes_objects as COCO's files."""
    _run(["write", data_set, *(fields or []), "--output", str(output)], as_json=as_json)


def list_sets(as_json: AsJson = False) -> None:
    """Name the data sets that can be prepared, and the manifests in SIGMALAB_DATA_ROOT (or here)."""
    _run(["list"], as_json=as_json)


def _run(arguments: list[str], *, as_json: bool) -> None:
    """Hand a command over; ends with its exit code.

    Raises:
        typer.Exit: always.
    """
    command = [sys.executable, "-m", "trainers.data.prepare", *arguments, "--data-root", data_root()]
    command += ["--json"] if as_json else []
    status = subprocess.run(command, check=False).returncode  # noqa: S603 (our own command)
    raise typer.Exit(CHILD_EXITS.get(status, Exit.NOT_SUCCEEDED))
