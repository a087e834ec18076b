"""Look at a model: `python -m trainers.analyses MODEL --data digits --output FOLDER`.

Progress and warnings go to stderr, the result as JSON to stdout; the folder gets `receptive_field.json` and the maps,
`receptive_field.npz`. Exit codes: 0 done; 1 the model can't be looked at so; 2 wrong usage; 130 interrupted.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from trainers.analyses.images import BATCH_SIZE, image_batches
from trainers.analyses.map_metrics import ReceptiveField, measure
from trainers.analyses.receptive_field import (
    FeaturePoint,
    ReceptiveFieldConfig,
    receptive_fields,
    warnings_for,
)
from trainers.analyses.study import MAPS, RESULT, LookedAt, Study
from trainers.analyses.subject import Intervention, SubjectConfig, build_subject
from trainers.analyses.targets import CenterTarget, LatticeTarget, TargetConfig, TokenTarget
from trainers.atomic_file import replaced_file
from trainers.data import DatasetConfig, DigitsConfig, FolderConfig, NoAugmentation
from trainers.data.normalization import Normalization
from trainers.device import Device
from trainers.errors import ConfigError, TrainerError
from trainers.models.gaussian import GaussianBias


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, look, write; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="warning: %(message)s")
    try:
        study, maps = _look(options)
        _write(options.output, study, maps)
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except TrainerError as error:
        sys.stderr.write(f"error ({error.code}): {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; nothing was written\n")
        return 130
    sys.stdout.write(study.model_dump_json(indent=2) + "\n")
    return 0


def _look(options: argparse.Namespace) -> tuple[Study, dict[str, ReceptiveField]]:
    subject = _subject(options)
    dataset = _dataset(options.data)
    config = ReceptiveFieldConfig(
        target=options.target, point=FeaturePoint(layer=options.layer, norm=options.norm), precision=options.precision
    )
    splits = dataset.load(
        None,
        input_size_px=subject.model.input_size_px,
        augmentation=NoAugmentation(),
        seed=0,
    )
    num_images = min(options.images, len(splits.val))
    device = Device.choose(options.device, "fp32").torch_device
    normalize = Normalization.choose(subject.normalization, mean=subject.model.input_mean, std=subject.model.input_std)
    seen, maps = [], {}
    for intervention in options.intervention or ["none"]:
        model = build_subject(
            subject,
            checkpoint=options.checkpoint,
            intervention=intervention,
            gaussian=GaussianBias(sigma=options.sigma, amplitude=options.amplitude),
            layers=options.layers,
            num_classes=splits.num_classes,
        ).to(device)

        def batches(name: str = intervention) -> Iterator[Tensor]:
            done = 0
            for batch in image_batches(splits.val, range(num_images), normalize, batch_size=options.batch_size):
                done += len(batch)
                sys.stderr.write(f"\r{name}: image {done} of {num_images}" + ("\n" if done == num_images else ""))
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
                    metrics=metrics,
                    remark=metrics.fit_px.remark,
                    warnings=tuple(warnings_for(model, config.point)),
                )
            )
    return Study(model=subject.model.label, dataset=dataset.label, fields=tuple(seen)), maps


def _write(folder: Path | None, study: Study, maps: dict[str, ReceptiveField]) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {key: field.map for key, field in maps.items()}
    with replaced_file(folder / MAPS) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    with replaced_file(folder / RESULT) as file:
        file.write(study.model_dump_json(indent=2).encode())


def _subject(options: argparse.Namespace) -> SubjectConfig:
    """A timm name, `small_vit`, or a JSON file: a model's config or a whole trial.

    Raises:
        ConfigError: it is none of these.
    """
    text: str = options.model
    if text.endswith(".json"):
        try:
            value = json.loads(Path(text).read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{text} can't be read as JSON: {error}") from error
        document = {name: value[name] for name in ("model", "attention_bias", "seed") if name in value}
        document = document or {"model": value}
    elif text == "small_vit":
        document = {"model": {"kind": "small_vit"}}
    else:
        document = {"model": {"kind": "timm", "name": text, "pretrained": options.pretrained}}
    try:
        return SubjectConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(_problems(f"{text} is no model", error)) from error


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
        raise ConfigError(_problems(f"{text} is no data set", error)) from error


def _problems(title: str, error: ValidationError) -> str:
    lines = [f"  {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)]
    return "\n".join([f"{title}:", *lines])


def _target(text: str) -> TargetConfig:
    kind, _, rest = text.partition(":")
    try:
        if kind == "center" and not rest:
            return CenterTarget()
        if kind == "lattice":
            return LatticeTarget(per_side=int(rest))
        row, column = (int(part) for part in text.split(","))
        return TokenTarget(row=row, column=column)
    except ValueError as error:
        message = f"{text!r} is no target; write `center`, `ROW,COLUMN` or `lattice:N`"
        raise argparse.ArgumentTypeError(message) from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _layers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainers.analyses", description="The receptive field of a model.")
    parser.add_argument("model", help="a timm name, small_vit, or a JSON file with a model's or trial's config")
    parser.add_argument("--checkpoint", type=Path, help="weights: a trial's checkpoint.pt, or any state dict")
    parser.add_argument("--pretrained", action="store_true", help="start from timm's published weights")
    parser.add_argument("--intervention", action="append", choices=get_args(Intervention), help="may be repeated")
    parser.add_argument("--layers", type=_layers, help="layers that the intervention concerns, as 0,1,2")
    parser.add_argument("--sigma", type=float, default=2.0, help="of the intervention gaussian, in tokens")
    parser.add_argument("--amplitude", type=float, default=1.0, help="A of the intervention gaussian")
    parser.add_argument("--data", default="digits", help="digits, a folder of images, or a data set's config as JSON")
    parser.add_argument("--images", type=_positive, default=64, help="validation images to use")
    parser.add_argument("--batch-size", type=_positive, default=BATCH_SIZE)
    parser.add_argument("--target", type=_target, default=CenterTarget(), help="center, ROW,COLUMN or lattice:N")
    parser.add_argument("--layer", type=int, help="block of a ViT, stage of Swin (default: the last)")
    parser.add_argument("--norm", choices=("before", "after"), default="before", help="the final norm")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--output", type=Path, help="folder for the maps and the JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
