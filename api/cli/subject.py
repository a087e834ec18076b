"""Options of the commands that look at a model: which one, its weights, what is done to it first."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="A timm name, small_vit, or a JSON file: a model's or trial's config.")]
Checkpoint = Annotated[
    Path | None, typer.Option(help="Weights: a trial's checkpoint.pt, or any state dict.", dir_okay=False)
]
Pretrained = Annotated[bool, typer.Option("--pretrained", help="Start from timm's published weights.")]
Interventions = Annotated[
    list[str] | None,
    typer.Option(
        "--intervention",
        help="What is done first: none, reinitialise-position, zero-position, gaussian, no-gaussian; repeatable.",
    ),
]
Layers = Annotated[str | None, typer.Option(help="Layers that the intervention concerns, as 0,1,2.")]
Sigma = Annotated[float, typer.Option(help="Of the intervention gaussian, in tokens.")]
Amplitude = Annotated[float, typer.Option(help="A of the intervention gaussian.")]


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
