"""Which modules a piece of code uses, read from its source: nothing is imported for it.

An import counts wherever it stands, inside a function too, but for those under `if TYPE_CHECKING`, which nobody runs.
Importing `a.b.c` runs `a` and `a.b` as well, so both are used. Only modules of the packages that are given are
followed: a library is told by its version. What is imported by a name that is made at run time goes unseen.
"""

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple


class _Module(NamedTuple):
    digest: str
    imports: frozenset[str]
    """Every name that may be a module of ours."""


class Sources:
    """The source of some packages; each file is read once."""

    def __init__(self, places: Mapping[str, Path], texts: Mapping[Path, bytes] | None = None) -> None:
        """Read nothing yet.

        Args:
            places: name of a package -> its folder, or of a module that lies in none -> its file.
            texts: what files held when somebody read them before (`None`: nobody did); the others are read now.
        """
        self._places, self._texts = dict(places), dict(texts or {})
        self._read: dict[str, _Module] = {}

    def closure(self, start: Iterable[str], *, but: Collection[str] = ()) -> frozenset[str]:
        """All modules that these import, directly or not, themselves included.

        Args:
            start: names of modules.
            but: modules that are neither followed nor counted.

        Raises:
            ModuleNotFoundError: one of the first ones has no source here.
        """
        waiting = list(start)
        for name in waiting:
            if self._file(name) is None:
                raise ModuleNotFoundError(
                    f"there is no source of {name} in {', '.join(map(str, self._places.values()))}"
                )
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            for each in _with_parents(name):
                if each not in found and each not in but and self._file(each) is not None:
                    found.add(each)
                    waiting.extend(self._module(each).imports)
        return frozenset(found)

    def has(self, module: str) -> bool:
        """Whether there is source of a module here."""
        return self._file(module) is not None

    def imported_by(self, modules: Iterable[str]) -> frozenset[str]:
        """Every name that these may import, of whatever package."""
        return frozenset().union(*(self._module(module).imports for module in modules))

    def digest(self, module: str) -> str:
        """12 hex digits over what a module does: comments, docstrings and layout don't count.

        The same on every version of Python that reads the file.
        """
        return self._module(module).digest

    def _module(self, name: str) -> _Module:
        if name not in self._read:
            file = self._file(name)
            assert file is not None
            tree = ast.parse(self._texts[file] if file in self._texts else file.read_bytes(), str(file))
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            imports = frozenset(imports_in(tree, package))
            self._read[name] = _Module(hashlib.sha256(_told(tree).encode()).hexdigest()[:12], imports)
        return self._read[name]

    @cache  # noqa: B019  as long-lived as the sources
    def _file(self, name: str) -> Path | None:
        top, *parts = name.split(".")
        if top not in self._places:
            return None
        place = self._places[top]
        if not parts and place.is_file():
            return place
        path = place.joinpath(*parts)
        return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if self._is_there(file)), None)

    def _is_there(self, file: Path) -> bool:
        return file in self._texts or file.is_file()


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def imports_in(node: ast.AST, package: str) -> Iterator[str]:
    """Names that a module may import: of `from a import b` both `a` and `a.b`, whichever of them is a module."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                origin = _origin(module or "", level, package)
                yield origin
                yield from (f"{origin}.{alias.name}" for alias in names)
            case ast.If(test=test, orelse=orelse) if _is_type_checking(test):
                for statement in orelse:
                    yield from imports_in(ast.Module([statement], []), package)
            case _:
                yield from imports_in(child, package)


def _origin(module: str, level: int, package: str) -> str:
    """What `from <level dots><module>` means in this package."""
    if not level:
        return module
    base = package.split(".")[: len(package.split(".")) - level + 1]
    return ".".join([*base, *filter(None, [module])])


def _is_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name == "TYPE_CHECKING"
    return False


_UNTOLD = ("ctx", "kind", "type_comment", "type_ignores")
"""Fields of syntax that say nothing of what is done."""


def _told(node: object) -> str:
    """Syntax as text, without strings that stand alone: `ast.dump` has other words in every version of Python."""
    if isinstance(node, ast.AST):
        fields = (
            f"{name}={_told(value)}"
            for name, value in ast.iter_fields(node)
            if name not in _UNTOLD and value is not None and value != []
        )
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(_told(each) for each in node if not _is_text_alone(each))}]"
    return repr(node)


def _is_text_alone(node: object) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False
