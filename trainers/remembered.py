"""What takes seconds to find out, kept on disk: facts of timm's models, the index of a large file of annotations.

One file per answer (JSON, or arrays), below a folder for the code and the libraries that gave it (`source_version`):
another timm is asked anew, and of folders for other code the latest few stay (checkouts may share the cache). All of
it may be deleted at any time; where it can't be written, everything is found out every time.
"""

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from trainers.atomic_file import replaced_file
from trainers.version import source_version

AnswerT = TypeVar("AnswerT")
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_NUM_OTHERS = 3
"""How many folders for other code stay."""
_CODE = re.compile(r"[0-9a-f]{12}")
_ANSWER = re.compile(r"\.?[a-z_]+-[0-9a-f]{20}\.(json|npz)(\.[0-9a-f]+\.tmp)?")
CACHE_SETTING = "SIGMALAB_CACHE"
"""Names the folder in the environment."""


def cache_folder() -> Path:
    """SIGMALAB_CACHE, else `sigmalab` in the user's cache folder (XDG_CACHE_HOME, else `~/.cache`).

    Raises:
        FileNotFoundError: nobody knows this user's home, as in a container under a number that has no name.
    """
    own = os.environ.get(CACHE_SETTING)
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sigmalab"
    except RuntimeError as error:
        raise FileNotFoundError(f"no cache folder: {error}") from error


def remembered(question: str, about: str, kind: type[AnswerT], answer: Callable[[], AnswerT]) -> AnswerT:
    """An answer that was given before, or a new one, which is then kept. What `answer` raises is not kept.

    Args:
        question: what is asked, as the name of a file.
        about: all that the answer depends on beside the code.
        kind: the answer's type, as pydantic knows it.
        answer: gives it.
    """
    place = _place(question, about, "json")
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_json((cache_folder() / place).read_bytes())
    except (OSError, ValidationError):
        found = answer()
    # A home that is read-only, full or not there at all costs time, nothing else.
    with suppress(OSError):
        _keep(cache_folder() / place, adapter.dump_json(found))
    return found


def remembered_arrays(question: str, about: str, answer: Callable[[], Arrays]) -> Arrays:
    """As `remembered`, of arrays by name."""
    place = _place(question, about, "npz")
    try:
        # numpy leaves a file open in which it finds no archive.
        with (cache_folder() / place).open("rb") as file, np.load(file) as kept:
            return dict(kept)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        found = answer()
    with suppress(OSError):
        content = io.BytesIO()
        np.savez(content, **found)  # type: ignore[arg-type]  # numpy takes a name for its own argument
        _keep(cache_folder() / place, content.getvalue())
    return found


def _place(question: str, about: str, suffix: str) -> Path:
    return Path(source_version()) / f"{question}-{hashlib.sha256(about.encode()).hexdigest()[:20]}.{suffix}"


def _keep(file: Path, content: bytes) -> None:
    is_new_code = not file.parent.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    with replaced_file(file) as opened:
        opened.write(content)
    if is_new_code:
        _forget_old_code(file.parent)


def _forget_old_code(newest: Path) -> None:
    """Delete the folders for other code but the latest; SIGMALAB_CACHE may be a folder that holds other things too."""
    others = [each for each in newest.parent.iterdir() if _CODE.fullmatch(each.name) and each != newest]
    for folder in sorted(others, key=lambda each: each.stat().st_mtime, reverse=True)[_NUM_OTHERS:]:
        for file in folder.iterdir():
            if _ANSWER.fullmatch(file.name):
                file.unlink(missing_ok=True)
        # With anything else in it, it stays.
        with suppress(OSError):
            folder.rmdir()
