"""Rules for whoever writes a spec, which an experiment that is stored has behind it.

A version may come to refuse what an earlier one accepted. Such a rule asks `is_accepted` and then keeps silent, so that
yesterday's experiments are still shown, compared and reported; what has no meaning to this version is refused always.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationInfo

ACCEPTED: Mapping[str, Any] = MappingProxyType({"accepted": True})
"""The validation context of a spec, or of a part of one, that some version has accepted."""


def is_accepted(info: ValidationInfo) -> bool:
    """Whether what is validated was accepted before, and is only read back."""
    return info.context is ACCEPTED
