"""Look at a model: `python -m trainers.analyses MODEL --data digits --output FOLDER`.

Progress and warnings go to stderr, the result as JSON to stdout; the folder gets `receptive_field.json` and the maps,
`receptive_field.npz`. Exit codes: 0 done; 1 the model can't be looked at so; 2 wrong usage; 130 interrupted.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

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
from trainers.analyses.study import LookedAt, Study, write_study
from trainers.analyses.targets import CenterTarget
from trainers.data.augmentation import NoAugmentation
from trainers.data.digits import DigitsConfig
from trainers.data.folder import FolderConfig
from trainers.data.normalization import Normalization
from trainers.data.scored_view import scored_view
from trainers.data.splits import squares
from trainers.device import Device
from trainers.document import is_document, read_document
from trainers.errors import ConfigError
from trainers.kinds import DatasetConfig
from trainers.nested import Nested
from trainers.program import run_program
from trainers.progress import Progress


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, look, write; returns the exit code."""
    options = _parser().parse_args(arguments)

    def work() -> Study:
        study, maps = _look(options)
        if options.output is not None:
            write_study(options.output, study, maps)
        return study

    return run_command(work)


def _look(options: argparse.Namespace) -> tuple[Study, dict[str, ReceptiveField]]:
    subject = read_subject(options)
    dataset = _dataset(options.data, options.model)
    config = ReceptiveFieldConfig(
        target=options.target, point=FeaturePoint(layer=options.layer, norm=options.norm), precision=options.precision
    )
    # Before any image is read: it can take long.
    check_target(config, subject.model.grids().features, subject.model.label)
    make_output(options.output)
    splits = dataset.load(
        # A folder that is typed lies where it is typed; a trial's lies where its trainings look for it.
        None if options.data else options.data_root,
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

    def model_input(images: Nested) -> Tensor:
        return normalize(squares(images, subject.model.input_size_px))

    seen, maps = [], {}
    for intervention in options.intervention or ["none"]:
        model = build_model(options, subject, intervention, splits.num_classes).to(device)

        def batches(name: str = intervention) -> Iterator[Tensor]:
            with Progress(f"{name}: images", len(positions), sys.stderr) as progress:
                for batch in image_batches(splits.val, positions, model_input, batch_size=options.batch_size):
                    progress.advance(len(batch))
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


def _dataset(text: str | None, model: str) -> DigitsConfig | FolderConfig | DatasetConfig:
    """`digits`, a folder of images, or a data set's config as JSON; without any, the trial's own or `digits`.

    Raises:
        ConfigError: it is none of these.
    """
    adapter: TypeAdapter[DatasetConfig] = TypeAdapter(DatasetConfig)
    text = text or _dataset_of_trial(model) or "digits"
    try:
        if text.startswith("{"):
            return adapter.validate_json(text)
        return DigitsConfig() if text == "digits" else FolderConfig(path=text)
    except ValidationError as error:
        raise ConfigError(problems(f"{text} is not a data set", error)) from error


def _dataset_of_trial(model: str) -> str | None:
    """The data set of a trial's config, as JSON (`None`: it is not a trial's; `read_subject` has read it before)."""
    document = read_document(Path(model)) if is_document(model) else None
    return json.dumps(document["dataset"]) if isinstance(document, dict) and "dataset" in document else None


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
        help="digits, a folder of images, or a data set's config as JSON (default: the trial's own data set, else "
        "digits); its validation part is used, as in a trial",
    )
    parser.add_argument(
        "--data-root", type=Path, help="folder that a relative path of the trial's data set starts from"
    )
    parser.add_argument("--images", type=_positive, default=64, help="validation images to use, spread over the split")
    parser.add_argument("--batch-size", type=_positive, default=BATCH_SIZE)
    parser.add_argument(
        "--target",
        type=target_of,
        default=CenterTarget(),
        help="the token: center or ROW,COLUMN; lattice:N for N x N tokens",
    )
    parser.add_argument("--layer", type=int, help="block of a ViT, stage of Swin (default: the last)")
    parser.add_argument("--norm", choices=get_args(NormSide), default="before", help="the final norm")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--output", type=Path, help="folder for the maps and the JSON")
    return parser


if __name__ == "__main__":
    run_program(main)
