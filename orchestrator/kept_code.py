"""The own code of an experiment, kept on the storage beside its trials."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import JsonValue

from orchestrator.errors import Problem, SpecError
from orchestrator.spec.code import CodeFolder
from orchestrator.spec.experiment import ExperimentSpec
from trainers.command.model import named_files, started_modules
from trainers.errors import OwnCodeError
from trainers.own_code.place import OwnCode, outside, own_code, refused
from trainers.own_code.python_object import is_target
from trainers.own_code.snapshot import snapshot
from trainers.strict_json import JsonObject

FOLDER = ".code"
"""Below the storage; one folder in it for each snapshot."""


def code_at(spec: ExperimentSpec, storage: Path) -> Path | None:
    """Where the snapshot of an experiment's own code lies (`None`: it has none)."""
    return None if spec.code is None or spec.code.kept is None else storage / FOLDER / spec.code.kept


def names_own_code(spec: ExperimentSpec) -> bool:
    """Whether a plan of the experiment runs code of the user's own, be it in a folder or installed."""
    return spec.code is not None or any(True for _ in _targets_in(spec.model_dump(mode="json")))


@contextmanager
def with_code(
    spec: ExperimentSpec, storage: Path, *, roots: tuple[Path, ...] | None, keep: bool
) -> Iterator[ExperimentSpec]:
    """Let the configs of an experiment mean its own code, as it is now or as it was kept; nothing of it is imported.

    Args:
        spec: the experiment.
        storage: of the trials.
        roots: folders whose code may be run (`None`: any).
        keep: whether it is to run: a snapshot is kept then, else it is gone afterwards.

    Yields:
        The spec with its snapshot's name.

    Raises:
        SpecError: the code may not be run, is not there, or can't be kept.
    """
    if spec.code is None:
        with own_code(OwnCode(None, roots)):
            yield spec
        return
    with ExitStack() as stack:
        store = storage / FOLDER
        if not keep and spec.code.kept is None:
            store = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sigmalab-code-")))
        try:
            folder = _snapshot_of(spec, spec.code, store, roots)
        except OwnCodeError as error:
            raise SpecError([Problem("/code", str(error))]) from None
        except OSError as error:
            raise SpecError([Problem("/code", f"the code can't be read or kept: {error}")]) from None
        pinned = CodeFolder(path=spec.code.path, kept=folder.name)
        with own_code(OwnCode(folder, roots)):
            yield spec.model_copy(update={"code": pinned}) if keep else spec


def _snapshot_of(spec: ExperimentSpec, code: CodeFolder, store: Path, roots: tuple[Path, ...] | None) -> Path:
    root = _allowed(code.path, roots)
    if code.kept is None:
        if not root.is_dir():
            raise OwnCodeError(f"there is no folder {code.path}: name the folder that holds your package or module")
        document = spec.model_dump(mode="json")
        if spec.task.runs_itself:
            return _snapshot_of_commands(document, root, store)
        targets = _targets_in(document)
        return snapshot(root, [target.partition(":")[0] for target in targets], store)
    if not (store / code.kept).is_dir():
        raise OwnCodeError(
            f"no code is kept here under {code.kept}; leave `kept` out, and the folder is taken as it is now"
        )
    return store / code.kept


def _snapshot_of_commands(document: JsonObject, root: Path, store: Path) -> Path:
    """All files that some arm's command may name."""
    asked: JsonObject = {field: document[field] for field in ("models", "datasets", "cell_patches", "arms")}
    words = list(_texts_in(asked))
    modules, named = list(started_modules(words, root)), list(named_files(words, root))
    return snapshot(root, modules, store, named=[*named, *_files_in(asked)], is_apart=True)


def _texts_in(document: JsonValue) -> Iterator[str]:
    """Every text, in the order of its list."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict | list):
        for value in document.values() if isinstance(document, dict) else document:
            yield from _texts_in(value)


def _files_in(document: JsonValue) -> Iterator[str]:
    """What stands under `files`."""
    if isinstance(document, dict):
        files = document.get("files")
        if isinstance(files, list):
            yield from (file for file in files if isinstance(file, str))
    if isinstance(document, dict | list):
        for value in document.values() if isinstance(document, dict) else document:
            yield from _files_in(value)


def _allowed(written: str, roots: tuple[Path, ...] | None) -> Path:
    if roots == ():
        raise OwnCodeError(refused())
    path = Path(written)
    if not path.is_absolute():
        raise OwnCodeError(
            f"the code {written!r} is a relative path, and only who writes a file of a spec has a place that it starts "
            "from: write an absolute path"
        )
    try:
        real = path.resolve()
    except (ValueError, RuntimeError) as error:
        raise OwnCodeError(f"the code {written!r} is not a path that can be followed: {error}") from error
    if roots is not None and not any(real.is_relative_to(root.resolve()) for root in roots):
        raise OwnCodeError(outside(written, roots))
    if "site-packages" in real.parts:
        raise OwnCodeError(f"the code {written!r} is installed: leave `code` out, and name its objects")
    return real


def _targets_in(document: JsonValue) -> Iterator[str]:
    """Every text that may name an object: of patches and searches nobody knows yet what they will be."""
    if isinstance(document, str) and is_target(document):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from _targets_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from _targets_in(value)
