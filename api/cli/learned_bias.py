"""The command that shows a model's position bias: learned-bias. Neither service nor images are needed.

The work is that of `trainers`, which knows torch; it runs as a process of its own.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

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
    run_analysis,
    subject_arguments,
)
from api.cli.terminal import AsJson, out

if TYPE_CHECKING:
    from trainers.analyses.study import BiasLook, BiasStudy
    from trainers.result import FitVerdict, LayerFit


def add_commands(application: typer.Typer) -> None:
    """Add this file's commands."""
    application.command(
        "learned-bias",
        epilog="Example: sigmalab learned-bias <storage>/<trial>/trial.json "
        "--checkpoint <storage>/<trial>/best_weights.pt --per-head --output bias",
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
    query: Annotated[
        str, typer.Option(help="The token whose view is shown: center or ROW,COLUMN; lattice:N shows N x N tokens.")
    ] = "center",
    per_head: Annotated[bool, typer.Option("--per-head", help="Also fit a Gaussian to each head.")] = False,
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
    from orchestrator.report.sections.position_bias.study import draw_bias_study  # noqa: PLC0415
    from trainers.analyses.bias_maps import BIAS_MAPS  # noqa: PLC0415
    from trainers.analyses.study import BIAS_RESULT, read_bias_study  # noqa: PLC0415

    study = read_bias_study(output)
    pictures = draw_bias_study(output, study)
    if as_json:
        sys.stdout.write(result)
        return
    rows = [row for look in study.looks for row in _rows(look)]
    out.print(_table(study.model, rows, out.width).table)
    for line in _notes(study, rows):
        out.print(Text(line, style="dim"))
    for file in (*pictures, output / BIAS_MAPS, output / BIAS_RESULT):
        out.print(str(file))


_WORDS: dict["FitVerdict", tuple[str, str]] = {
    "nothing_learned": ("nothing learned", "the same at every displacement"),
    "no_gaussian": ("no Gaussian", "R^2 below {good_r_squared:g}, so that sigma and height describe nothing"),
    "hollow": ("hollow", "lowest, not highest, where the query is"),
    "off_centre": ("off centre", "a hill, so many tokens away from the query"),
    "narrow": ("narrow", "narrower than a token: the width is a guess"),
    "wide": ("wide", "wider than the grid: the width is extrapolated"),
    "not_fitted": ("not fitted", "the reason is in the JSON"),
}
"""What stands in the table for a verdict, and what that means; nothing for a Gaussian."""
_PARTS = ("own", "gaussian", "sum", "absolute")


class _Row(NamedTuple):
    intervention: str
    layer: int | None
    part: str
    head: int | None
    sigma: str
    height: str
    r_squared: str
    remark: str

    @property
    def place(self) -> tuple[float, int, int]:
        """Layer by layer and head by head, own embedding, Gaussian and sum one below the other."""
        layer = float("inf") if self.layer is None else self.layer
        return layer, -1 if self.head is None else self.head, _PARTS.index(self.part)


def _rows(look: "BiasLook") -> list[_Row]:
    off = _layers_off(look)
    # Where the Gaussian is switched off, the sum is the layer's own embedding once more.
    rows = [_fit_row(look.intervention, fit) for fit in look.fits if not (fit.part == "sum" and fit.layer in off)]
    for name, sigma in look.gaussians.items():
        quantity, _, place = name.partition("/")
        layer, _, head = place.partition("_head")
        if quantity == "sigma" and int(layer) not in off:
            height = look.gaussians[f"amplitude/{place}"] ** 2
            which = int(head) if head else None
            sigmas = f"{sigma:.2f} {sigma:5.2f}"
            rows.append(_Row(look.intervention, int(layer), "gaussian", which, sigmas, f"{height:.3f}", "-", ""))
    return sorted(rows, key=lambda row: row.place)


def _layers_off(look: "BiasLook") -> list[int]:
    """Layers whose Gaussians all have the height 0: the intervention leaves them out."""
    heights: dict[int, float] = {}
    for name, value in look.gaussians.items():
        quantity, _, place = name.partition("/")
        if quantity == "amplitude":
            layer = int(place.partition("_head")[0])
            heights[layer] = max(heights.get(layer, 0.0), value**2)
    return [layer for layer, height in heights.items() if height == 0]


def _fit_row(intervention: str, fit: "LayerFit") -> _Row:
    return _Row(
        intervention,
        fit.layer,
        fit.part,
        fit.head,
        "-" if fit.sigma_x is None or fit.sigma_y is None else f"{fit.sigma_x:.2f} {fit.sigma_y:5.2f}",
        "-" if fit.height is None else f"{fit.height:.3f}",
        "-" if fit.r_squared is None else f"{fit.r_squared:.2f}",
        _short(fit),
    )


def _short(fit: "LayerFit") -> str:
    """The verdict in two words."""
    short, _ = _WORDS.get(fit.verdict, ("", "")) if fit.verdict else ("", "")
    return f"{short} {fit.offset:.1f}" if fit.verdict == "off_centre" and fit.offset is not None else short


def _table(model: str, rows: list[_Row], width: int) -> FittedTable:
    whole = {"gaussian": "all"}
    heads = [whole.get(row.part, "mean") if row.head is None else str(row.head) for row in rows]
    columns = [
        Column("layer", ["all" if row.layer is None else str(row.layer) for row in rows]),
        Column("part", [row.part for row in rows], is_number=False),
        Column("head", heads),
        Column("sigma x, y", [row.sigma for row in rows]),
        Column("height", [row.height for row in rows]),
        Column("R^2", [row.r_squared for row in rows]),
        Column("remark", [row.remark for row in rows], is_number=False),
    ]
    interventions = Column("intervention", [row.intervention for row in rows], is_number=False)
    return fit_table(f"Position bias of {model}; lengths in tokens", columns, width, interventions)


def _notes(study: "BiasStudy", rows: list[_Row]) -> list[str]:
    """What the words of the table mean, those that it has."""
    notes = []
    if any(row.part == "gaussian" for row in rows):
        notes.append("part gaussian: as it was added, not fitted; its height is A^2, A its amplitude")
    for look in study.looks:
        if off := _layers_off(look):
            is_range = len(off) > 2 and off == list(range(off[0], off[-1] + 1))
            listed = f"{off[0]} to {off[-1]}" if is_range else ", ".join(map(str, off))
            where = f"layer{'s' * (len(off) > 1)} {listed}"
            notes.append(f"intervention {look.intervention}: the Gaussian is off in {where}")
    return notes + [
        f"{short}: {meaning.format(good_r_squared=study.good_r_squared)}"
        for short, meaning in _WORDS.values()
        if any(row.remark.startswith(short) for row in rows)
    ]
