"""Writes a package of one's own that runs at once: model, change, loss, data set, tests, and two questions."""

import keyword
import shutil
from importlib.util import find_spec
from pathlib import Path

_TEMPLATE = Path(__file__).parent / "template"
_NAME, _ENDING = "@package@", ".txt"
"""Where the package's name goes; what keeps templates from being taken for code."""


class ScaffoldError(Exception):
    """The package can't be written so; the message says why."""


def write_package(folder: Path) -> tuple[Path, ...]:
    """Write a new folder with a package of its name.

    Args:
        folder: it must not exist; its name becomes the package's.

    Returns:
        The files.

    Raises:
        ScaffoldError: the folder exists, or its name can't be a package's.
        OSError: it can't be written.
    """
    name = folder.name
    _require_name(name)
    if folder.exists() or folder.is_symlink():
        raise ScaffoldError(f"{folder} is there already, and nothing was written: take another name, or move it away")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    files = []
    try:
        for template in sorted(_TEMPLATE.rglob(f"*{_ENDING}")):
            written = template.relative_to(_TEMPLATE).as_posix().replace(_NAME, name)
            file = folder / written.removesuffix(_ENDING)
            file.parent.mkdir(exist_ok=True)
            file.write_text(template.read_text().replace(_NAME, name))
            files.append(file)
    except OSError:
        # Else the next try would find a folder that is there already.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return tuple(files)


def _require_name(name: str) -> None:
    if not name.isidentifier() or not name.isascii() or not name.islower() or keyword.iskeyword(name):
        raise ScaffoldError(
            f"{name!r} can't be the name of a package: take small letters, digits and `_`, a letter first, as `mylab`"
        )
    if find_spec(name) is not None:
        raise ScaffoldError(f"{name} is the name of a package that is installed here: take another")
