"""Look at a model's position bias: `python -m trainers.analyses.bias_study MODEL --output FOLDER`. No image is needed.

Warnings go to stderr, the result as JSON to stdout; the folder gets `learned_bias.json` and the maps,
`learned_bias.npz`, each named `<intervention>/<name>` (names: see `trainers.analyses.learned_bias`). Exit codes: see
`trainers.analyses.command_line`.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.analyses.command_line import (
    CommandParser,
    add_subject_arguments,
    build_model,
    make_output,
    read_subject,
    run_command,
    target_of,
)
from trainers.analyses.learned_bias import learned_bias
from trainers.analyses.questions import LearnedBiasConfig, check_query
from trainers.analyses.study import BiasLook, BiasStudy, write_bias_study
from trainers.analyses.targets import CenterTarget
from trainers.errors import AnalysisError
from trainers.models.bias import attached_biases, bias_metrics
from trainers.program import run_program

_NUM_CLASSES = 10
"""Of the head, which has no position."""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, look, write; returns the exit code."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _look(options))


def _look(options: argparse.Namespace) -> BiasStudy:
    subject = read_subject(options)
    config = LearnedBiasConfig(query=options.query, per_head=options.per_head)
    if subject.model.no_bias is None:
        check_query(config, subject.model.grids().attention)
    make_output(options.output)
    looks: list[BiasLook] = []
    maps: dict[str, npt.NDArray[np.float32]] = {}
    for intervention in options.intervention or ["none"]:
        model = build_model(options, subject, intervention, _NUM_CLASSES)
        learned = learned_bias(model, config)
        if not learned.maps:
            raise AnalysisError(
                f"{subject.model.label} has neither a learned position embedding of a kind that can be shown (relative "
                "tables and MLPs of ViTs, BEiT, Swin; absolute of ViTs, BEiT, EVA) nor a Gaussian"
            )
        looks.append(
            BiasLook(
                intervention=intervention,
                fits=learned.fits,
                attention_bias=next((bias.kind for bias in attached_biases(model)), "none"),
                gaussians=bias_metrics(model),
            )
        )
        maps |= {f"{intervention}/{name}": values.astype(np.float32) for name, values in learned.maps.items()}
    study = BiasStudy(model=subject.model.label, looks=tuple(looks))
    if options.output is not None:
        write_bias_study(options.output, study, maps)
    return study


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m trainers.analyses.bias_study", description="The position bias of a model.")
    add_subject_arguments(parser)
    parser.add_argument(
        "--query",
        type=target_of,
        default=CenterTarget(),
        help="the token: center or ROW,COLUMN; lattice:N for N x N tokens",
    )
    parser.add_argument("--per-head", action="store_true", help="fit a Gaussian to each head too")
    parser.add_argument("--output", type=Path, help="folder for the maps and the JSON")
    return parser


if __name__ == "__main__":
    run_program(main)
