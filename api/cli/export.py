"""The command that takes a trial's weights away: export."""

import json
from pathlib import Path
from typing import Annotated

import typer

from api.cli.experiments import resolve
from api.cli.service import reading
from api.cli.terminal import AsJson, ExperimentId, ServiceUrl, out, write_json
from api.cli.trial_choice import Arm, CellName, Seed, TrialChoice, TrialId


def add_commands(application: typer.Typer) -> None:
    """Add this file's command."""
    application.command(epilog="Example: sigmalab export last --arm gaussian --seed 0")(export)


def export(
    experiment_id: ExperimentId,
    arm: Arm = None,
    seed: Seed = None,
    cell: CellName = None,
    trial: TrialId = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write (default: <id>-<arm>-seed<seed>.safetensors in this folder).", dir_okay=False),
    ] = None,
    url: ServiceUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the weights of a trial's best epoch as a file (timm loads those of a classifier), and a note in JSON."""
    with reading(url) as client:
        known_id = resolve(client, experiment_id)
        chosen = TrialChoice(arm, seed, cell, trial).find(client, known_id)
        file = output or Path(f"{known_id}-{chosen.arm}-seed{chosen.seed}.safetensors")
        client.save_weights(known_id, chosen.id, file)
    # Knows the configs of models, and is needed here alone.
    from trainers.export_note import read_note  # noqa: PLC0415

    note = read_note(file)
    explained = file.with_name(f"{file.name}.json")
    explained.write_text(note.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if as_json:
        write_json({"weights": str(file), "note": str(explained), **json.loads(note.model_dump_json())})
        return
    out.print(
        f"weights  {file}  (of epoch {note.best_epoch + 1}, counted from 1: the best on validation)", markup=False
    )
    out.print(f"note     {explained}", markup=False)
    if note.timm is not None:
        # timm wants tuples where JSON has lists.
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in note.timm.arguments.items()}
        arguments = "".join(f", {name}={value!r}" for name, value in values.items())
        create = f"timm.create_model({note.timm.name!r}{arguments}"
        out.print("\nin Python, by timm alone:", markup=False)
        if note.bias_tensors:
            out.print(f"  model = {create})", markup=False)
            out.print(
                f"  model.load_state_dict(safetensors.torch.load_file({str(file)!r}), strict=False)", markup=False
            )
            out.print(
                f"  (leaves out {len(note.bias_tensors)} tensors, sigma and A of the attention bias: the model then "
                "computes without the bias that it was trained with)",
                markup=False,
            )
        else:
            out.print(f"  model = {create}, checkpoint_path={str(file)!r})", markup=False)
    out.print("\nin Python, as it was trained:" if note.bias_tensors else "\nin Python, by sigmalab:", markup=False)
    out.print("  from trainers.exported_weights import load_exported", markup=False)
    out.print(f"  model = load_exported({str(file)!r})", markup=False)
