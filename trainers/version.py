"""Which code made a number: the modules that a config uses, and the libraries below them."""

import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from trainers.closure import Sources
from trainers.command.files import Named, command_files, named_in
from trainers.errors import ConfigError
from trainers.own_code.place import files_of, in_folder, own_code_here
from trainers.own_code.python_object import own_modules_of

NUMERIC_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "pillow")
"""Of every trial; kinds name others that they compute with (`libraries`)."""
LOOP, KINDS = "trainers.training.trial", "trainers.kinds"

UNCOUNTED = frozenset(
    {
        KINDS,
        "trainers.version",
        "trainers.closure",
        "trainers.planned_identity",
        "trainers.runtime",
        "trainers.storage_token",
        "trainers.socket_folder",
        "trainers.gpu_memory",
        "trainers.program",
        "trainers.fence",
        "trainers.own_code",
        "trainers.own_code.place",
        "trainers.own_code.python_object",
        "trainers.command",
        "trainers.command.files",
        "trainers.user_path",
        "trainers.atomic_file",
        "trainers.checksums",
        "trainers.tasks.classification.losses",
        "trainers.training.files",
        "trainers.training.saving",
    }
)
"""Modules of the loop that move no number, so an edit of them leaves all trials what they were. What they import counts
where a module that counts imports it, too. Why each of them may be here:

* `kinds` and `tasks.classification.losses` name all kinds; those of a config count by themselves.
* `version`, `closure`, `planned_identity` say what counts, and refuse what was planned otherwise.
* `runtime`, `storage_token`, `socket_folder`, `gpu_memory` are about the place where a trial runs, and by its contract
  nothing of that changes a result; a batch that a GPU does not hold ends the trial.
* `program` is about file names in messages, terminals and pipes.
* `fence`, `user_path` find the file that a config names, or refuse it; what is in it is held by the digests of data and
  weights. `own_code.place` and `own_code.python_object` do so with code of the user's own, whose modules count, and
  `command.files` with files that a command runs with, which count as they are.
* `atomic_file`, `checksums`, `training.files` are about files that are written: whole or not at all, believed or made
  again, and their names.
* `training.saving` decides when the state is saved; a training that goes on from it ends in the same numbers whenever
  that was. What is saved is in `training.checkpoint`, which counts.
"""

_NO_PART = frozenset({"pydantic", "pydantic_core", "typing_extensions"})
"""What reads configs, and computes nothing."""


class UsedCode(NamedTuple):
    """The code behind a trial's numbers."""

    version: str
    """12 hex digits over the parts."""
    parts: Mapping[str, str]
    """Module -> digest of what it does; library -> its version (`none`: not installed, as not every trial needs
    it)."""


PACKAGE = Path(__file__).parent
_AT_START = {file: file.read_bytes() for file in sorted(PACKAGE.rglob("*.py"))}
"""Read now: a checkout that is changed later changes the files, and not what this process runs."""


def code_version(config: BaseModel) -> str:
    """12 hex digits over the code that a config uses: see `used_code`."""
    return used_code(config).version


def used_code(config: BaseModel, package: Path | None = None) -> UsedCode:
    """The modules that the training loop and the kinds in a config import, and the numeric libraries.

    The loop is `trainers.training.trial`, unless the config's task names another (`Task.loop`).

    Read from source (`trainers.closure`), so what is imported only by other kinds does not count: a new data set or a
    change of another model leaves a trial what it was. Nor do the modules of `UNCOUNTED`, nor comments and docstrings.
    What starts a trial (`trainers.__main__`, `trainers.ray_worker`) hands a config and a `Runtime` to the loop, and is
    not a part of it.

    Of kinds of somebody else's, and of own code that a config names, all that they import counts but Python's own:
    installed packages by their version, others module by module, as their source is when they are first asked for. Of
    packages in a snapshot of own code, tables and whatever else lies in them count, too. Of a command, all files count
    that are copied for it, as they are: nobody knows what a program reads.

    Args:
        config: a trial's, or a part of one.
        package: where the source of `trainers` lies (`None`: as it was when this process began).

    Raises:
        ConfigError: one of its kinds was made without a file of source.
    """
    named = frozenset(own_modules_of(config))
    kinds = frozenset(_modules_of(config)) | named
    loops = frozenset(_loops_of(config)) or frozenset({LOOP})
    libraries, command = frozenset(_libraries_of(config)), named_in(config)
    return _used_code(kinds, libraries, package or PACKAGE, own_code_here().folder, loops, command)


@cache
def source_version() -> str:
    """12 hex digits over every file of this package and the numeric libraries; cheaper than what a trial uses."""
    digest = hashlib.sha256(repr(sorted(library_versions().items())).encode())
    for source, text in _AT_START.items():
        digest.update(source.relative_to(Path(__file__).parent).as_posix().encode())
        digest.update(text)
    return digest.hexdigest()[:12]


def library_versions(config: BaseModel | None = None) -> dict[str, str]:
    """Installed versions of the libraries that compute, by distribution name (`none`: not needed by every trial).

    Args:
        config: a trial's, whose kinds may name further ones (`None`: those of every trial).
    """
    return {name: _version(name) for name in (*NUMERIC_LIBRARIES, *sorted(set(_libraries_of(config))))}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _modules_of(value: object) -> Iterator[str]:
    """Where the classes of a config and of all its parts are."""
    if isinstance(value, BaseModel):
        yield type(value).__module__
        for part in vars(value).values():
            yield from _modules_of(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _modules_of(part)


def _libraries_of(value: object) -> Iterator[str]:
    """Distributions that kinds in a config name, beside those of every trial."""
    if isinstance(value, BaseModel):
        yield from getattr(type(value), "libraries", ())
        for part in vars(value).values():
            yield from _libraries_of(part)


def _loops_of(config: BaseModel) -> Iterator[str]:
    """What makes a result of the task of a config, if it has one."""
    for part in vars(config).values():
        yield from [part.loop] if hasattr(type(part), "loop") else ()


@lru_cache(maxsize=512)
def _used_code(
    kinds: frozenset[str],
    libraries: frozenset[str],
    package: Path,
    own: Path | None,
    loops: frozenset[str],
    command: Named | None,
) -> UsedCode:
    foreign = frozenset(kind for kind in kinds if _top(kind) != __package__)
    installed = {kind: name for kind in foreign if (name := _distribution_of(_top(kind), own)) is not None}
    with_it = command_files(command, own) if command is not None and own is not None else None
    imported = frozenset[str]() if with_it is None else with_it.imported
    # The folder of a command is on the path of its own process alone.
    others = _others(foreign - frozenset(installed), own if with_it is None else None, imported)
    sources = _sources(frozenset(others.places.items()), package)
    followed = {name for name in imported if _top(name) != __package__ and sources.has(name)}
    modules = sources.closure((*loops, *(kinds - installed.keys()), *followed), but=UNCOUNTED)
    parts = {module: sources.digest(module) for module in sorted(modules)} | others.versions | library_versions()
    parts |= {name: _version(name) for name in (*libraries, *installed.values())}
    parts |= _data_beside(others.places, own)
    if with_it is not None and own is not None:
        parts |= {f"file {name}": _content_digest(own / name)[:12] for name in with_it.files}
    return UsedCode(hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:12], parts)


def _data_beside(places: Mapping[str, Path], own: Path | None) -> dict[str, str]:
    """Digests of what lies beside the modules of packages in a folder of own code: nobody knows which of it is read."""
    digests = {}
    for package, place in places.items():
        if own is None or not place.is_dir() or not place.is_relative_to(own):
            continue
        files = sorted(file for file in files_of(place) if file.suffix != ".py" and file.is_file())
        if files:
            contents = [(file.relative_to(place).as_posix(), _content_digest(file)) for file in files]
            digests[f"{package}'s tables"] = hashlib.sha256(repr(contents).encode()).hexdigest()[:12]
    return digests


def _content_digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@lru_cache(maxsize=64)
def _sources(others: frozenset[tuple[str, Path]], package: Path) -> Sources:
    return Sources({**dict(others), __package__: package}, _AT_START)


class _Others(NamedTuple):
    """Code of somebody else's."""

    places: dict[str, Path]
    """Of packages whose source is followed."""
    versions: dict[str, str]
    """Of what is not followed: of a library its version, of a binary file its digest."""


@lru_cache(maxsize=512)
def _others(kinds: frozenset[str], own: Path | None, also: frozenset[str]) -> _Others:
    """What kinds of somebody else's consist of, and what they and a command's files import."""
    others = _Others({_top(kind): _required_place(_top(kind), own) for kind in kinds}, {})
    asked: set[str] = {__package__}
    while True:
        sources = Sources(others.places)
        start = [*kinds, *(name for name in also if sources.has(name))]
        imported = {_top(name) for name in (*also, *sources.imported_by(sources.closure(start)))}
        new = imported - others.places.keys() - asked - sys.stdlib_module_names - _NO_PART
        if not new:
            return others
        asked |= new
        for name in new:
            distribution, place = _distribution_of(name, own), _place_of(name, own)
            if distribution is not None:
                others.versions[distribution] = _version(distribution)
            elif place is not None and (place.suffix == ".py" or place.is_dir()):
                others.places[name] = place
            elif place is not None:
                others.versions[name] = hashlib.sha256(place.read_bytes()).hexdigest()[:12]


def _top(module: str) -> str:
    return module.partition(".")[0]


def _required_place(package: str, own: Path | None) -> Path:
    place = _place_of(package, own)
    if place is None:
        raise ConfigError(
            f"a kind was made in {package}, which is not a file of source (a notebook, or a line typed): put its "
            "class into a module, so that a trial's identity can hold its code"
        )
    return place


def _place_of(package: str, own: Path | None) -> Path | None:
    """A package's folder, or the file of a module that lies in none (`None`: there is neither)."""
    if own is not None and (place := in_folder(own, package)) is not None:
        return place
    module = sys.modules.get(package)
    paths, file = getattr(module, "__path__", None), getattr(module, "__file__", None)
    if module is None and (spec := find_spec(package)) is not None:
        paths, file = spec.submodule_search_locations, spec.origin
    if paths:
        return Path(next(iter(paths)))
    return None if file is None else Path(file)


def _distribution_of(package: str, own: Path | None) -> str | None:
    """Whose version stands for a package's code (`None`: its source does, wherever it lies)."""
    place = _place_of(package, own)
    libraries = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    if place is None or not any(place.is_relative_to(folder) for folder in libraries):
        # An editable install has a version, too, which says nothing of an edit.
        return None
    names = packages_distributions()
    return names[package][0].lower() if package in names else None
