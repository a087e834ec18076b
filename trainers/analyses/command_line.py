"""What the command lines of all analyses share: the model, what is done to it, how errors end."""

import argparse
import difflib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

from pydantic import ValidationError
from torch import nn

from trainers.analyses.intervention import Intervention
from trainers.analyses.subject import SubjectConfig, build_subject
from trainers.analyses.targets import CenterTarget, LatticeTarget, TargetConfig, TokenTarget
from trainers.document import is_document, read_document
from trainers.errors import ConfigError, DocumentError, TrainerError
from trainers.models.gaussian import GaussianBias
from trainers.program import write_json
from trainers.strict import StrictModel


def run_command(work: Callable[[], StrictModel]) -> int:
    """Do it; the result as JSON to stdout, everything else to stderr. Returns the exit code.

    0 done; 1 the model can't be looked at so; 2 wrong usage; 130 interrupted.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="warning: %(message)s")
    try:
        study = work()
    except ValidationError as error:
        sys.stderr.write(f"error: {problems('an option is out of range', error)}\n")
        return 2
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except TrainerError as error:
        sys.stderr.write(f"error ({error.code}): {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; nothing was written\n")
        return 130
    write_json(study.model_dump_json(indent=2) + "\n")
    return 0


class CommandParser(argparse.ArgumentParser):
    """Says what is wrong in one line: the usage belongs to `sigmalab`, which has its own."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"error: {message}\n")


class _EachOnce(argparse.Action):
    """Appends, but not the same again: both would have one name in the result."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Refuse what is there already."""
        so_far = getattr(namespace, self.dest) or []
        if values in so_far:
            raise argparse.ArgumentError(
                self,
                f"{values} is given twice; for another --sigma, --amplitude or --layers look again, into another "
                "--output",
            )
        setattr(namespace, self.dest, [*so_far, values])


def add_subject_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, its weights, and the interventions."""
    parser.add_argument("model", help="a timm name, small_vit, or a JSON file with a model's or trial's config")
    parser.add_argument("--checkpoint", type=Path, help="weights: a trial's best_weights.pt, or any state dict")
    parser.add_argument("--pretrained", action="store_true", help="start from timm's published weights")
    parser.add_argument(
        "--intervention",
        action=_EachOnce,
        type=_intervention,
        help="what is changed in the model before it is looked at; may be repeated",
    )
    parser.add_argument(
        "--layers", type=_layers, help="blocks of a ViT, stages of a Swin that the intervention concerns, as 0,1,2"
    )
    parser.add_argument("--sigma", type=float, default=2.0, help="sigma of the intervention gaussian, in tokens")
    parser.add_argument("--amplitude", type=float, default=1.0, help="A of the intervention gaussian")


def build_model(
    options: argparse.Namespace, subject: SubjectConfig, intervention: Intervention, num_classes: int
) -> nn.Module:
    """The model after one intervention."""
    return build_subject(
        subject,
        checkpoint=options.checkpoint,
        intervention=intervention,
        gaussian=GaussianBias(sigma=options.sigma, amplitude=options.amplitude),
        layers=options.layers,
        num_classes=num_classes,
    )


def read_subject(options: argparse.Namespace) -> SubjectConfig:
    """A timm name, `small_vit`, or a JSON or YAML file: a model's config or a whole trial.

    Raises:
        ConfigError: it is none of these.
    """
    text: str = options.model
    if options.pretrained and (text == "small_vit" or is_document(text)):
        raise ConfigError(
            f"--pretrained is for timm's names; {text} would be looked at without published weights "
            '(a config says "pretrained" itself, --checkpoint names a file of weights)'
        )
    if is_document(text):
        try:
            value = read_document(Path(text))
        except DocumentError as error:
            raise ConfigError(str(error)) from error
        if not isinstance(value, dict):
            raise ConfigError(f"{text} does not hold an object: it should be a model's config or a whole trial's")
        document = {name: value[name] for name in SubjectConfig.model_fields if name in value}
        if "model" not in value and "kind" not in value:
            has = ", ".join(list(value)[:6]) or "nothing"
            raise ConfigError(
                f"{text} is not a model: it has {has}; expected a model's config, which has `kind`, or a trial's, "
                "which has `model`: trial.json in a trial's storage folder"
            )
        document = {"model": value} if "model" not in value else document
    elif text == "small_vit":
        document = {"model": {"kind": "small_vit"}}
    else:
        document = {"model": {"kind": "timm", "name": text, "pretrained": options.pretrained}}
    try:
        # Types are taken at their word, as in a spec.
        subject = SubjectConfig.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        raise ConfigError(problems(f"{text} is not a model", error)) from error
    if getattr(subject.model, "pretrained", False):
        # Asking a hub that doesn't answer takes most of a minute.
        sys.stderr.write(f"loading the published weights of {subject.model.label}\n")
    return subject


def make_output(folder: Path | None) -> None:
    """Make the folder before the work, which would else be lost.

    Args:
        folder: where the result goes (`None`: to stdout only).

    Raises:
        ConfigError: it can't be made, or nothing can be written into it.
    """
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        in_the_way = [each for each in (folder, *folder.parents) if os.path.lexists(each) and not each.is_dir()]
        reason = f"{in_the_way[-1]} is not a folder" if in_the_way else error.strerror
        raise ConfigError(f"nothing can be written to the folder --output {folder}: {reason}") from error


def problems(title: str, error: ValidationError) -> str:
    """A validation error in lines that a user can read."""
    lines = [f"  {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)]
    return "\n".join([f"{title}:", *lines])


def target_of(text: str) -> TargetConfig:
    """`center`, `ROW,COLUMN` or `lattice:N`."""
    kind, _, rest = text.partition(":")
    try:
        if kind == "center" and not rest:
            return CenterTarget()
        if kind == "lattice":
            return LatticeTarget(per_side=int(rest))
        row, column = (int(part) for part in text.split(","))
        return TokenTarget(row=row, column=column)
    except ValueError as error:
        message = f"{text!r} is not a target; write `center`, `ROW,COLUMN` or `lattice:N`"
        raise argparse.ArgumentTypeError(message) from error


def _intervention(text: str) -> Intervention:
    known: tuple[Intervention, ...] = get_args(Intervention)
    if text in known:
        return text
    nearest = difflib.get_close_matches(text, known, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(known)}{hint}")


def _layers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} names no layers; write numbers from 0, as 0,1,2") from error
