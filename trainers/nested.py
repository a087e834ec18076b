"""Tensors in lists, tuples and mappings: what a batch of images or of targets may be made of."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from torch import Tensor

Nested: TypeAlias = Any
"""A tensor, or a list, tuple, named tuple or mapping of such (at any depth); other leaves are left as they are."""


def map_tensors(function: Callable[[Tensor], Tensor], nested: Nested) -> Nested:
    """The same structure with every tensor replaced by what a function makes of it."""
    if isinstance(nested, Tensor):
        return function(nested)
    if isinstance(nested, Mapping):
        return {key: map_tensors(function, value) for key, value in nested.items()}
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(map_tensors(function, value) for value in nested))
    if isinstance(nested, (list, tuple)):
        return type(nested)(map_tensors(function, value) for value in nested)
    return nested


def tensors_in(nested: Nested) -> Iterator[Tensor]:
    """Every tensor, in the order of the structure."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, Mapping):
        for value in nested.values():
            yield from tensors_in(value)
    elif isinstance(nested, (list, tuple)):
        for value in nested:
            yield from tensors_in(value)
