"""One trial config out of its sources, and back: which source an invalid place came from.

trial = base + cell patches + arm patch   (+ sampled params + seed, see `orchestrator.planning.expansion`)
"""

from dataclasses import dataclass

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import to_json

from orchestrator.planning.planned_fields import PLANNED_FIELDS
from orchestrator.spec.complaints import Path, complaints_of, json_pointer
from orchestrator.spec.patch import merge_patch
from orchestrator.spec.recipes import RECIPES, RecipeName
from trainers.config import TrialConfig
from trainers.strict_json import JsonObject


class InvalidTrialError(ValueError):
    """A composed config that is not a valid trial.

    Attributes:
        complaints: JSON pointer into the spec and message of each.
    """

    def __init__(self, complaints: list[tuple[str, str]]) -> None:
        self.complaints = complaints
        super().__init__("; ".join(message for _, message in complaints))


@dataclass(frozen=True)
class PatchSource:
    """A patch and the place where the user wrote it."""

    pointer: str
    """JSON pointer of the patch in the spec."""
    patch: JsonObject
    """The patch."""

    def covers(self, path: Path) -> bool:
        """Whether this patch decides what stands at a place of the trial config."""
        value: JsonValue = self.patch
        for key in path:
            if not isinstance(value, dict):
                return True
            if key not in value:
                return "kind" in value
            value = value[str(key)]
        return True


@dataclass(frozen=True)
class Composition:
    """The sources of all trials of one cell and arm."""

    base: JsonObject
    """Task, model, data set, augmentation, mixing, normalization and optimization of the spec, every default written
    out."""
    base_pointers: dict[str, str]
    """Field of the trial -> JSON pointer of its base in the spec."""
    patches: tuple[PatchSource, ...]
    """In order of application: cell patches, then the arm's."""
    recipe: RecipeName | None = None
    """The recipe that the base was made from."""

    def validate(self) -> TrialConfig:
        """Apply all patches and validate the result.

        Raises:
            InvalidTrialError: it is not a trial config; every complaint points at the patch (or the base) that wrote
                the invalid place.
        """
        self._refuse_planned_fields()
        merged = self.base
        for source in self.patches:
            merged = merge_patch(merged, source.patch)
        try:
            return validated_trial(merged)
        except ValidationError as error:
            complaints = complaints_of(error, TrialConfig)
            raise InvalidTrialError([(self.pointer_to(path), message) for path, message in complaints]) from None

    def pointer_to(self, path: Path) -> str:
        """JSON pointer into the spec, to the source that had the last word on a place of the trial config."""
        for source in reversed(self.patches):
            if source.covers(path):
                return source.pointer + json_pointer(path)
        if self.recipe is not None and RECIPES[self.recipe].decides(path, self.base):
            return "/recipe"
        if path and path[0] in self.base_pointers:
            return self.base_pointers[str(path[0])] + json_pointer(path[1:])
        return ""

    def _refuse_planned_fields(self) -> None:
        complaints = [
            (f"{source.pointer}/{field}", reason)
            for source in self.patches
            for field, reason in PLANNED_FIELDS.items()
            if field in source.patch
        ]
        if complaints:
            raise InvalidTrialError(complaints)


def validated_trial(document: JsonObject) -> TrialConfig:
    """A trial config from JSON values, with types taken at their word (the text `"2"` is not a number).

    Raises:
        ValidationError: it is none.
    """
    return TrialConfig.model_validate_json(to_json(document), strict=True)


def json_of(config: BaseModel) -> JsonObject:
    """A config as JSON values, every default written out."""
    document: JsonObject = config.model_dump(mode="json")
    return document
