"""Asks the user's own code what only it can say, in a process of its own: it may do anything, hang or crash.

Whoever runs trials answers by itself. What was answered is remembered for as long as code and libraries stay the same.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from trainers.environment import environment_of_own_code
from trainers.errors import DataError, OwnCodeError
from trainers.own_code.facts import DatasetFacts, ModelFacts
from trainers.own_code.place import is_running, own_code_here
from trainers.own_code.python_object import own_modules_of
from trainers.remembered import CACHE_SETTING, remembered
from trainers.strict import StrictModel
from trainers.version import code_version

if TYPE_CHECKING:
    from trainers.config import TrialConfig
    from trainers.data.python_dataset import PythonDataset
    from trainers.models.model import Model

MAX_SECONDS = 300.0
_FIELDS = {"task", "model", "attention_bias", "dataset", "augmentation", "mixing", "optimization"}
"""Of a trial, what own code may stand in or has to fit."""


_TAKES = {
    "dataset": "be read; state a `version`, and declare labels (`targets`), and its images are not all read",
    **dict.fromkeys(
        ("model", "trial"),
        "see one batch; what takes long (training, downloads) must not happen on import or in a constructor",
    ),
}
"""Question -> the end of what is said of a process that takes too long."""


class Answer(StrictModel):
    """What a child process says."""

    trouble: str | None = None
    """What is wrong (`None`: nothing)."""
    model: ModelFacts | None = None
    """Of a model that was asked about."""
    dataset: DatasetFacts | None = None
    """Of a data set that was asked about."""
    is_of_data: bool = False
    """Whether the trouble is with data, and not with code."""
    field: str | None = None
    """Of a trial, where the trouble is (`None`: not told)."""


def model_facts(model: "Model") -> ModelFacts:
    """What is found of a model of the user's own.

    Raises:
        OwnCodeError: it can't be built, or does not fit.
    """
    about = f"{_version_of(model)} {model.model_dump_json()}"
    return remembered("own_model", about, ModelFacts, lambda: _facts_of(model))


def _facts_of(model: "Model") -> ModelFacts:
    if is_running():
        from trainers.own_code.examining import facts_of  # noqa: PLC0415  it needs torch

        return facts_of(model)
    facts = _ask("model", model, None).model
    assert facts is not None
    return facts


def dataset_facts(dataset: "PythonDataset", data_root: Path | None) -> DatasetFacts:
    """What is found of a data set of the user's own; never remembered, for its files may change and its code not.

    Raises:
        OwnCodeError: it can't be built.
        DataError: it does not give images and labels.
    """
    if is_running():
        from trainers.own_code.images import look_at  # noqa: PLC0415  it needs torch

        return look_at(dataset, data_root)
    facts = _ask("dataset", dataset, data_root).dataset
    assert facts is not None
    return facts


def require_it_fits(config: "TrialConfig", data_root: Path | None, *, num_classes: int | None = None) -> None:
    """See that a trial's own code imports, builds and fits together, if it has any but its data.

    Args:
        config: the trial's.
        data_root: where relative paths start.
        num_classes: of the data set (`None`: it is asked, if somebody needs to know).

    Raises:
        OwnCodeError: says whose and what.
    """
    others = [value for name, value in config if name != "dataset"]
    if config.task.runs_itself or not any(True for _ in own_modules_of(others)):
        # Nothing of a command is imported here.
        return
    asked = f"{config.model_dump_json(include=_FIELDS)} {data_root} {num_classes}"
    remembered("own_trial", f"{_version_of(config)} {asked}", Answer, lambda: _tried(config, data_root, num_classes))


def _version_of(about: BaseModel) -> str:
    try:
        return code_version(about)
    except ModuleNotFoundError as error:
        raise OwnCodeError(str(error)) from error
    except SyntaxError as error:
        raise OwnCodeError(f"{error.filename} line {error.lineno} is not Python: {error.msg}") from error


def _tried(config: "TrialConfig", data_root: Path | None, num_classes: int | None) -> Answer:
    if is_running():
        from trainers.own_code.examining import try_trial  # noqa: PLC0415  it needs torch

        try_trial(config, data_root, num_classes)
        return Answer()
    return _ask("trial", config, data_root, num_classes=num_classes)


def _ask(question: str, about: BaseModel, data_root: Path | None, *, num_classes: int | None = None) -> Answer:
    """Ask a child process.

    Raises:
        OwnCodeError: with its complaint, or the end of what it wrote if it crashed.
        DataError: with its complaint about data.
    """
    folder = own_code_here().folder
    request = {
        "question": question,
        "about": about.model_dump(mode="json"),
        "num_classes": num_classes,
        "folder": None if folder is None else str(folder),
        "data_root": None if data_root is None else str(data_root),
    }
    # Its own output is the user's; the answer has a file.
    with tempfile.TemporaryDirectory(prefix="sigmalab-") as place:
        file = Path(place) / "answer.json"
        try:
            output, code = _run(file, json.dumps(request).encode())
        except subprocess.TimeoutExpired as error:
            modules = ", ".join(dict.fromkeys(own_modules_of(about)))
            raise OwnCodeError(
                f"{modules} took more than {MAX_SECONDS:.0f} s to import, build and {_TAKES[question]}"
            ) from error
        try:
            answer = Answer.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            lines = output.decode(errors="replace").strip().splitlines()
            raise OwnCodeError(
                f"the process that looked at {', '.join(dict.fromkeys(own_modules_of(about)))} ended with exit code "
                f"{code}: {lines[-1] if lines else 'it wrote nothing'}"
            ) from error
    if answer.trouble is not None:
        if answer.is_of_data:
            raise DataError(answer.trouble)
        raise OwnCodeError(answer.trouble, field=answer.field)
    return answer


def _run(file: Path, request: bytes) -> tuple[bytes, int]:
    """Output and exit code of a child, which is ended with everything that it has started.

    Raises:
        TimeoutExpired: it took too long.
    """
    # What it finds out on the way is remembered where this process looks.
    kept = {name: value for name, value in os.environ.items() if name == CACHE_SETTING}
    with subprocess.Popen(  # noqa: S603  our own program; what it imports is asked of `own_code_here`
        [sys.executable, "-m", "trainers.own_code", str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment_of_own_code(), **kept, "OMP_NUM_THREADS": "1"},
        # A group of its own.
        start_new_session=True,
    ) as child:
        try:
            output, _ = child.communicate(request, timeout=MAX_SECONDS)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
    return output, child.returncode
