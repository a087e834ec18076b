"""The command that looks at a model: receptive-field. No service is needed.

The work is that of `trainers`, which knows torch; it runs as a process of its own.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from api.cli.fitted_table import Column, FittedTable, fit_table
from api.cli.subject import (
    Amplitude,
    Checkpoint,
    Interventions,
    Layers,
    Model,
    Pretrained,
    Sigma,
    data_root,
    run_analysis,
    subject_arguments,
)
from api.cli.terminal import AsJson, err, out

if TYPE_CHECKING:
    from trainers.analyses.study import LookedAt, Study


def add_commands(application: typer.Typer) -> None:
    """Add this file's commands."""
    application.command(
        "receptive-field",
        epilog="Example: sigmalab receptive-field small_vit --intervention none --intervention gaussian "
        "--data digits --output field",
    )(receptive_field)


def receptive_field(
    model: Model,
    data: Annotated[
        str | None,
        typer.Option(
            help="digits, a folder of images, or a data set's config as JSON (default: the data set of the trial whose "
            "trial.json is given, else digits). Its validation part is used, as in a trial: val/ of a folder that has "
            "it, else 15 % of the images."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for the picture, the maps and the JSON.", file_okay=False)
    ] = Path("receptive-field"),
    checkpoint: Checkpoint = None,
    pretrained: Pretrained = False,
    intervention: Interventions = None,
    layers: Layers = None,
    sigma: Sigma = 2.0,
    amplitude: Amplitude = 1.0,
    images: Annotated[
        int, typer.Option(help="How many images of the validation part to use, spread evenly over it.", min=1)
    ] = 64,
    target: Annotated[
        str, typer.Option(help="The token whose field is shown: center or ROW,COLUMN; lattice:N shows N x N tokens.")
    ] = "center",
    layer: Annotated[
        int | None, typer.Option(help="Block of a ViT or stage of a Swin, from 0 (default: the last).")
    ] = None,
    norm: Annotated[Literal["before", "after"], typer.Option(help="Look before or after the final norm.")] = "before",
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="Number format in which the gradients are computed.")
    ] = "fp32",
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
    arguments += ["--output", str(output), "--images", str(images), "--target", target]
    arguments += ["--norm", norm, "--precision", precision, "--data-root", data_root()]
    arguments += ["--data", data] if data else []
    arguments += ["--layer", str(layer)] if layer is not None else []
    result = run_analysis("trainers.analyses", arguments)
    # matplotlib takes a second to import, which no other command should pay.
    from orchestrator.report.sections.receptive_fields.study import draw_study  # noqa: PLC0415
    from trainers.analyses.field_maps import FIELD_MAPS  # noqa: PLC0415
    from trainers.analyses.study import RESULT, read_study  # noqa: PLC0415

    study = read_study(output)
    pictures = draw_study(output, study)
    if as_json:
        sys.stdout.write(result)
        return
    shown = _table(study, out.width)
    out.print(shown.table)
    unseen = ", ".join((*shown.left_out, "mass within other radii"))
    out.print(Text(f"{_NOTE}\n{unseen}: {output / RESULT}", style="dim"))
    for remark in _remarks(study):
        err.print(Text(remark))
    for file in (*pictures, output / FIELD_MAPS, output / RESULT):
        out.print(str(file))


_NOTE = (
    "in tokens: sigma, rms radius, the centre's offset; mass: within 2.5 tokens;\n"
    "area: smallest share of the image that holds 50 % and 90 % of the mass\n"
    "R^2: 1 - SSE/SST; explained_variance, in the file: 1 - var(residual)/var(map), the paper's"
)


def _table(study: "Study", width: int) -> FittedTable:
    field = study.fields[0]
    places = {each.place for each in study.fields}
    token = f"token {_place(field)} of " if len(places) == 1 else ""
    title = (
        f"Receptive field of {study.model}, {token}{field.grid[0]} x {field.grid[1]} tokens, over {field.num_images} "
        f"images of {study.dataset}"
    )
    metrics = [each.metrics for each in study.fields]
    interventions = Column("intervention", [each.intervention for each in study.fields], is_number=False, is_name=True)
    columns = [
        interventions if token else Column("token", [_place(each) for each in study.fields], is_number=False),
        Column("sigma x, y", [f"{each.sigma_x_tokens:.2f} {each.sigma_y_tokens:5.2f}" for each in metrics]),
        Column("R^2", [f"{each.fit_px.r_squared:.2f}" for each in metrics]),
        Column("rms", [f"{each.rms_radius_tokens:.2f}" for each in metrics]),
        Column("mass\n< 2.5", [f"{100 * each.mass_within_tokens['2.5']:.0f} %" for each in metrics]),
        Column("area\n50 %", [_percent(each.area_50_fraction) for each in metrics]),
        Column("area\n90 %", [_percent(each.area_90_fraction) for each in metrics]),
        Column("aniso-\ntropy", [f"{each.anisotropy:.2f}" for each in metrics], left_out=1),
        Column("centre\noff by", [f"{_offset_tokens(each):.2f}" for each in study.fields], left_out=0),
    ]
    return fit_table(title, columns, width, None if token else interventions)


def _place(field: "LookedAt") -> str:
    return f"{field.place[0]},{field.place[1]}"


def _percent(share: float) -> str:
    return "<0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _offset_tokens(field: "LookedAt") -> float:
    """Distance of the Gaussian's centre from the middle of its token."""
    fit, metrics = field.metrics.fit_px, field.metrics
    width_px, height_px = fit.sigma_x / metrics.sigma_x_tokens, fit.sigma_y / metrics.sigma_y_tokens
    down = (fit.center_y + 0.5) / height_px - (field.place[0] + 0.5)
    across = (fit.center_x + 0.5) / width_px - (field.place[1] + 0.5)
    return float((down**2 + across**2) ** 0.5)


def _remarks(study: "Study") -> Iterator[str]:
    """One line for all tokens of which the same is to be said."""
    tokens: dict[tuple[str, str], list[str]] = {}
    num_tokens: dict[str, int] = {}
    for field in study.fields:
        num_tokens[field.intervention] = num_tokens.get(field.intervention, 0) + 1
        if field.remark:
            # R^2 is in the table, and differs from token to token.
            remark = re.sub(r" \(R\^2 [^)]*\)", "", field.remark)
            tokens.setdefault((field.intervention, remark), []).append(_place(field))
    for (intervention, remark), places in tokens.items():
        is_all = len(places) == num_tokens[intervention] > 1
        where = f"all {len(places)} tokens" if is_all else f"token{'s' * (len(places) > 1)} {' '.join(places)}"
        yield f"{intervention}, {where}: {remark}"
