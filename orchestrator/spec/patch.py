"""JSON merge patch, the one operation that makes trials out of a base, a cell and an arm.

RFC 7396 with one addition: a patch object that carries `kind` replaces the whole object, because the fields of
another variant of a discriminated union mean nothing to the new one (no `momentum` may survive a change from SGD to
AdamW).
"""

from collections.abc import Iterable

from pydantic import JsonValue

from orchestrator.spec.complaints import suggestion
from trainers.strict_json import JsonObject

__all__ = ["JsonObject", "UnknownPathError", "merge_patch", "set_path"]


class UnknownPathError(ValueError):
    """A dotted path names no field of the config."""


def merge_patch(target: JsonObject, patch: JsonObject) -> JsonObject:
    """Apply a merge patch.

    Args:
        target: the object to change; it stays as it is.
        patch: members to set; `null` removes a member (a config's field then has its default); an object is merged
            into the member of the same name, or replaces it if it carries `kind`.

    Returns:
        A new object; unchanged parts are shared with `target`.
    """
    merged: JsonObject = {} if "kind" in patch else dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            present = merged.get(key)
            merged[key] = merge_patch(present if isinstance(present, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def set_path(target: JsonObject, dotted_path: str, value: JsonValue) -> JsonObject:
    """Set one field of a config in which every default is written out.

    Args:
        target: the config; it stays as it is.
        dotted_path: names from the top, such as `attention_bias.sigma`; every one must exist.
        value: the new value; an object replaces the old one whole.

    Raises:
        UnknownPathError: a name of the path is not there; the message says which are.
    """
    name, _, rest = dotted_path.partition(".")
    if name not in target:
        raise UnknownPathError(_unknown(name, target))
    if not rest:
        return {**target, name: value}
    present = target[name]
    if not isinstance(present, dict):
        raise UnknownPathError(f"`{name}` has no fields, so `{rest}` can't be set in it")
    try:
        return {**target, name: set_path(present, rest, value)}
    except UnknownPathError as error:
        raise UnknownPathError(f"in `{name}`: {error}") from None


def _unknown(name: str, valid: Iterable[str]) -> str:
    return f"there is no field `{name}`{suggestion(name, valid)}"
