"""Where an experiment's own code comes from."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from trainers.strict import StrictModel
from trainers.strict_json import JsonObject
from trainers.user_path import user_path


class CodeFolder(StrictModel):
    """A folder whose packages and modules the experiment may name."""

    path: str = Field(min_length=1, max_length=4096)
    """The folder, on the machine that takes the experiment in; a relative one starts where the spec lies. Short for
    `{"path": "."}` is `"."`."""
    kept: str | None = Field(default=None, pattern="^[0-9a-f]{20}$")
    """The snapshot that was made of it, which is what runs; another submission with it runs the same (`null`: the
    folder as it is now)."""


def _spelled_out(written: object) -> object:
    return {"path": written} if isinstance(written, str) else written


Code = Annotated[CodeFolder | None, BeforeValidator(_spelled_out, json_schema_input_type=str | CodeFolder | None)]


def with_code_beside(document: JsonObject, folder: Path) -> JsonObject:
    """A spec whose own code has an absolute path.

    Args:
        document: as its user wrote it.
        folder: where it lies, in which relative paths start.
    """
    code = document.get("code")
    path = code.get("path") if isinstance(code, dict) else code
    if not isinstance(path, str) or not path:
        return document
    absolute = os.path.normpath(user_path(path, folder.absolute()))
    return {**document, "code": {**code, "path": absolute} if isinstance(code, dict) else absolute}
