"""What asking timm takes seconds for, kept on disk: a model's sizes, its grids, what a forward pass costs.

One small JSON file per answer, below a folder for the code and the libraries that gave it (`code_version`): another
timm is asked anew. The folder may be deleted at any time; where it can't be written, timm is asked every time.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from trainers.atomic_file import replaced_file
from trainers.version import code_version

AnswerT = TypeVar("AnswerT")


def cache_folder() -> Path:
    """SIGMALAB_CACHE, else `sigmalab` in the user's cache folder (XDG_CACHE_HOME, else `~/.cache`)."""
    own = os.environ.get("SIGMALAB_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sigmalab"


def remembered(question: str, about: str, kind: type[AnswerT], answer: Callable[[], AnswerT]) -> AnswerT:
    """An answer that was given before, or a new one, which is then kept. What `answer` raises is not kept.

    Args:
        question: what is asked, as the name of a file.
        about: all that the answer depends on beside the code.
        kind: the answer's type, as pydantic knows it.
        answer: gives it.
    """
    name = f"{question}-{hashlib.sha256(about.encode()).hexdigest()[:20]}.json"
    file = cache_folder() / code_version() / name
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        found = answer()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replaced_file(file) as opened:
            opened.write(adapter.dump_json(found))
    except OSError:
        # A home that is read-only or full costs time, nothing else.
        return found
    return found
