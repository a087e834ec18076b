"""What the code in a folder says that it needs: both arms of a pair run in one environment, which can't be two."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trainers.errors import OwnCodeError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MAX_NAMED = 6


def declared_dependencies(folders: Sequence[Path]) -> dict[str, str]:
    """Names of distributions, spelled alike -> what is asked of them.

    Args:
        folders: whose `pyproject.toml` (dependencies, optional ones, Python) and `requirements*.txt` are read.

    Raises:
        OwnCodeError: a pyproject.toml can't be read.
    """
    found: dict[str, set[str]] = {}
    for folder in dict.fromkeys(folders):
        for name, asked in (*_of_project(folder / "pyproject.toml"), *_of_requirements(folder)):
            found.setdefault(name, set()).add(asked)
    return {name: " and ".join(sorted(asked)) for name, asked in found.items()}


def differing_dependencies(mine: Mapping[str, str], others: Mapping[str, str]) -> str:
    """What differs, in words: `timm (timm>=1.0, else timm>=0.9), einops (new)`; empty where nothing does."""
    words = []
    for name in sorted({*mine, *others}):
        if name not in others:
            words.append(f"{name} (new: {mine[name]})")
        elif name not in mine:
            words.append(f"{name} (gone: {others[name]})")
        elif mine[name] != others[name]:
            words.append(f"{name} ({mine[name]}, there {others[name]})")
    more = f" and {len(words) - _MAX_NAMED} more" if len(words) > _MAX_NAMED else ""
    return ", ".join(words[:_MAX_NAMED]) + more


def _of_project(file: Path) -> Iterator[tuple[str, str]]:
    if not file.is_file():
        return
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OwnCodeError(f"{file.name} can't be read: {error}") from error
    if not isinstance(project, dict):
        return
    listed = project.get("dependencies", [])
    optional = project.get("optional-dependencies", {})
    groups = [listed, *(optional.values() if isinstance(optional, dict) else ())]
    for group in groups:
        yield from (_read(line) for line in (group if isinstance(group, list) else ()) if isinstance(line, str))
    if isinstance(project.get("requires-python"), str):
        yield "python", f"Python {project['requires-python']}"


def _of_requirements(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.glob("requirements*.txt")):
        if file.is_file():
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                asked = re.split(r"(?:^|\s)#", line)[0].strip()
                if asked and not asked.startswith("--hash"):
                    yield _read(asked.removesuffix("\\"))


def _read(line: str) -> tuple[str, str]:
    """Name and what is asked, with spelling evened out (PEP 503); an option such as `-e .` is its own name."""
    asked = " ".join(line.split())
    name = _NAME.match(asked)
    if name is None:
        return asked, asked
    return re.sub(r"[-_.]+", "-", name[0]).lower(), re.sub(r"\s*([<>=!~,;])\s*", r"\1", asked)
