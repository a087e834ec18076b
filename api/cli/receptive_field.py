"""The command that looks at a model: receptive-field. No service is needed.

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
from api.cli.terminal import AsJson, err, out

if TYPE_CHECKING:
    from trainers.analyses.study import Study


def add_commands(application: typer.Typer) -> None:
    """Add this file's commands."""
    application.command(
        "receptive-field",
        epilog="Example: sigmalab receptive-field small_vit --intervention none --intervention gaussian "
        "--data digits --output field",
    )(receptive_field)


def receptive_field(
    model: Model,
    data: Annotated[str, typer.Option(help="digits, a folder of images, or a data set's config as JSON.")] = "digits",
    output: Annotated[Path, typer.Option(help="Folder for picture, maps and JSON.", file_okay=False)] = Path(
        "receptive-field"
    ),
    checkpoint: Checkpoint = None,
    pretrained: Pretrained = False,
    intervention: Interventions = None,
    layers: Layers = None,
    sigma: Sigma = 2.0,
    amplitude: Amplitude = 1.0,
    images: Annotated[int, typer.Option(help="Validation images to use.", min=1)] = 64,
    target: Annotated[str, typer.Option(help="Whose field: center, ROW,COLUMN or lattice:N.")] = "center",
    layer: Annotated[int | None, typer.Option(help="Block of a ViT, stage of Swin (default: the last).")] = None,
    norm: Annotated[str, typer.Option(help="Look before or after the final norm.")] = "before",
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    as_json: AsJson = False,
) -> None:
    """Show which pixels a token of a model depends on, and how Gaussian that is."""
    arguments = subject_arguments(
        model,
        checkpoint=checkpoint,
        pretrained=pretrained,
        interventions=intervention,
        layers=layers,
        sigma=sigma,
        amplitude=amplitude,
    )
    arguments += ["--data", data, "--output", str(output), "--images", str(images), "--target", target]
    arguments += ["--norm", norm, "--precision", precision]
    arguments += ["--layer", str(layer)] if layer is not None else []
    result = run_analysis("trainers.analyses", arguments)
    # matplotlib takes a second to import, which no other command should pay.
    from orchestrator.report.field_study import draw_study, read_study  # noqa: PLC0415
    from trainers.analyses.study import MAPS, RESULT  # noqa: PLC0415

    study = read_study(output)
    pictures = draw_study(output, study)
    if as_json:
        sys.stdout.write(result)
        return
    out.print(_table(study))
    for field in study.fields:
        if field.remark:
            err.print(f"{field.intervention}, token {field.place[0]},{field.place[1]}: {field.remark}")
    for file in (*pictures, output / MAPS, output / RESULT):
        out.print(str(file))


def _table(study: "Study") -> Table:
    field = study.fields[0]
    table = Table(
        title=f"Receptive field of {study.model}, {field.grid[0]} x {field.grid[1]} tokens, over {field.num_images} "
        f"images of {study.dataset}; lengths in tokens",
        title_justify="left",
        box=None,
        header_style="bold",
    )
    table.add_column("intervention", no_wrap=True)
    table.add_column("token", no_wrap=True)
    for name in ("sigma x, y", "R^2", "rms", "mass<2.5", "area 50 %, 90 %"):
        table.add_column(name, justify="right", no_wrap=True)
    for field in study.fields:
        metrics = field.metrics
        table.add_row(
            field.intervention,
            f"{field.place[0]},{field.place[1]}",
            f"{metrics.sigma_x_tokens:.2f} {metrics.sigma_y_tokens:5.2f}",
            f"{metrics.fit_px.r_squared:.2f}",
            f"{metrics.rms_radius_tokens:.2f}",
            f"{100 * metrics.mass_within_tokens['2.5']:.0f} %",
            f"{100 * metrics.area_50_fraction:.1f} {100 * metrics.area_90_fraction:5.1f}",
        )
    return table
