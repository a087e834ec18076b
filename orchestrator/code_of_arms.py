"""Which code of the user's own an arm means, where arms differ in it.

As `trainers.own_code.place` says where code lies here and now, for one arm after another: configs of two commits read
alike, and only who knows the arm of a config knows which of the two it means.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from trainers.own_code.place import OwnCode, own_code

_NONE: Mapping[str, OwnCode] = MappingProxyType({})
_current: ContextVar[Mapping[str, OwnCode]] = ContextVar("code_of_arms", default=_NONE)


@contextmanager
def codes_of_arms(codes: Mapping[str, OwnCode]) -> Iterator[None]:
    """Let arms mean this code for all that this thread reads meanwhile.

    Args:
        codes: name of an arm -> its code; others mean what the experiment does.
    """
    token = _current.set(codes)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def code_of(arm: str) -> Iterator[None]:
    """Let configs mean the code of an arm; where it has none of its own, what held before holds on."""
    code = _current.get().get(arm)
    if code is None:
        yield
        return
    with own_code(code):
        yield
