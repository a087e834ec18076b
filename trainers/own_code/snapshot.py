"""The user's own code as it is now, kept in a folder that is named by its content.

Ray could carry it, too (`working_dir`, `py_modules`): through the head's memory, into a folder of each node, for the
life of a cluster. Here it lies beside the trials that it has made, on the storage that all nodes see, so that a driver
that begins again, a trial by hand and `extend` after months find the same.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from trainers.closure import Sources
from trainers.counted import counted
from trainers.errors import OwnCodeError
from trainers.own_code.place import files_of, in_folder
from trainers.version import NUMERIC_LIBRARIES

OURS = frozenset({"trainers", "orchestrator", "api", "sigmalab"})
MAX_FILES, MAX_BYTES = 5_000, 50 * 2**20
"""Of all packages that are used; code is small, data belong elsewhere."""


def snapshot(root: Path, modules: Collection[str], store: Path) -> Path:
    """Keep the packages and modules of a folder that these modules are in, and those that they import.

    Whole packages are kept, with what lies beside their modules (tables, templates), but for hidden files and what
    Python has compiled. What else the folder holds is not looked at.

    Args:
        root: the user's folder.
        modules: that a config names; those that are not in the folder are left out.
        store: the snapshot becomes a folder in it.

    Returns:
        The snapshot; if there is one of the same content, that.

    Raises:
        OwnCodeError: a file can't be read as Python, leads out of the folder, or there is too much.
        OSError: it can't be read or written.
    """
    return snapshot_of_files(root, _files_of(root, _used(root, modules)), store)


def snapshot_of_files(root: Path, chosen: Iterable[Path], store: Path) -> Path:
    """Keep these files of a folder.

    Args:
        root: the user's folder.
        chosen: files in it.
        store: the snapshot becomes a folder in it.

    Returns:
        The snapshot; if there is one of the same content, that.

    Raises:
        OwnCodeError: a file leads out of the folder, or there is too much.
        OSError: it can't be read or written.
    """
    files = sorted(set(chosen))
    contents = {file: file.read_bytes() for file in _within_limits(root, files)}
    digest = hashlib.sha256()
    for file, content in contents.items():
        name = file.relative_to(root).as_posix()
        digest.update(f"{len(name.encode())} {len(content)} {name}".encode())
        digest.update(content)
    kept = store / digest.hexdigest()[:20]
    if not kept.is_dir():
        _write(kept, {file.relative_to(root): content for file, content in contents.items()})
    return kept


def _used(root: Path, modules: Collection[str]) -> list[str]:
    """Packages and modules at the top of the folder, by what is named and what they import of the folder."""
    used: dict[str, Path] = {}
    waiting = [(name.partition(".")[0], name) for name in modules]
    followed: set[str] = set()
    while waiting:
        top, module = waiting.pop()
        place = in_folder(root, top)
        if place is None or module in followed:
            continue
        followed.add(module)
        if top not in used:
            _refuse_taken(top)
            used[top] = place
        waiting += [(name.partition(".")[0], name) for name in _imported(root, used, module)]
    return sorted(used)


def _imported(root: Path, places: dict[str, Path], module: str) -> Iterable[str]:
    sources = Sources(places)
    try:
        return sources.imported_by(sources.closure([module]))
    except ModuleNotFoundError:
        # Not every name that is imported from a module is one; what a config names is asked for elsewhere.
        return ()
    except SyntaxError as error:
        file = Path(error.filename or "")
        shown = file.relative_to(root) if file.is_relative_to(root) else file
        raise OwnCodeError(f"{shown} line {error.lineno} is not Python: {error.msg}") from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise OwnCodeError(f"the module {module} can't be read: {error}") from error


def _refuse_taken(top: str) -> None:
    library = next(iter(packages_distributions().get(top, ())), "").lower()
    if library in NUMERIC_LIBRARIES:
        raise OwnCodeError(
            f"{top} is the name of a library that sigmalab computes with, and a process has one of a name: give yours "
            "another name, or install it in that one's place and leave `code` out"
        )
    if top in OURS or top in sys.stdlib_module_names:
        whose = "sigmalab's own" if top in OURS else "one of Python's"
        raise OwnCodeError(f"{top} is the name of {whose} package, which would be hidden: give yours another name")


def _files_of(root: Path, tops: Iterable[str]) -> Iterator[Path]:
    for top in tops:
        place = in_folder(root, top)
        assert place is not None
        yield from [place] if place.is_file() else files_of(place)


def _within_limits(root: Path, files: list[Path]) -> list[Path]:
    real = root.resolve()
    for file in files:
        if not file.resolve().is_relative_to(real):
            raise OwnCodeError(f"{file.relative_to(root)} is a link that leads out of the folder of code; put a copy")
    sizes = {file: file.stat().st_size for file in files if file.is_file()}
    if len(sizes) > MAX_FILES or sum(sizes.values()) > MAX_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise OwnCodeError(
            f"the packages that are used hold {counted(len(sizes), 'file')}, {sum(sizes.values()) / 2**20:.0f} MiB "
            f"(the largest is {largest.relative_to(root)}): at most {MAX_FILES:,} and {MAX_BYTES / 2**20:.0f} MiB are "
            "kept with an experiment; keep data and weights outside of packages, and give their path as an argument"
        )
    return list(sizes)


def _write(kept: Path, contents: dict[Path, bytes]) -> None:
    begun = kept.parent / f".{kept.name}.{os.getpid()}.{os.urandom(4).hex()}"
    begun.mkdir(parents=True)
    try:
        for name, content in contents.items():
            file = begun / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        try:
            begun.rename(kept)
        except OSError:
            # Somebody else was faster: a folder of this name holds the same.
            if not kept.is_dir():
                raise
    finally:
        shutil.rmtree(begun, ignore_errors=True)
