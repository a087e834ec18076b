"""Where an experiment's own code comes from."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, JsonValue

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


class ArmCode(StrictModel):
    """Code that one arm alone runs: a commit, a patch of it, or a folder as it is."""

    repo: str | None = Field(default=None, min_length=1, max_length=4096)
    """The repository, or a folder in one, that holds the packages; a relative path starts where the spec lies (`null`:
    the folder of the spec's `code`, else the control's `repo`)."""
    ref: str | None = Field(default=None, max_length=256, pattern=r"^[^-\s]\S*$")
    """Branch, tag or commit, as it is when the experiment is handed in (`null`: the files as they lie there, changes
    that are not committed included)."""
    patch: str | None = Field(default=None, min_length=1, max_length=4096)
    """File with a patch, as `git diff` writes it, on top of the commit (without a `ref`, on that of the control, else
    on HEAD)."""
    commit: str | None = Field(default=None, pattern="^[0-9a-f]{40,64}$")
    """The commit that was found; written by sigmalab."""
    has_changes: bool = False
    """Whether the folder had changes that were not committed; written by sigmalab."""
    kept: str | None = Field(default=None, pattern="^[0-9a-f]{20}$")
    """The snapshot that was made of it, which is what runs (`null`: it is made anew)."""

    @property
    def words(self) -> str:
        """For people: which code it is."""
        name = Path(self.repo or "").name or "code"
        short = (self.commit or "")[:12]
        if self.ref is None and self.patch is None:
            changes = " with uncommitted changes" if self.has_changes else ""
            return f"the files in {name}" + (f" at {short}{changes}" if short else "")
        patched = f" with {Path(self.patch).name}" if self.patch else ""
        named = "" if self.ref is None or short.startswith(self.ref) else self.ref
        shown = f"{named} ({short})" if named and short else named or short or "HEAD"
        return f"{name} at {shown}{patched}"


def with_code_beside(document: JsonObject, folder: Path) -> JsonObject:
    """A spec whose own code has absolute paths, arms' code included.

    Args:
        document: as its user wrote it.
        folder: where it lies, in which relative paths start.
    """
    placed = dict(document)
    code, arms = document.get("code"), document.get("arms")
    if isinstance(code, dict):
        placed["code"] = _absolute(code, "path", folder)
    elif isinstance(code, str) and code:
        placed["code"] = _absolute({"path": code}, "path", folder)["path"]
    if isinstance(arms, list):
        placed["arms"] = [_with_arms_code_beside(arm, folder) for arm in arms]
    return placed


def _with_arms_code_beside(arm: JsonValue, folder: Path) -> JsonValue:
    if not isinstance(arm, dict) or not isinstance(code := arm.get("code"), dict):
        return arm
    return {**arm, "code": _absolute(_absolute(code, "repo", folder), "patch", folder)}


def _absolute(document: JsonObject, field: str, folder: Path) -> JsonObject:
    path = document.get(field)
    if not isinstance(path, str) or not path:
        return document
    return {**document, field: os.path.normpath(user_path(path, folder.absolute()))}
