"""What the commands that look at a model share: which one, its weights, what is done to it first; the child at work."""

import difflib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer

from api.cli.terminal import CHILD_EXITS, Exit
from trainers.analyses.intervention import Intervention

INTERVENTIONS: tuple[Intervention, ...] = get_args(Intervention)
"""A slip is told at once, before the process that imports torch is started."""


def _checked(names: list[str] | None) -> list[str] | None:
    """Refuse unknown interventions.

    Raises:
        typer.BadParameter: there is one.
    """
    for name in names or []:
        if name not in INTERVENTIONS:
            nearest = difflib.get_close_matches(name, INTERVENTIONS, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(INTERVENTIONS)}{hint}")
    return names


Model = Annotated[
    str,
    typer.Argument(
        help="A timm name, small_vit, or a JSON or YAML file: a model's config, or the trial.json of a trial's folder."
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="Weights: the best_weights.pt beside a trial's trial.json, or any state dict.", dir_okay=False),
]
Pretrained = Annotated[bool, typer.Option("--pretrained", help="Start from timm's published weights.")]
Interventions = Annotated[
    list[str] | None,
    typer.Option(
        "--intervention",
        callback=_checked,
        help=f"What is changed in the model before it is looked at: {', '.join(INTERVENTIONS)}. Repeat the option to "
        "compare several.",
    ),
]
Layers = Annotated[
    str | None,
    typer.Option(
        help="Layers that the intervention changes, such as 0,1,2: blocks of a ViT, stages of a Swin (default: all)."
    ),
]
Sigma = Annotated[float, typer.Option(help="Sigma of the intervention gaussian, in tokens.")]
Amplitude = Annotated[
    float, typer.Option(help="A of the intervention gaussian; its height on the attention logits is A squared.")
]


def subject_arguments(
    model: str,
    *,
    checkpoint: Path | None,
    pretrained: bool,
    interventions: list[str] | None,
    layers: str | None,
    sigma: float,
    amplitude: float,
) -> list[str]:
    """The same for `python -m trainers.analyses...`."""
    arguments = [model, "--sigma", str(sigma), "--amplitude", str(amplitude)]
    arguments += ["--checkpoint", str(checkpoint)] if checkpoint else []
    arguments += ["--pretrained"] if pretrained else []
    arguments += ["--layers", layers] if layers else []
    for each in interventions or []:
        arguments += ["--intervention", each]
    return arguments


def data_root() -> str:
    """Where relative paths of data sets start: the rule of `orchestrator.settings`, whose import takes longer."""
    return os.environ.get("SIGMALAB_DATA_ROOT") or "."


def run_analysis(module: str, arguments: Sequence[str]) -> str:
    """Run `python -m <module>`, which knows torch, as a process of its own; gives its JSON.

    Raises:
        typer.Exit: it failed, and has said why.
    """
    command = [sys.executable, "-m", module, *arguments]
    # What a child writes is encoded as its parent's own output.
    encoding: str = sys.stdout.encoding
    finished = subprocess.run(command, check=False, stdout=subprocess.PIPE, encoding=encoding)  # noqa: S603 (our own)
    if finished.returncode:
        raise typer.Exit(CHILD_EXITS.get(finished.returncode, Exit.NOT_SUCCEEDED))
    return finished.stdout
