"""A point of a search space, put into a trial's config."""

from collections.abc import Iterable, Iterator

from pydantic import JsonValue

from orchestrator.search.space import Params, is_below
from orchestrator.spec.patch import UnknownPathError, set_path
from trainers.strict_json import JsonObject


def with_point(document: JsonObject, params: Params) -> JsonObject:
    """The config with all params in it; in which order the space lists its paths makes no difference.

    A path inside another one (`attention_bias.sigma` beside `attention_bias`) is set in the value of the outer one.

    Args:
        document: a trial's config with every default written out; it stays as it is.
        params: dotted path -> value.

    Raises:
        UnknownPathError: a path names no field.
    """
    # Fewer dots first: a value never wipes out what was set inside it.
    for path in sorted(params, key=lambda path: path.count(".")):
        is_inside = any(outer_paths(path, params))
        document = (_set_inside if is_inside else set_path)(document, path, params[path])
    return document


def outer_paths(path: str, space: Iterable[str]) -> Iterator[str]:
    """The paths of a space that this one lies in, the outermost first."""
    yield from sorted((other for other in space if is_below(path, other)), key=len)


def _set_inside(target: JsonObject, path: str, value: JsonValue) -> JsonObject:
    """Set a field of a value that a search has set: that value names no defaults, so a field may have to be made.

    Args:
        target: the config; it stays as it is.
        path: what is set, from the top.
        value: the new value.
    """
    name, _, rest = path.partition(".")
    if not rest:
        return {**target, name: value}
    inner = target.get(name, {})
    if not isinstance(inner, dict):
        raise UnknownPathError(f"`{name}` has no fields, so `{rest}` can't be set in it")
    return {**target, name: _set_inside(inner, rest, value)}
