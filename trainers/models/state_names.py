"""Names of weights in a file: what wrappers have put around them, and in a few words how they differ from a model's."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from trainers.errors import CheckpointError

_OUTSIDE = ("module.", "model.", "backbone.")
"""Before names: DistributedDataParallel and averaged models, training modules of Lightning and others, detectors."""
_ANYWHERE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Inside names too: `torch.compile`, of the whole model or of single blocks, and wrappers that shard or recompute."""
_NUM_NAMED = 3

Value = TypeVar("Value")


def without_wrappers(weights: Mapping[str, Value]) -> dict[str, Value]:
    """The same weights in the names that the model itself has.

    Every name loses what stands before it, so that a head beside a `backbone.` keeps its own name.

    Raises:
        CheckpointError: two of them then have one name, as where a file holds two models.
    """
    given: dict[str, str] = {}
    bare: dict[str, Value] = {}
    for name, value in weights.items():
        own = _unwrapped(name)
        if own in given:
            raise CheckpointError(
                f"holds two models: {given[own]} and {name} are both {own}; keep one of them in the file"
            )
        given[own], bare[own] = name, value
    return bare


def _unwrapped(name: str) -> str:
    for each in _ANYWHERE:
        name = name.replace(each, "")
    while (start := next((each for each in _OUTSIDE if name.startswith(each)), None)) is not None:
        name = name.removeprefix(start)
    return name


def mismatch(missing: Sequence[str], unexpected: Sequence[str], shapes: Sequence[str] = ()) -> str:
    """`it lacks a, b and 3 more and has c`; empty if all fits.

    Args:
        missing: names that the model has and the file has not.
        unexpected: names that the file has and the model has not.
        shapes: what is of another shape, in words.
    """
    facts = [f"{title} {_some(names)}" for title, names in (("lacks", missing), ("has", unexpected)) if names]
    return " and ".join([*(["it " + " and ".join(facts)] if facts else []), *([_some(shapes)] if shapes else [])])


def mismatch_of(error: Exception) -> str:
    """What torch says of a state dict that does not fit, without its hundreds of names."""
    text = str(error)
    lists = [re.search(rf"{title} key\(s\) in state_dict: (.*)", text) for title in ("Missing", "Unexpected")]
    missing, unexpected = (re.findall(r'"([^"]+)"', found[1]) if found else [] for found in lists)
    shapes = [
        f"{name} is {theirs} there and {ours} in the model"
        for name, theirs, ours in re.findall(
            r"size mismatch for (\S+): copying a param with shape torch.Size\((.*?)\) from checkpoint, "
            r"the shape in current model is torch.Size\((.*?)\)",
            text,
        )
    ]
    return mismatch(missing, unexpected, shapes) or text.partition("\n")[0]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NUM_NAMED
    return ", ".join(names[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")
