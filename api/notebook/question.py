"""From a control and what changes it to a spec."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, JsonValue

from orchestrator.errors import Problem, SpecError
from orchestrator.spec.code import with_code_beside
from trainers.document import decode_document
from trainers.errors import DocumentError
from trainers.strict_json import JsonObject

Config: TypeAlias = BaseModel | Mapping[str, JsonValue]
"""What a trial trains, or a patch of it: as in a spec, or a config object (`TrialConfig`) of which only what was set
counts."""

_OF_CELLS = ("model", "dataset")
_OF_ARMS = ("attention_bias",)
"""Fields of a trial that a spec has in its arms alone."""
_PLANNED = ("seed", "replica", "score_test")


def spec_document(
    spec: Config | Path | str | None,
    *,
    control: Config | None,
    treatment: Config | None,
    treatments: Mapping[str, Config] | None,
    seeds: int | Sequence[int] | None,
    fields: Mapping[str, JsonValue],
) -> JsonObject:
    """A spec as JSON: one that is given, or one that is made of a control and its changes.

    Args:
        spec: a file, or the spec itself.
        control: what is trained without the change: a trial's `model`, `dataset` and whatever else it sets.
        treatment: the change, a patch of the control.
        treatments: several changes by name.
        seeds: how many pairs, or which seeds.
        fields: further fields of the spec.

    Raises:
        SpecError: it is neither, or both; or the file can't be read.
    """
    if spec is not None:
        if any(given is not None for given in (control, treatment, treatments)):
            raise _problem("give a spec, or `control` with `treatment`, and not both")
        document, folder = _written(spec)
    else:
        document, folder = _made(control, _named(treatment, treatments)), Path.cwd()
    if seeds is not None:
        document["seeds"] = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    return with_code_beside({**document, **fields}, folder)


def _written(spec: Config | Path | str) -> tuple[JsonObject, Path]:
    if not isinstance(spec, str | Path):
        return _json_of(spec), Path.cwd()
    file = Path(spec)
    try:
        document = decode_document(file.read_bytes(), file.name)
    except OSError as error:
        raise _problem(f"can't read {file}: {error.strerror}") from error
    except DocumentError as error:
        raise _problem(f"{file}: {error}") from error
    if not isinstance(document, dict):
        raise _problem(f"{file} is not a spec: a JSON object is needed")
    return document, file.parent


def _named(treatment: Config | None, treatments: Mapping[str, Config] | None) -> Mapping[str, Config]:
    if (treatment is None) == (treatments is None):
        raise _problem("say what changes: `treatment={...}`, or `treatments={name: {...}, ...}` for several")
    return {"treatment": treatment} if treatment is not None else treatments or {}


def _made(control: Config | None, treatments: Mapping[str, Config]) -> JsonObject:
    trial = _json_of(control) if control is not None else {}
    missing = [field for field in _OF_CELLS if field not in trial]
    if missing:
        raise _problem(f"`control` says what is trained, and lacks {' and '.join(f'`{field}`' for field in missing)}")
    planned = [field for field in _PLANNED if field in trial]
    if planned:
        raise _problem(f"`{planned[0]}` is not a part of `control`: the plan sets it, see `seeds`")
    patch = {field: trial.pop(field) for field in _OF_ARMS if field in trial}
    arms: list[JsonValue] = [{"name": "control", "role": "control", "patch": patch}]
    arms += [{"name": name, "patch": _json_of(change)} for name, change in treatments.items()]
    cells: JsonObject = {f"{field}s": [trial.pop(field)] for field in _OF_CELLS}
    return {"name": "notebook", **cells, **trial, "arms": arms, "seeds": list(range(6))}


def _json_of(config: Config) -> JsonObject:
    if isinstance(config, BaseModel):
        found = _set_alone(config, config.model_dump(mode="json"))
        assert isinstance(found, dict)
        return found
    return {name: _json_value(value) for name, value in config.items()}


def _set_alone(value: object, written: JsonValue) -> JsonValue:
    """Of what a config writes what was set, and every `kind`: without it nobody knows what the rest is about."""
    if isinstance(value, BaseModel) and isinstance(written, dict):
        return {
            name: _set_alone(getattr(value, name, None), inner)
            for name, inner in written.items()
            if name in value.model_fields_set or name == "kind"
        }
    if isinstance(value, list | tuple) and isinstance(written, list):
        return [_set_alone(each, inner) for each, inner in zip(value, written, strict=True)]
    if isinstance(value, Mapping) and isinstance(written, dict):
        return {name: _set_alone(value.get(name), inner) for name, inner in written.items()}
    return written


def _json_value(value: object) -> JsonValue:
    """Configs may stand inside of what is written by hand."""
    if isinstance(value, BaseModel):
        # What its kind says by default is a part of what it is.
        return dict(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        return {str(name): _json_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise _problem(f"{value!r} is not JSON: a spec holds text, numbers, lists and objects")


def _problem(message: str) -> SpecError:
    return SpecError([Problem("", message)])
