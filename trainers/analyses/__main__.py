"""Look at a model: `python -m trainers.analyses MODEL --data digits --output FOLDER`.

Progress and warnings go to stderr, the result as JSON to stdout; the folder gets `receptive_field.json` and the maps,
`receptive_field.npz`. Exit codes: 0 done; 1 the model can't be looked at so; 2 wrong usage; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from trainers.analyses.command_line import (
    CommandParser,
    add_subject_arguments,
    build_model,
    make_output,
    problems,
    read_subject,
    run_command,
    target_of,
)
from trainers.analyses.images import BATCH_SIZE, image_batches, spread_positions
from trainers.analyses.map_metrics import ReceptiveField, measure
from trainers.analyses.questions import FeaturePoint, NormSide, ReceptiveFieldConfig, check_target
from trainers.analyses.receptive_field import receptive_fields, warnings_for
from trainers.analyses.study import GRADIENT_SUM, MAPS, RESULT, LookedAt, Study
from trainers.analyses.targets import CenterTarget
from trainers.atomic_file import replaced_file
from trainers.data import DatasetConfig, DigitsConfig, FolderConfig, NoAugmentation
from trainers.data.normalization import Normalization
from trainers.data.scored_view import scored_view
from trainers.device import Device
from trainers.errors import ConfigError
from trainers.program import run_program


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, look, write; returns the exit code."""
    options = _parser().parse_args(arguments)

    def work() -> Study:
        study, maps = _look(options)
        _write(options.output, study, maps)
        return study

    return run_command(work)


def _look(options: argparse.Namespace) -> tuple[Study, dict[str, ReceptiveField]]:
    subject = read_subject(options)
    dataset = _dataset(options.data)
    config = ReceptiveFieldConfig(
        target=options.target, point=FeaturePoint(layer=options.layer, norm=options.norm), precision=options.precision
    )
    # Before any image is read: it can take long.
    check_target(config, subject.model.grids().features, subject.model.label)
    make_output(options.output)
    splits = dataset.load(
        None,
        input_size_px=subject.model.input_size_px,
        augmentation=NoAugmentation(),
        seed=0,
        view=scored_view(
            subject.normalization,
            input_size_px=subject.model.input_size_px,
            published=subject.model.published_view,
        ),
    )
    positions = spread_positions(options.images, len(splits.val))
    if len(positions) < options.images:
        sys.stderr.write(
            f"note: {len(positions)} images instead of {options.images}: the validation part of {dataset.label} has "
            "no more\n"
        )
    device = Device.choose(options.device, "fp32").torch_device
    normalize = Normalization.choose(subject.normalization, mean=subject.model.input_mean, std=subject.model.input_std)
    seen, maps = [], {}
    for intervention in options.intervention or ["none"]:
        model = build_model(options, subject, intervention, splits.num_classes).to(device)

        def batches(name: str = intervention) -> Iterator[Tensor]:
            done = 0
            for batch in image_batches(splits.val, positions, normalize, batch_size=options.batch_size):
                done += len(batch)
                end = "\n" if done == len(positions) else ""
                sys.stderr.write(f"\r{name}: image {done} of {len(positions)}{end}")
                yield batch

        for field in receptive_fields(model, batches(), config):
            key = f"{intervention}/{field.place[0]}_{field.place[1]}"
            maps[key] = field
            metrics = measure(field)
            seen.append(
                LookedAt(
                    key=key,
                    intervention=intervention,
                    place=field.place,
                    grid=field.grid,
                    num_images=field.num_images,
                    gradient_sum=field.gradient_sum,
                    metrics=metrics,
                    remark=metrics.fit_px.remark,
                    warnings=tuple(warnings_for(model, config.point)),
                )
            )
    return Study(model=subject.model.label, dataset=dataset.label, fields=tuple(seen)), maps


def _write(folder: Path | None, study: Study, maps: dict[str, ReceptiveField]) -> None:
    if folder is None:
        return
    arrays = {key: field.map for key, field in maps.items()}
    arrays |= {f"{GRADIENT_SUM}/{key}": np.array(field.gradient_sum) for key, field in maps.items()}
    with replaced_file(folder / MAPS) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    with replaced_file(folder / RESULT) as file:
        file.write(study.model_dump_json(indent=2).encode())


def _dataset(text: str) -> DigitsConfig | FolderConfig | DatasetConfig:
    """`digits`, a folder of images, or a data set's config as JSON.

    Raises:
        ConfigError: it is none of these.
    """
    try:
        if text.startswith("{"):
            adapter: TypeAdapter[DatasetConfig] = TypeAdapter(DatasetConfig)
            return adapter.validate_json(text)
        return DigitsConfig() if text == "digits" else FolderConfig(path=text)
    except ValidationError as error:
        raise ConfigError(problems(f"{text} is not a data set", error)) from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m trainers.analyses", description="The receptive field of a model.")
    add_subject_arguments(parser)
    parser.add_argument(
        "--data",
        default="digits",
        help="digits, a folder of images, or a data set's config as JSON; its validation part is used, as in a trial",
    )
    parser.add_argument("--images", type=_positive, default=64, help="validation images to use, spread over the split")
    parser.add_argument("--batch-size", type=_positive, default=BATCH_SIZE)
    parser.add_argument("--target", type=target_of, default=CenterTarget(), help="center, ROW,COLUMN or lattice:N")
    parser.add_argument("--layer", type=int, help="block of a ViT, stage of Swin (default: the last)")
    parser.add_argument("--norm", choices=get_args(NormSide), default="before", help="the final norm")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--output", type=Path, help="folder for the maps and the JSON")
    return parser


if __name__ == "__main__":
    run_program(main)
