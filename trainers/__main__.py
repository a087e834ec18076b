"""Train one trial from a JSON or YAML file: `python -m trainers trial.json`.

Progress goes to stderr, the result as JSON to stdout (or to `--output`). Exit codes: 0 trained; 1 the trial failed;
2 the command or the trial file is wrong; 130 or 143 interrupted.

SIGINT (Ctrl-C) and SIGTERM (a machine that is taken away) let the trial save its state first; a second one does not.
"""

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from trainers.atomic_file import replaced_file
from trainers.command import trial as command
from trainers.config import TrialConfig
from trainers.document import read_document
from trainers.errors import ConfigError, DocumentError, InterruptedTrainingError, TrainerError
from trainers.own_code.place import OwnCode, own_code, running
from trainers.program import run_program, write_json
from trainers.result import EpochReport
from trainers.runtime import Runtime
from trainers.training.trial import train

EXAMPLE = """\
example trial.json:
  {"model": {"kind": "small_vit", "position": "rel_bias"},
   "attention_bias": {"kind": "gaussian", "sigma": 2.0},
   "dataset": {"kind": "digits", "num_train": 300},
   "optimization": {"optimizer": {"kind": "adamw", "lr": 0.002}, "epochs": 20, "global_batch_size": 50},
   "seed": 0}

with --storage, the same command goes on where an interrupted one stopped."""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, train, write the result; returns the exit code."""
    options = _parser().parse_args(arguments)
    # Warnings (an unreadable checkpoint) and news (a resumed one) belong on the screen too.
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    try:
        config = _read_config(options.trial)
        _require_place_for(options.output)
        _require_folder(options.storage)
        runtime = Runtime(
            storage=options.storage,
            checkpoint_minutes=options.checkpoint_minutes,
            code=options.code,
            data_root=options.data_root,
            device=options.device,
            loader_workers=options.loader_workers,
            image_cache_gib=options.image_cache_gib,
            num_threads=options.threads,
        )
    except ConfigError as error:
        _say(f"error: {error}")
        return 2
    caught: list[int] = []
    code = None if options.code is None else options.code.resolve()
    runs_itself = config.task.runs_itself
    make = command.run if runs_itself else train
    try:
        with _signals_that_stop(caught) as stop, own_code(OwnCode(code)) if runs_itself else running(code):
            result = make(config, runtime, on_epoch=lambda report: _say(progress_line(report, config)), stop=stop)
    except TrainerError as error:
        _say(f"error ({error.code}): {error}")
        return 1
    except (InterruptedTrainingError, KeyboardInterrupt) as interruption:
        here = "here" if isinstance(interruption, InterruptedTrainingError) else "what was saved last"
        _say(f"interrupted; {f'the same command goes on from {here}' if options.storage else 'nothing was kept'}")
        return 128 + (caught[-1] if caught else signal.SIGINT)
    text = result.model_dump_json(indent=2) + "\n"
    if options.output is None:
        write_json(text)
    else:
        with replaced_file(options.output) as file:
            file.write(text.encode())
    return 0


@contextmanager
def _signals_that_stop(caught: list[int]) -> Iterator[threading.Event]:
    """An event that the first signal sets; the second one interrupts whatever runs."""
    stop = threading.Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress_line(report: EpochReport, config: TrialConfig) -> str:
    """One epoch on one line."""
    metrics = report.metrics
    if not config.task.watched:
        told = "  ".join(f"{name} {value:.5g}" for name, value in metrics.items())
        return f"epoch {report.epoch + 1}  {told}"
    watched = (
        f"val {metric.words or metric.name} {metric.told(metrics[f'val/{metric.name}'])}"
        for metric in map(config.task.metric, config.task.watched)
    )
    return (
        f"epoch {report.epoch + 1}/{config.optimization.epochs}"
        f"  train loss {metrics['train/loss']:.4f}  {'  '.join(watched)}  lr {metrics['lr']:.2e}"
        f"  {metrics['images_per_second']:.0f} images/s  waiting {100 * metrics['data_wait_fraction']:.0f} %"
        f"  {report.seconds:.2f} s"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainers",
        description="Train one trial.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trial", type=Path, help="the trial's config (JSON or YAML)")
    parser.add_argument("--storage", type=Path, help="folder for checkpoint and predictions; needed to resume")
    parser.add_argument(
        "--checkpoint-minutes",
        type=_amount,
        default=5.0,
        help="minutes of training between two saves of its state (default: 5)",
    )
    parser.add_argument("--code", type=Path, help="folder that holds the packages and modules of your own kinds")
    parser.add_argument("--data-root", type=Path, help="folder that relative data set paths start from")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: CUDA if there is any"
    )
    parser.add_argument("--loader-workers", type=_count, default=0, help="processes that read images (default: 0)")
    parser.add_argument(
        "--image-cache-gib", type=_amount, default=0.0, help="RAM for decoded images, in GiB (default: 0, none)"
    )
    parser.add_argument(
        "--threads",
        type=_positive,
        help="CPU threads (default: one per core; 1 is fastest for a tiny model, or on a machine that is busy)",
    )
    parser.add_argument("--output", type=Path, help="file for the result (default: stdout)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _amount(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not an amount; take a number from 0 on")
    return number


def _read_config(path: Path) -> TrialConfig:
    """Read and validate a trial file.

    Raises:
        ConfigError: it is missing, neither JSON nor YAML, or isn't a trial; every problem on its own line.
    """
    try:
        document = read_document(path)
    except DocumentError as error:
        raise ConfigError(str(error)) from error
    try:
        # Types are taken at their word, as in an experiment's spec: the text "20" is not a number and true is not 1.
        return TrialConfig.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        problems = [
            f"  {'.'.join(str(part) for part in problem['loc']) or 'the file'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join([f"{path} is not a valid trial:", *problems])) from error


def _require_place_for(output: Path | None) -> None:
    """Find out before training, not after, that the result can't be written."""
    if output is None:
        return
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"there is no folder {output.resolve().parent} for --output")
    if output.is_dir():
        raise ConfigError(f"--output {output.resolve()} is a folder; name a file in it")


def _require_folder(storage: Path | None) -> None:
    if storage is not None and storage.exists() and not storage.is_dir():
        raise ConfigError(f"--storage {storage.resolve()} is a file; name a folder")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    run_program(main)
