"""Run experiments without the service: `python -m orchestrator run spec.json`, or one attempt of it: `drive`.

Exit codes: 0 the experiment succeeded, 1 it failed, 2 the spec or the command is wrong, 3 it was cancelled, 4 another
attempt is to go on (this one was terminated or replaced), 5 the database or the Ray cluster can't be reached, 7 it
succeeded, but does not show what `--require` or `--null` asks for.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.driving.ray_environment import prepare_ray_environment

# Before anything imports Ray.
prepare_ray_environment()

# Nothing here imports Ray, torch, MLflow or matplotlib: on a busy machine they take a minute, and a driver says that it
# lives before.
from orchestrator.driving.ending import abandon  # noqa: E402
from orchestrator.driving.watch import StopReason, Watch  # noqa: E402
from orchestrator.errors import ExperimentNotFoundError, SpecError, StaleAttemptError, StoreError  # noqa: E402
from orchestrator.kept_code import with_code  # noqa: E402
from orchestrator.logs import configure, is_about  # noqa: E402
from orchestrator.null_spec import null_spec  # noqa: E402
from orchestrator.overrides import with_overrides  # noqa: E402
from orchestrator.planning.expansion import Expansion  # noqa: E402
from orchestrator.private_folder import OpenFolderError, current_umask, private_folder, umask_of  # noqa: E402
from orchestrator.settings import Settings, WrongSettingsError, settings_here  # noqa: E402
from orchestrator.spec.code import with_code_beside  # noqa: E402
from orchestrator.spec.experiment import parse_spec  # noqa: E402
from orchestrator.statistics.requirement import Requirement, complaints, unmet  # noqa: E402
from orchestrator.status import ExperimentStatus  # noqa: E402
from orchestrator.store.database import Database, open_database  # noqa: E402
from orchestrator.store.experiments import begin_attempt, get_experiment, insert_experiment, move  # noqa: E402
from orchestrator.store.trials import plan_trials  # noqa: E402
from trainers.document import read_document  # noqa: E402
from trainers.errors import DocumentError  # noqa: E402
from trainers.fence import Fence, fenced  # noqa: E402
from trainers.program import run_program, write_json  # noqa: E402

_EXIT_CODES = {
    ExperimentStatus.SUCCEEDED: 0,
    ExperimentStatus.FAILED: 1,
    ExperimentStatus.CANCELLED: 3,
}
_CALLERS_UMASK = current_umask()
_UNFINISHED = 4
_UNREACHABLE = 5
_NOT_SHOWN = 7


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run, give the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = settings_here()
    except WrongSettingsError as error:
        _complain(str(error))
        return 2
    configure(settings.log_format, level=logging.WARNING, text_format="%(levelname)s %(name)s: %(message)s")
    os.umask(settings.umask)
    try:
        private_folder(settings.home)
        # An attempt is in a database already; an empty one in its place would hide that it was removed.
        database = open_database(
            settings.effective_database_url,
            must_exist=options.command is _drive,
            silence_seconds=settings.heartbeat_timeout_seconds,
        )
        try:
            return int(options.command(database, settings, options))
        finally:
            database.close()
    except SpecError as error:
        _complain(f"{options.spec} can't be run:", *(f"  {place or '/'}: {what}" for place, what in error.problems))
        return 2
    except ExperimentNotFoundError as error:
        _complain(str(error))
        return 2
    except OpenFolderError as error:
        _complain(str(error))
        return _UNREACHABLE
    except (StoreError, ConnectionError) as error:
        _complain(str(error))
        return _UNREACHABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m orchestrator", description="Run experiments on a Ray cluster.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a spec from start to report",
        epilog="example: ray job submit --working-dir . -- python -m orchestrator run examples/digits.json",
    )
    run.add_argument("spec", type=Path, help="file with the spec (JSON or YAML)")
    run.add_argument(
        "overrides",
        nargs="*",
        metavar="PATH=VALUE",
        help="fields of the spec to replace, such as optimization.epochs=5 seeds=0..9",
    )
    run.add_argument("--output", type=Path, metavar="DIR", help="folder for the report (default: in the state folder)")
    run.add_argument(
        "--null", action="store_true", help="train the control twice instead: exit code 7 unless each pair is equal"
    )
    run.add_argument("--json", action="store_true", help="print the report as JSON, and progress on standard error")
    run.add_argument(
        "--require",
        action="append",
        default=[],
        type=_requirement,
        metavar="[ARM=]DEMAND",
        help="improved, not-worse or equivalent: exit code 7 unless every row (or every row of ARM) shows it",
    )
    run.set_defaults(command=_run)
    drive = commands.add_parser("drive", help="run one attempt of an experiment that is in the store")
    drive.add_argument("experiment_id", help="id of the experiment")
    drive.add_argument("--attempt", type=int, required=True, metavar="N", help="number of the attempt")
    drive.set_defaults(command=_drive)
    return parser


def _run(database: Database, settings: Settings, options: argparse.Namespace) -> int:
    try:
        document = with_overrides(read_document(options.spec), options.overrides)
        if isinstance(document, dict):
            document = with_code_beside(document, options.spec.parent)
        spec = parse_spec(null_spec(document) if options.null else document)
    except DocumentError as error:
        _complain(str(error))
        return 2
    treatments = [arm.name for arm in spec.treatments]
    unmeetable = complaints(options.require, treatments, spec.equivalence_margin)
    if unmeetable:
        _complain(*unmeetable)
        return 2
    from orchestrator.driving.driver import run_experiment  # noqa: PLC0415
    from orchestrator.report.formats.folder import write_report  # noqa: PLC0415
    from orchestrator.report.formats.terminal import to_text  # noqa: PLC0415
    from orchestrator.stored.report import read_experiment, report_of  # noqa: PLC0415

    say = _sayer(sys.stderr if options.json else sys.stdout)
    # As Ctrl-C: what `ray job stop` and a scheduler send may come before the driver listens, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        with_code(spec, settings.effective_storage, roots=None, keep=True) as spec,
        fenced(Fence(settings.data_roots)),
    ):
        expansion = Expansion(spec, data_root=settings.effective_data_root)
        experiment_id, attempt = _begin(database, expansion)
    # Nobody would go on: a run that is interrupted or breaks is over (the same spec again takes up its trials).
    try:
        say(f"experiment {experiment_id} ({spec.name}), digest {expansion.digest}")
        for name, line in expansion.data_found.items():
            say(f"data {name}: {line}")
        status = run_experiment(
            database, settings, experiment_id, attempt, on_progress=say, on_signal=StopReason.CANCELLED
        )
    except KeyboardInterrupt:
        status = abandon(database, experiment_id, attempt, ExperimentStatus.CANCELLED, "interrupted")
        say(f"interrupted: experiment {experiment_id} {status}")
    except Exception as error:
        abandon(database, experiment_id, attempt, ExperimentStatus.FAILED, f"its driver broke: {error}")
        raise
    if not status.is_final:
        return _UNFINISHED
    with database.read() as session:
        stored = read_experiment(session, experiment_id)
    report = report_of(stored, storage=settings.effective_storage)
    # A folder that the user has named is the user's own.
    with umask_of(_CALLERS_UMASK if options.output else settings.umask):
        files = write_report(report, options.output or settings.home / "reports" / experiment_id)
    if options.json:
        write_json(report.model_dump_json(indent=1) + "\n")
    else:
        sys.stdout.write(f"\n{to_text(report.for_people())}\n")
    say(f"report: {files['md'].absolute().parent}")
    not_shown = unmet(options.require, report.comparisons)
    not_shown += [check.text for check in report.repeats if options.null and not check.is_exact]
    if status is ExperimentStatus.SUCCEEDED and not_shown:
        _complain(*not_shown)
        return _NOT_SHOWN
    return _EXIT_CODES[status]


def _requirement(text: str) -> Requirement:
    try:
        return Requirement.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _begin(database: Database, expansion: Expansion) -> tuple[str, int]:
    """Store the experiment with its first attempt at once, so that no service takes it for one to start."""
    with database.write() as session:
        row = insert_experiment(session, expansion.spec, expansion.digest, expansion.data_found)
        plan_trials(session, row.id, expansion.confirm_trials({}, expansion.first_reach))
        attempt = begin_attempt(session, row.id, None)
        move(session, row.id, ExperimentStatus.STARTING, "driven by hand")
    return row.id, attempt


def _drive(database: Database, settings: Settings, options: argparse.Namespace) -> int:
    say, experiment_id, attempt = _sayer(sys.stdout), options.experiment_id, options.attempt
    is_about(experiment=experiment_id, attempt=attempt)
    try:
        with Watch(database, experiment_id, attempt, heartbeat_seconds=settings.heartbeat_seconds):
            from orchestrator.driving.driver import run_experiment  # noqa: PLC0415
        status = run_experiment(database, settings, experiment_id, attempt, on_progress=say)
    except StaleAttemptError as error:
        say(f"this attempt is over: {error}")
        with database.read() as session:
            status = ExperimentStatus(get_experiment(session, experiment_id).status)
    return _EXIT_CODES[status] if status.is_final else _UNFINISHED


def _sayer(stream: Any) -> Callable[[str], None]:  # noqa: ANN401 (any text stream)
    def say(line: str) -> None:
        stream.write(f"{line}\n")
        # A Ray job's log is read while it runs.
        stream.flush()

    return say


def _complain(*lines: str) -> None:
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    run_program(main)
