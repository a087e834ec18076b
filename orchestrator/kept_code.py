"""The own code of an experiment, kept on the storage beside its trials."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from orchestrator.arm_code import codes_of, placed, require_one_environment
from orchestrator.code_of_arms import codes_of_arms
from orchestrator.declared_dependencies import declared_dependencies
from orchestrator.errors import Problem, SpecError
from orchestrator.spec.code import ArmCode, CodeFolder
from orchestrator.spec.experiment import ExperimentSpec
from trainers.command.files import Named, command_files
from trainers.errors import OwnCodeError
from trainers.own_code.place import OwnCode, outside, own_code, refused
from trainers.own_code.python_object import is_target
from trainers.own_code.snapshot import snapshot, snapshot_of_files
from trainers.strict_json import JsonObject

FOLDER = ".code"
"""Below the storage; one folder in it for each snapshot."""


def code_at(spec: ExperimentSpec, storage: Path, arm: str | None = None) -> Path | None:
    """Where the snapshot of an experiment's own code lies (`None`: it has none).

    Args:
        spec: the experiment, as it was handed in.
        storage: of the trials.
        arm: whose code is asked for (`None`: that of arms without code of their own).
    """
    by_arm = {each.name: each.code for each in spec.arms if each.code is not None}
    code = by_arm.get(arm, spec.code) if arm is not None else spec.code
    return None if code is None or code.kept is None else storage / FOLDER / code.kept


def names_own_code(spec: ExperimentSpec) -> bool:
    """Whether a plan of the experiment runs code of the user's own, be it in a folder or installed."""
    is_placed = spec.code is not None or any(arm.code is not None for arm in spec.arms)
    return is_placed or any(True for _ in _targets_in(spec.model_dump(mode="json")))


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
    codes = codes_of(spec)
    if spec.code is None and not codes:
        with own_code(OwnCode(None, roots)):
            yield spec
        return
    with ExitStack() as stack:
        store = kept = storage / FOLDER
        if not keep:
            store = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sigmalab-code-")))
        shared = _shared(spec, _Places(store, kept, roots))
        found = _of_arms(spec, codes, _Places(store, kept, roots))
        places = {name: OwnCode(folder, roots) for name, (_, folder) in found.items()}
        with own_code(OwnCode(shared, roots)), codes_of_arms(places):
            yield _pinned(spec, shared, found) if keep else spec


class _Places(NamedTuple):
    """Where snapshots go, and where they are."""

    store: Path
    """Gets new ones."""
    kept: Path
    """Has those of earlier submissions."""
    roots: tuple[Path, ...] | None
    """Folders whose code may be run (`None`: any)."""


def _shared(spec: ExperimentSpec, places: _Places) -> Path | None:
    """The snapshot of all arms without code of their own."""
    if spec.code is None:
        return None
    with _told_at("/code"):
        root = _allowed(spec.code.path, places.roots)
        if spec.code.kept is not None:
            return _kept_at(places.kept, spec.code.kept)
        if not root.is_dir():
            raise OwnCodeError(
                f"there is no folder {spec.code.path}: name the folder that holds your package or module"
            )
        return _snapshot_of(spec, root, places.store)


def _of_arms(spec: ExperimentSpec, codes: Mapping[str, ArmCode], places: _Places) -> dict[str, tuple[ArmCode, Path]]:
    """Name of an arm -> its code, as it was found, and the snapshot."""
    found: dict[str, tuple[ArmCode, Path]] = {}
    declared: dict[str, dict[str, str]] = {}
    if codes and spec.code is not None and spec.code.kept is None:
        with _told_at("/code"):
            here = declared_dependencies([_allowed(spec.code.path, places.roots)])
        declared = {arm.name: here for arm in spec.arms if arm.code is None}
    for i, arm in enumerate(spec.arms):
        if arm.name not in codes:
            continue
        code = codes[arm.name]
        with _told_at(f"/arms/{i}/code"):
            assert code.repo is not None
            folder = _allowed(code.repo, places.roots)
            if code.kept is not None:
                found[arm.name] = code, _kept_at(places.kept, code.kept)
                continue
            with placed(code, folder, places.roots) as there:
                alone = spec.model_copy(update={"arms": (arm,)})
                found[arm.name] = there.code, _snapshot_of(alone, there.root, places.store)
                declared[arm.name] = there.dependencies
    require_one_environment(spec, declared)
    return found


def _pinned(spec: ExperimentSpec, shared: Path | None, found: Mapping[str, tuple[ArmCode, Path]]) -> ExperimentSpec:
    code = None
    if spec.code is not None and shared is not None:
        code = CodeFolder(path=spec.code.path, kept=shared.name)
    arms = []
    for arm in spec.arms:
        if arm.name in found:
            mine, folder = found[arm.name]
            arm = arm.model_copy(update={"code": mine.model_copy(update={"kept": folder.name})})
        arms.append(arm)
    return spec.model_copy(update={"code": code, "arms": tuple(arms)})


@contextmanager
def _told_at(pointer: str) -> Iterator[None]:
    try:
        yield
    except OwnCodeError as error:
        raise SpecError([Problem(pointer, str(error))]) from None
    except OSError as error:
        raise SpecError([Problem(pointer, f"the code can't be read or kept: {error}")]) from None


def _kept_at(kept: Path, name: str) -> Path:
    if not (kept / name).is_dir():
        raise OwnCodeError(f"no code is kept here under {name}; leave `kept` out, and the folder is taken as it is now")
    return kept / name


def _snapshot_of(spec: ExperimentSpec, root: Path, store: Path) -> Path:
    document = spec.model_dump(mode="json")
    # A name of a branch is not one of an object.
    document["arms"] = [{key: value for key, value in arm.items() if key != "code"} for arm in document["arms"]]
    if spec.task.runs_itself:
        return _snapshot_of_commands(document, root, store)
    return snapshot(root, [target.partition(":")[0] for target in _targets_in(document)], store)


def _snapshot_of_commands(document: JsonObject, root: Path, store: Path) -> Path:
    """All files that some arm's command may name."""
    asked: JsonObject = {field: document[field] for field in ("models", "datasets", "cell_patches", "arms")}
    found = command_files(Named(tuple(_texts_in(asked)), tuple(_files_in(asked)), _results_of(document)), root)
    return snapshot_of_files(root, [root / file for file in found.files], store)


def _results_of(document: JsonObject) -> str:
    task = document["task"]
    results = task.get("results") if isinstance(task, dict) else None
    file = results.get("file") if isinstance(results, dict) else None
    return file if isinstance(file, str) else ""


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
    return (text for text in _texts_in(document) if is_target(text))
