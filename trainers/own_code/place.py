"""Where the user's own code lies, here and now: a folder of packages and modules, or nothing but what is installed.

A config names objects (`mylab.vit:MyViT`) and no folder, for the same code elsewhere gives the same numbers. So whoever
works with configs says where their code is:

    with own_code(OwnCode(folder)):            # read, never run: identities, plans in the service
        version = code_version(config)
    with running(folder):                      # imported: trials, and the child that looks for a plan
        train(config, runtime)

Folders are those of `trainers.own_code.snapshot`, named by their content, so what was read in one stays true.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from trainers.errors import ConfigError, OwnCodeError

SETTING = "SIGMALAB_ALLOW_CODE"
"""Where the folders are set whose code a service runs."""


@dataclass(frozen=True)
class OwnCode:
    """Which code of a user's own may be used."""

    folder: Path | None = None
    """Packages and modules that go before all that is installed (`None`: there are none)."""
    roots: tuple[Path, ...] | None = None
    """Folders that installed code must lie in to be named (`None`: anywhere, for whoever runs it owns it)."""

    def require(self, module: str) -> None:
        """See that a module is there, and may be run; nothing of it is imported.

        Raises:
            OwnCodeError: it is not, or may not.
        """
        top = module.partition(".")[0]
        if self.folder is not None and (place := in_folder(self.folder, top)) is not None:
            if not _has_source(place, module):
                raise OwnCodeError(f"there is no module {module}: {_nearest(place, module)}")
            return
        if self.roots == ():
            raise OwnCodeError(refused())
        try:
            spec = find_spec(top)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            where = "is installed here" if self.folder is None else "is in the folder that `code` names, nor installed"
            raise OwnCodeError(
                f"no package {top} {where}: name the folder that holds {top}/ or {top}.py as `code` of the experiment"
            )
        # Python's own say `built-in` or `frozen` instead of a place.
        origin = spec.origin if spec.has_location else None
        if self.roots is not None and not any(_lies_in(origin, root) for root in self.roots):
            raise OwnCodeError(
                f"the package {top} is installed outside of the folders whose code this service runs "
                f"({_listed(self.roots)}): name a folder in one of them as `code`"
            )


def refused() -> str:
    """What a service says that does not run code of its users."""
    return (
        "this service does not run code of its users: whoever starts it lists the folders that such code may lie in, "
        f"{SETTING}=<folder>[:<folder>...]; `sigmalab run` in a terminal runs any"
    )


def outside(written: str, roots: tuple[Path, ...]) -> str:
    """What a service says of a folder that is not in one of its roots."""
    return (
        f"the code {written!r} lies outside of the folders whose code this service runs ({_listed(roots)}); put it "
        f"there, or start the service with {SETTING}=<folder>[:<folder>...]"
    )


_NONE = OwnCode()
_current: ContextVar[OwnCode] = ContextVar("own_code", default=_NONE)
_on_path: list[Path | None] = []
"""The folder that this process imports from; empty where it imports no code of a user's own, `None` where it imports
what is installed."""


def own_code_here() -> OwnCode:
    """What holds here."""
    return _current.get()


@contextmanager
def own_code(of: OwnCode) -> Iterator[None]:
    """Let configs mean this code for all that this thread reads meanwhile; nothing is imported."""
    token = _current.set(of)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def running(folder: Path | None) -> Iterator[None]:
    """Let this process import the code in a folder, and no other folder's.

    The folder stays on the path afterwards, for what is built keeps on importing; the next one takes its place, and its
    modules, if they bear the same names, are imported anew.
    """
    if _on_path != [folder]:
        if folder is not None and not folder.is_dir():
            raise OwnCodeError(
                f"the experiment's code is not at {folder}: every node must see the same storage as the service"
            )
        for former in _on_path:
            if former is not None:
                _forget(former)
        _on_path[:] = [folder]
        if folder is not None:
            sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
    with own_code(OwnCode(folder)):
        yield


def is_running() -> bool:
    """Whether this process may import the code that holds here."""
    return own_code_here().folder in _on_path


def _forget(folder: Path) -> None:
    sys.path[:] = [entry for entry in sys.path if entry != str(folder)]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and Path(file).is_relative_to(folder):
            del sys.modules[name]


def in_folder(folder: Path, top: str) -> Path | None:
    """The folder of a package, or the file of a module, that lies in a folder of code (`None`: neither does)."""
    package, module = folder / top, folder / f"{top}.py"
    if package.is_dir() and any(package.rglob("*.py")):
        return package
    return module if module.is_file() else None


def files_of(package: Path) -> Iterator[Path]:
    """Files of a package, but for hidden ones and what Python has compiled.

    Raises:
        OwnCodeError: a folder in it is a link: what is behind it would be left out.
    """
    for folder, folders, names in os.walk(package):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in folders:
            if Path(folder, name).is_symlink():
                shown = Path(folder, name).relative_to(package.parent)
                raise OwnCodeError(f"{shown} is a link to a folder, which is not followed; put a copy")
        yield from (Path(folder, name) for name in names if not name.startswith(".") and not name.endswith(".pyc"))


def _has_source(place: Path, module: str) -> bool:
    parts = module.split(".")[1:]
    if not parts:
        return place.is_file() or (place / "__init__.py").is_file()
    path = place.joinpath(*parts)
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _nearest(place: Path, module: str) -> str:
    if place.is_file():
        return f"{place.name} is a module of its own and holds no others"
    base = place.parent
    found = sorted(".".join(each.relative_to(base).with_suffix("").parts) for each in place.rglob("*.py"))
    named = [name.removesuffix(".__init__") for name in found]
    return f"{place.name} has {', '.join(named[:12])}{' and others' if len(named) > 12 else ''}"


def _lies_in(origin: str | None, root: Path) -> bool:
    return origin is not None and Path(origin).resolve().is_relative_to(root.resolve())


def _listed(roots: tuple[Path, ...]) -> str:
    return ", ".join(map(str, roots))


def require_own_code(modules: Iterator[str]) -> str | None:
    """Why a config's own code can't be used here (`None`: it can, or there is none)."""
    try:
        for module in modules:
            own_code_here().require(module)
    except ConfigError as error:
        return str(error)
    return None
