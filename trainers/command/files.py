"""Which files of the folder of code a command runs with: those that are kept, copied for its trials, and told apart."""

import ast
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from trainers.closure import imports_in
from trainers.errors import OwnCodeError
from trainers.own_code.place import files_of, in_folder


class Named(NamedTuple):
    """What a command says of files."""

    words: tuple[str, ...]
    """Texts that may name one: of its template, and of the arguments of model and data."""
    files: tuple[str, ...] = ()
    """Files and folders that it needs besides."""
    results: str = ""
    """Where it writes its numbers (empty: nowhere)."""


class CommandFiles(NamedTuple):
    """What a command runs with."""

    files: tuple[str, ...]
    """Paths from the folder of code on, sorted."""
    imported: frozenset[str]
    """Names that its Python files import, of modules that do not lie in the folder."""


def named_in(config: object) -> Named | None:
    """What the command of a trial's config says of files (`None`: it has none)."""
    model, data, task = (getattr(config, field, None) for field in ("model", "dataset", "task"))
    if not getattr(type(model), "runs_itself", False):
        return None
    argv, arguments = getattr(model, "argv", ()), getattr(model, "arguments", {})
    words = [*words_of(argv, arguments), *words_of((), getattr(data, "arguments", {}))]
    results = getattr(getattr(task, "results", None), "file", "")
    return Named(tuple(words), tuple(getattr(model, "files", ())), results)


def command_files(named: Named, folder: Path) -> CommandFiles:
    """The one answer to what belongs to a command: snapshot, copy of a trial and identity ask here.

    These are the files that its words name, alone or behind `=`; what it needs besides; of a script in a folder all of
    the folder at the top; and the packages and modules of the folder that its scripts import, under whatever name, for
    they come first on the path. Results that lie there from a run by hand belong to nobody's trial.

    Args:
        named: what the command says.
        folder: of the code.

    Raises:
        OwnCodeError: a file can't be read as Python, or what `files` names is not there.
    """
    places = {folder / name for name in named_files(named.words, folder)}
    places |= set(_further(named.files, folder))
    waiting = [(folder / script, _begin_of(script, folder)) for script in started_scripts(named.words, folder)]
    places |= {_top_of(script, folder) for script, _ in waiting}
    followed: set[Path] = set()
    outside: set[str] = set()
    while waiting:
        file, bases = waiting.pop()
        if file in followed:
            continue
        followed.add(file)
        for name in _imported_by(file, bases[0], folder):
            base = next((each for each in bases if in_folder(each, name.partition(".")[0]) is not None), None)
            if base is None:
                outside.add(name)
                continue
            place = in_folder(base, name.partition(".")[0])
            assert place is not None
            places.add(place)
            # What is imported looks first where the first script lies, as that does.
            waiting += [(each, (base, *(other for other in bases if other != base))) for each in _modules(base, name)]
    files = {file for place in places for file in ([place] if place.is_file() else files_of(place)) if file.is_file()}
    files -= _left_over(named.results, folder)
    return CommandFiles(tuple(sorted(file.relative_to(folder).as_posix() for file in files)), frozenset(outside))


def _left_over(results: str, folder: Path) -> set[Path]:
    """A results file of another run. A name with `*` may fit other files: those that stay as they are aren't read."""
    return set() if not results or "*" in results else {folder / PurePosixPath(results)}


def _further(names: Iterable[str], folder: Path) -> Iterator[Path]:
    for name in names:
        place = folder / name
        try:
            is_inside = ".." not in place.parts and place.resolve().is_relative_to(folder.resolve())
            is_there = is_inside and (place.is_file() or (place.is_dir() and any(files_of(place))))
        except (OSError, ValueError, RuntimeError):
            is_there = False
        if not is_there:
            # What lies elsewhere is told as what is not there.
            raise OwnCodeError(f"there is no {name!r} in the folder of code, which `files` names, or it holds no file")
        yield place


def _begin_of(script: str, folder: Path) -> tuple[Path, ...]:
    """Where a script's imports are sought: beside itself, then in the folder, which is on the path."""
    return tuple(dict.fromkeys(((folder / script).parent, folder)))


def _top_of(script: Path, folder: Path) -> Path:
    return folder / script.relative_to(folder).parts[0]


def _imported_by(file: Path, base: Path, folder: Path) -> Iterator[str]:
    """Names that a file may import; relative ones as they are from a base on."""
    shown = file.relative_to(folder)
    parts = file.relative_to(base).with_suffix("").parts
    try:
        tree = ast.parse(file.read_bytes(), str(shown))
        names = sorted(set(imports_in(tree, ".".join(parts[:-1]))))
    except SyntaxError as error:
        raise OwnCodeError(f"{shown} line {error.lineno} is not Python: {error.msg}") from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise OwnCodeError(f"{shown} can't be read: {error}") from error
    # Of `from . import x` at the top of the folder Python itself says that it can't be.
    return (name.lstrip(".") for name in names if name.lstrip("."))


def _modules(base: Path, name: str) -> Iterator[Path]:
    """Files that are run when a module, and so all packages around it, is imported."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        path = base.joinpath(*parts[:length])
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                yield file
                break


def words_of(argv: object, arguments: object) -> list[str]:
    """Texts in a command's template and in its arguments, whatever else these hold."""
    values = arguments.values() if isinstance(arguments, dict) else ()
    listed = [argv, *(value if isinstance(value, list | tuple) else [value] for value in values)]
    return [word for each in listed if isinstance(each, list | tuple) for word in each if isinstance(word, str)]


def started_scripts(words: Collection[str], folder: Path) -> Iterator[str]:
    """Python files of a folder that words start: `tools/train.py`, and what `-m tools.train` means."""
    for before, word in zip(["", *words], words, strict=False):
        if before == "-m":
            path = word.replace(".", "/")
            found = (f"{path}.py", f"{path}/__main__.py", f"{path}/__init__.py")
            # A package is run by its `__main__`, which comes after its `__init__`.
            yield from [name for name in found if is_file(folder, name)]
        elif word.endswith(".py") and is_file(folder, word):
            yield PurePosixPath(word).as_posix()


def named_files(words: Collection[str], folder: Path) -> Iterator[str]:
    """Files of a folder that words name, alone or behind `=`."""
    for word in words:
        for name in dict.fromkeys((word, word.partition("=")[2])):
            if is_file(folder, name):
                yield PurePosixPath(name).as_posix()


def missing_scripts(words: Collection[str], folder: Path) -> list[str]:
    """Words that look like scripts and are not in the folder."""
    return [word for word in words if is_script(word) and "{" not in word and not is_file(folder, word)]


def is_script(word: str) -> bool:
    """Whether a word of a command looks like a script."""
    return word.endswith((".py", ".sh")) and not word.startswith("-") and "=" not in word


def is_file(folder: Path, name: str) -> bool:
    """Whether a word is a path of a file in a folder."""
    if not name or len(name) > 4096 or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        return False
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):
        return False
