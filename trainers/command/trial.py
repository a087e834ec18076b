"""One trial of a user's own program: a folder of its own, the call, and its numbers as a result like any other."""

import hashlib
import logging
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import ValidationError

from trainers.atomic_file import replaced_file
from trainers.checksums import changed_file, write_sums
from trainers.command.arguments import OUTPUT, SEED, Argument, command_line
from trainers.command.dataset import CommandDataset
from trainers.command.files import command_files, named_in
from trainers.command.model import CommandModel
from trainers.command.process import Command
from trainers.command.results import Results
from trainers.command.rows import Row, chosen, curves, merged
from trainers.command.task import CommandTask
from trainers.config import TrialConfig, canonical_json, trial_identity
from trainers.counted import counted
from trainers.environment import environment_of_own_code
from trainers.errors import CheckpointError, CommandError, ConfigError, InterruptedTrainingError
from trainers.own_code.place import own_code_here
from trainers.result import EpochReport, TrialResult
from trainers.runtime import Runtime
from trainers.training.files import CONFIG, RESULT
from trainers.version import code_version, library_versions

RUN = "run"
"""Folder in the trial's, in which the command runs."""
_LOOK_SECONDS = 0.5
_NUM_TOLD_LINES, _MAX_TOLD = 5, 900
_SIGNALLED = 128

logger = logging.getLogger(__name__)

OnEpoch = Callable[[EpochReport], None]


def run(
    config: TrialConfig,
    runtime: Runtime,
    *,
    on_epoch: OnEpoch | None = None,
    stop: threading.Event | None = None,
    on_life: Callable[[], None] | None = None,
) -> TrialResult:
    """Run a trial's command, and read what it wrote. A finished trial's stored result is returned at once.

    The command runs in a fresh folder `run` in the trial's own, which holds a copy of the code; what it leaves there is
    kept, and goes when the trial is run again: unlike our own loop, nobody knows how to go on in the middle.

    Args:
        config: of the task command.
        runtime: where it runs.
        on_epoch: called with each further row of the results, as soon as it is there.
        stop: once it is set, the command is told to end.
        on_life: called now and then while it runs; its time limit is what ends one that hangs.

    Raises:
        ConfigError: there is no such program, or no code.
        CommandError: it failed, took too long, or wrote no numbers that count.
        CheckpointError: the storage holds another trial.
        OtherVersionError: this machine has other code than that which the trial was planned with.
        InterruptedTrainingError: it was asked to stop.
    """
    facts = _facts_of(config)
    if runtime.planned is not None:
        runtime.planned.require(trial=facts["trial"], code=facts["code_version"], data=facts["data_fingerprint"])
    stored = _stored(runtime.storage, facts)
    if stored is not None:
        return stored
    started = time.monotonic()
    with _place(runtime.storage) as place:
        if runtime.storage is not None:
            with replaced_file(place / CONFIG) as file:
                file.write(config.model_dump_json(indent=1).encode())
        folder = place / RUN
        copied = _copy_code(folder, config)
        asked = _Call(config, runtime, folder, copied)
        training = _Training(asked, on_epoch, stop or threading.Event(), on_life)
        rows = training.run()
        result = _result(config, rows, training, {**facts, **asked.provenance()}, time.monotonic() - started)
        if runtime.storage is not None:
            _keep(place, result)
        _tidy(folder, copied)
        return result


class _Copied(NamedTuple):
    size: int
    modified_ns: int
    inode: int


class _Call:
    """What is called, and with what around it."""

    def __init__(self, config: TrialConfig, runtime: Runtime, folder: Path, copied: Mapping[Path, _Copied]) -> None:
        model, dataset = cast("CommandModel", config.model), cast("CommandDataset", config.dataset)
        self.results: Results = cast("CommandTask", config.task).results
        self.folder, self.limit_seconds, self._copied = folder, runtime.limit_seconds, copied
        values: dict[str, Argument] = {
            **dataset.arguments,
            **model.arguments,
            SEED: config.seed,
            OUTPUT: str(folder),
        }
        self.words = command_line(model.argv, values)
        self.env = _environment(config, runtime, folder)
        self._device, self._config = runtime.device, config
        program = shutil.which(self.words[0], path=self.env["PATH"])
        self._is_ours = program is not None and Path(program).parent == Path(sys.executable).parent
        if program is None:
            raise ConfigError(
                f"there is no program `{self.words[0]}` on this node; a script is run as `python train.py`, or "
                "`bash train.sh`"
            )

    def rows(self, said: Sequence[str], *, is_over: bool) -> list[Row]:
        """What it has written so far, and nothing that lay there before.

        Raises:
            CommandError: it can't be read.
        """
        before = {file for file, look in self._copied.items() if _is_unchanged(file, look)}
        return merged(self.results.rows(self.folder, said, is_over=is_over, but=before))

    def provenance(self) -> dict[str, str]:
        """Where and with what it ran."""
        return {
            "num_workers": "1",
            "device": _device_name(self._device),
            "threads": self.env.get("OMP_NUM_THREADS", "not set"),
            # Of another environment nobody here knows what is in it.
            **({"python": platform.python_version(), **library_versions(self._config)} if self._is_ours else {}),
        }


class _Training:
    """The command under way, and what it has written so far."""

    def __init__(
        self, call: _Call, on_epoch: OnEpoch | None, stop: threading.Event, on_life: Callable[[], None] | None
    ) -> None:
        self._call, self._on_epoch, self._stop, self._on_life = call, on_epoch, stop, on_life
        self._said: list[str] = []
        self.reports: list[EpochReport] = []
        self._looked_at = time.monotonic()

    def run(self) -> list[Row]:
        """Every row that it has written, once it has ended well.

        Raises:
            CommandError: it did not.
            InterruptedTrainingError: it was asked to stop.
        """
        call, started = self._call, time.monotonic()
        sys.stderr.write(f"$ {' '.join(call.words)}\n")
        with Command(call.words, call.folder, call.env, self._hear) as command:
            while (status := command.wait(_LOOK_SECONDS)) is None:
                if self._on_life is not None:
                    self._on_life()
                if self._stop.is_set():
                    raise InterruptedTrainingError("its command was ended, and begins anew")
                seconds = time.monotonic() - started
                if call.limit_seconds is not None and seconds > call.limit_seconds:
                    raise CommandError(
                        f"the command ran longer than {counted(call.limit_seconds / 60, 'minute')}, and was ended "
                        f"(`resources.max_trial_minutes`); {self._end_of(command)}"
                    )
                self._look()
            if status:
                raise CommandError(f"the command ended with {_exit_words(status)}; {self._end_of(command)}")
            try:
                rows = _all_rows(call, self._said)
            except CommandError as error:
                raise CommandError(f"{error}; {self._end_of(command)}") from error
        self._report(rows)
        return rows

    def _hear(self, line: str) -> None:
        self._said += self._call.results.heard(line)

    def _look(self) -> None:
        """Tell of rows that are new; what is wrong with them is told at the end."""
        if self._on_epoch is None:
            return
        try:
            rows = self._call.rows(list(self._said), is_over=False)
        except CommandError:
            return
        # The last one may still be written in parts: training first, then validation.
        self._report(rows[:-1])

    def _report(self, rows: Sequence[Row]) -> None:
        for epoch, values in list(enumerate(curves(rows)))[len(self.reports) :]:
            now = time.monotonic()
            report = EpochReport(epoch=epoch, metrics=dict(values), seconds=now - self._looked_at)
            self._looked_at = now
            self.reports.append(report)
            if self._on_epoch is not None:
                self._on_epoch(report)

    def _end_of(self, command: Command) -> str:
        """The end of its output, as errors tell it: without the folder, which is another one in every trial."""
        place = f"{self._call.folder}{os.sep}"
        lines = [line.replace(place, "") for line in command.last_lines[-_NUM_TOLD_LINES:]]
        text = " | ".join(lines)
        return f"its output ends with: {text[-_MAX_TOLD:]}" if text else "it put nothing out"


def _all_rows(call: _Call, said: Sequence[str]) -> list[Row]:
    rows = call.rows(said, is_over=True)
    if not rows:
        raise CommandError("the script ended without an error, and wrote no row with a metric")
    return rows


def _exit_words(status: int) -> str:
    if status < 0:
        # Of the guard, which hands on what the command itself ended with.
        return f"signal {-status}, which killed the process that keeps it"
    if status <= _SIGNALLED:
        return f"exit code {status}"
    number = status - _SIGNALLED
    memory = ": was there too little memory?" if number == 9 else ""
    return f"exit code {status}, killed by signal {number}{memory}"


def _facts_of(config: TrialConfig) -> dict[str, str]:
    folder = own_code_here().folder
    if folder is None:
        raise ConfigError("a command runs in a copy of the folder that holds its script: name it as `code`")
    if not folder.is_dir():
        raise ConfigError(
            f"the experiment's code is not at {folder}: every node must see the same storage as the service"
        )
    code, data = code_version(config), config.dataset.fingerprint(None)
    return {
        "trial": trial_identity(config, code_version=code, data_fingerprint=data),
        "code_version": code,
        "data_fingerprint": data,
        "config_digest": hashlib.sha256(canonical_json(config).encode()).hexdigest()[:20],
    }


@contextmanager
def _place(storage: Path | None) -> Iterator[Path]:
    if storage is not None:
        storage.mkdir(parents=True, exist_ok=True)
        yield storage.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="sigmalab-") as folder:
        yield Path(folder)


def _copy_code(folder: Path, config: TrialConfig) -> dict[Path, _Copied]:
    """A fresh folder with a copy of the command's code: scripts may write beside themselves, and so may many at once.

    What only other arms name is not there: an identity that does not hold it would lie.
    """
    code = own_code_here().folder
    assert code is not None
    if folder.exists():
        shutil.rmtree(folder)
    named = named_in(config)
    assert named is not None
    folder.mkdir(parents=True)
    copied = {}
    for name in command_files(named, code).files:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(code / name, file)
        copied[file] = _look_of(file)
    return copied


def _look_of(file: Path) -> _Copied:
    found = file.stat()
    return _Copied(found.st_size, found.st_mtime_ns, found.st_ino)


def _is_unchanged(file: Path, look: _Copied) -> bool:
    try:
        return not file.is_symlink() and file.is_file() and _look_of(file) == look
    except OSError:
        return False


def _tidy(folder: Path, copied: Mapping[Path, _Copied]) -> None:
    """Remove the copy of the code again, as far as nobody has changed it: what the command has written stays.

    Of a trial that is complete, so nothing that goes wrong here may end it.
    """
    try:
        for file, look in copied.items():
            if _is_unchanged(file, look):
                file.unlink()
        # Folders that held the copy, from within; links are the script's own.
        for place in sorted({each for file in copied for each in _folders_to(folder, file)}, reverse=True):
            if place.is_dir() and not place.is_symlink() and not any(place.iterdir()):
                place.rmdir()
    except OSError as error:
        logger.warning("the copy of the code in %s can't be removed: %s", folder, error)


def _folders_to(folder: Path, file: Path) -> Iterator[Path]:
    return (each for each in file.parents if each != folder and each.is_relative_to(folder))


def _environment(config: TrialConfig, runtime: Runtime, folder: Path) -> dict[str, str]:
    """This process' own, with what a training needs; settings of the service, some of them secrets, are left out."""
    env = environment_of_own_code()
    ours = [str(Path(sys.executable).parent), env.get("PATH", os.defpath)]
    modules = [str(folder), *([env["PYTHONPATH"]] if env.get("PYTHONPATH") else [])]
    env |= {
        "PATH": os.pathsep.join(ours),
        # Before an editable install of the same package, which would be another version of it.
        "PYTHONPATH": os.pathsep.join(modules),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": str(config.seed),
        "SIGMALAB_SEED": str(config.seed),
        "SIGMALAB_OUTPUT": str(folder),
    }
    if runtime.num_threads is not None:
        env["OMP_NUM_THREADS"] = str(runtime.num_threads)
    if runtime.device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
    return env


def _device_name(device: str) -> str:
    """As our own trials tell it."""
    if device == "cpu":
        return "cpu"
    import torch  # noqa: PLC0415  a second that a CPU does without

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _result(
    config: TrialConfig, rows: Sequence[Row], training: _Training, provenance: Mapping[str, str], seconds: float
) -> TrialResult:
    """The numbers that count; a search sees none of the test split."""
    results = cast("CommandTask", config.task).results
    names = [name for name in results.metrics if config.score_test or not name.startswith("test/")]
    found = chosen(rows, names, results.row, results.chooser)
    metrics = dict(training.reports[-1].metrics) if training.reports else {}
    for name, value in found.values.items():
        metrics[f"best_{name}" if name.startswith("val/") else name] = value
    return TrialResult(
        epochs=training.reports,
        best_epoch=found.epoch,
        metrics=metrics,
        predictions_file=None,
        training_seconds=seconds,
        provenance=dict(provenance),
    )


def _keep(storage: Path, result: TrialResult) -> None:
    text = result.model_dump_json(indent=1).encode()
    # Before the result, which makes the trial a finished one.
    write_sums(storage, {RESULT: hashlib.sha256(text).hexdigest()})
    with replaced_file(storage / RESULT) as file:
        file.write(text)


def _stored(storage: Path | None, facts: Mapping[str, str]) -> TrialResult | None:
    """The result of a trial that is complete already; one that was changed is made again.

    Raises:
        CheckpointError: it is another trial's.
    """
    if storage is None or not (storage / RESULT).exists():
        return None
    if (changed := changed_file(storage)) is not None:
        logger.warning("%s: %s; running the command again", storage, changed)
        return None
    try:
        result = TrialResult.model_validate_json((storage / RESULT).read_bytes())
    except ValidationError as error:
        logger.warning("%s can't be read (%s); running the command again", storage / RESULT, error.errors()[0]["msg"])
        return None
    if result.provenance.get("trial") != facts["trial"]:
        raise CheckpointError(
            f"{storage / RESULT} belongs to another trial ({result.provenance.get('trial')}, not {facts['trial']}): "
            "give this trial its own storage folder, or remove the old one"
        )
    return result
