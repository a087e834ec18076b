"""What a command writes, and how it ends."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console

from api.client import ClientError, RefusedError, ServiceUnreachableError
from api.local_stack import StackError
from orchestrator.errors import SpecError
from orchestrator.null_spec import null_spec
from orchestrator.overrides import with_overrides
from orchestrator.spec.code import with_code_beside
from trainers import program
from trainers.document import decode_document
from trainers.errors import DocumentError


class Exit(IntEnum):
    """How a command ends; `sigmalab --help` lists these."""

    OK = 0
    NOT_SUCCEEDED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    STACK = 5
    FILE_TROUBLE = program.FILE_TROUBLE
    NOT_SHOWN = 7
    INTERRUPTED = 130
    NOBODY_READS = program.NOBODY_READS


CHILD_EXITS = {
    0: Exit.OK,
    1: Exit.REFUSED,
    2: Exit.USAGE,
    6: Exit.FILE_TROUBLE,
    130: Exit.INTERRUPTED,
    141: Exit.NOBODY_READS,
}
"""Exit status of a `python -m trainers...` -> ours."""


class _Terminal(Console):
    """Leaves it to the program what a closed pipe means."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Terminal(highlight=False, soft_wrap=True)
"""Answers."""
err = _Terminal(stderr=True, highlight=False, soft_wrap=True)
"""Progress and complaints: standard output stays clean for scripts."""

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
ServiceUrl = Annotated[
    str | None,
    typer.Option(
        "--url", help="Address of the service (default: SIGMALAB_URL, else the one that runs in SIGMALAB_HOME)."
    ),
]
ExperimentId = Annotated[str, typer.Argument(help="Id of the experiment, or `last` for the newest one.")]
SpecFile = Annotated[
    Path, typer.Argument(help="A spec (JSON or YAML); `-` reads standard input.", allow_dash=True, dir_okay=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH=VALUE]...",
        help="Fields of the spec to replace, such as optimization.epochs=5 seeds=0..9 "
        "arms.gaussian.patch.attention_bias.sigma=3",
        show_default=False,
    ),
]
IsNull = Annotated[
    bool,
    typer.Option(
        "--null",
        help="Compare the control with itself, trained twice: exit code 7 unless every pair differs by exactly 0.",
    ),
]


def write_json(value: BaseModel | dict[str, object] | list[object]) -> None:
    """One JSON document, indented."""
    text = value.model_dump_json(indent=2) if isinstance(value, BaseModel) else json.dumps(value, indent=2)
    program.write_json(text + "\n")


def write_json_line(value: BaseModel) -> None:
    """One JSON document on one line, at once."""
    program.write_json(value.model_dump_json() + "\n")
    sys.stdout.flush()


def read_spec(file: Path, overrides: Sequence[str] | None, *, is_null: bool = False) -> bytes:
    """A spec as JSON, whatever it was written in.

    Args:
        file: JSON or YAML; `-` is standard input.
        overrides: what is set anew (see `orchestrator.overrides`).
        is_null: whether its control is to be compared with itself (see `orchestrator.null_spec`).

    Raises:
        typer.Exit: it can't be read, is neither JSON nor YAML, or has no place for an override.
    """
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        complain(f"can't read {file}: {error.strerror}")
        raise typer.Exit(Exit.USAGE) from error
    try:
        document = with_overrides(decode_document(data, file.name), overrides or ())
    except DocumentError as error:
        complain(f"{'standard input' if str(file) == '-' else file}: {error}")
        raise typer.Exit(Exit.REFUSED) from error
    except SpecError as error:
        complain_of_spec(error)
        raise typer.Exit(Exit.REFUSED) from error
    if isinstance(document, dict):
        document = with_code_beside(document, Path() if str(file) == "-" else file.parent)
    return json.dumps(null_spec(document) if is_null else document).encode()


def complain_of_spec(error: SpecError) -> None:
    """Every problem of a spec on a line of its own."""
    complain("\n  ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in error.problems))


def complain(text: str) -> None:
    """One complaint, without colour codes where nobody sees them."""
    err.print(f"[bold red]error[/]: {_escaped(text)}")


@contextmanager
def errors_as_exits() -> Iterator[None]:
    """Turn what can go wrong on purpose into a message and an exit code; anything else is a defect and shows."""
    try:
        yield
    except ServiceUnreachableError as error:
        complain(str(error))
        raise typer.Exit(Exit.UNREACHABLE) from error
    except RefusedError as error:
        complain(str(error))
        raise typer.Exit(Exit.REFUSED) from error
    except ClientError as error:
        complain(str(error))
        raise typer.Exit(Exit.REFUSED) from error
    except StackError as error:
        complain(str(error))
        raise typer.Exit(Exit.STACK) from error


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
