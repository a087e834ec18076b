"""The command that shows a model's position bias: learned-bias. Neither service nor images are needed.

The work is that of `trainers`, which knows torch; it runs as a process of its own.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from api.cli.subject import (
    Amplitude,
    Checkpoint,
    Interventions,
    Layers,
    Model,
    Pretrained,
    Sigma,
    run_analysis,
    subject_arguments,
)
from api.cli.terminal import AsJson, out

if TYPE_CHECKING:
    from trainers.analyses.study import BiasStudy


def add_commands(application: typer.Typer) -> None:
    """Add this file's commands."""
    application.command(
        "learned-bias",
        epilog="Example: sigmalab learned-bias trial.json --checkpoint checkpoint.pt --per-head --output bias",
    )(learned_bias)


def learned_bias(
    model: Model,
    output: Annotated[Path, typer.Option(help="Folder for pictures, maps and JSON.", file_okay=False)] = Path(
        "learned-bias"
    ),
    checkpoint: Checkpoint = None,
    pretrained: Pretrained = False,
    intervention: Interventions = None,
    layers: Layers = None,
    sigma: Sigma = 2.0,
    amplitude: Amplitude = 1.0,
    query: Annotated[str, typer.Option(help="Whose view is shown: center, ROW,COLUMN or lattice:N.")] = "center",
    per_head: Annotated[bool, typer.Option("--per-head", help="Fit a Gaussian to each head too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the position bias of each layer and head, and how Gaussian it is."""
    arguments = subject_arguments(
        model,
        checkpoint=checkpoint,
        pretrained=pretrained,
        interventions=intervention,
        layers=layers,
        sigma=sigma,
        amplitude=amplitude,
    )
    arguments += ["--output", str(output), "--query", query, *(["--per-head"] if per_head else [])]
    result = run_analysis("trainers.analyses.bias_study", arguments)
    # matplotlib takes a second to import, which no other command should pay.
    from orchestrator.report.bias_study import draw_bias_study, read_bias_study  # noqa: PLC0415
    from trainers.analyses.study import BIAS_MAPS, BIAS_RESULT  # noqa: PLC0415

    study = read_bias_study(output)
    pictures = draw_bias_study(output, study)
    if as_json:
        sys.stdout.write(result)
        return
    out.print(_table(study))
    for file in (*pictures, output / BIAS_MAPS, output / BIAS_RESULT):
        out.print(str(file))


def _table(study: "BiasStudy") -> Table:
    table = Table(
        title=f"Position bias of {study.model}; lengths in tokens", title_justify="left", box=None, header_style="bold"
    )
    for name in ("intervention", "layer", "part", "head"):
        table.add_column(name, no_wrap=True)
    for name in ("sigma x, y", "height", "R^2"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("remark")
    for look in study.looks:
        for fit in look.fits:
            table.add_row(
                look.intervention,
                "all" if fit.layer is None else str(fit.layer),
                fit.part,
                "mean" if fit.head is None else str(fit.head),
                "-" if fit.sigma_x is None or fit.sigma_y is None else f"{fit.sigma_x:.2f} {fit.sigma_y:5.2f}",
                "-" if fit.height is None else f"{fit.height:.3f}",
                "-" if fit.r_squared is None else f"{fit.r_squared:.2f}",
                fit.remark,
            )
        for name, value in look.gaussians.items():
            quantity, _, layer = name.partition("/")
            if quantity == "sigma":
                height = look.gaussians[f"amplitude/{layer}"] ** 2
                number, _, head = layer.partition("_head")
                table.add_row(
                    look.intervention,
                    str(int(number)),
                    "gaussian",
                    head or "all",
                    f"{value:.2f} {value:5.2f}",
                    f"{height:.3f}",
                    "",
                    "what was added",
                )
    return table
