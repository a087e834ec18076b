"""The JSON Schema of a patch: the trial config's own made a merge patch, so that editors know what may change."""

from collections.abc import Iterator
from typing import Any

from orchestrator.planning.planned_fields import PLANNED_FIELDS
from trainers.config import TrialConfig

# JSON Schema is JSON whose shape only pydantic knows.
Schema = dict[str, Any]

TRIAL_PATCH = "TrialPatch"
_NULL: Schema = {"type": "null"}
_OF_A_PATCH = (
    "A JSON merge patch on the trial config: fields that are not here stay as they are, `null` takes a field back to "
    "its default, and an object that carries `kind` replaces the present one whole."
)


def patch_definitions(ref_template: str) -> dict[str, Schema]:
    """Definitions of a patch on the trial config: `TRIAL_PATCH` and all that it refers to.

    Args:
        ref_template: how one refers to another, such as `#/$defs/{model}`.
    """
    trial = TrialConfig.model_json_schema(ref_template=ref_template)
    patches = _Patches(trial.pop("$defs"), ref_template)
    for field in PLANNED_FIELDS:
        del trial["properties"][field]
    top = patches.of_object(trial)
    top |= {"title": TRIAL_PATCH, "description": _OF_A_PATCH}
    return {TRIAL_PATCH: top} | patches.made | patches.whole_in(top)


class _Patches:
    """Makes a patch of each object; lists are replaced whole, so what they hold stays as it is."""

    def __init__(self, whole: dict[str, Schema], ref_template: str) -> None:
        self.made: dict[str, Schema] = {}
        self._whole, self._ref_template = whole, ref_template
        self._names = {ref_template.format(model=name): name for name in whole}

    def of_object(self, schema: Schema) -> Schema:
        """Any field may be left out; but an object that carries `kind` stands for itself, and is whole."""
        patch = {key: value for key, value in schema.items() if key not in ("required", "properties", "default")}
        patch["properties"] = {name: self._field(field) for name, field in schema["properties"].items()}
        required = [name for name in schema.get("required", ()) if name != "kind"]
        if required and "kind" in schema["properties"]:
            patch["dependentRequired"] = {"kind": required}
        return patch

    def whole_in(self, top: Schema) -> dict[str, Schema]:
        """Definitions that patches refer to as they are."""
        found: dict[str, Schema] = {}
        waiting: list[object] = [top, *self.made.values()]
        while waiting:
            for ref in _refs(waiting.pop()):
                name = self._names.get(ref)
                if name is not None and name not in found:
                    found[name] = self._whole[name]
                    waiting.append(self._whole[name])
        return found

    def _field(self, schema: Schema) -> Schema:
        """One field, which `null` takes back (never `kind`: without it no object says what it is)."""
        about: Schema = {key: schema[key] for key in ("description", "title") if key in schema}
        rest = {key: value for key, value in schema.items() if key not in (*about, "default")}
        if "const" in rest:
            return {**about, **rest}
        options = [self._value(value) for value in _options(rest)]
        return {**about, "anyOf": [*(option for option in options if option != _NULL), _NULL]}

    def _value(self, schema: Schema) -> Schema:
        name = self._names.get(schema.get("$ref", ""))
        if name is None or "properties" not in self._whole[name]:
            return schema
        patch = f"{name}Patch"
        if patch not in self.made:
            self.made[patch] = {}
            self.made[patch] = {**self.of_object(self._whole[name]), "title": patch}
        return {"$ref": self._ref_template.format(model=patch)}


def _options(schema: Schema) -> list[Schema]:
    """The schemas of which one must hold."""
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return [value for option in schema[key] for value in _options(option)]
    return [schema]


def _refs(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from _refs(value)
    elif isinstance(schema, list):
        for entry in schema:
            yield from _refs(entry)
