"""What a change of the user's own has added to a network, noted on the network itself."""

from collections.abc import Iterable

from torch import nn

_ADDED = "_sigmalab_added"
"""A plain attribute: copies, pickles and compiled networks keep it, and no state dict has it."""


def note_added(network: nn.Module, names: Iterable[str]) -> None:
    """Note names of the network's state that were not there before a change."""
    setattr(network, _ADDED, frozenset(names))


def added_to(network: nn.Module) -> set[str]:
    """Names of a network's state that a change of it, or of a module in it, has added."""
    return {
        f"{path}.{name}" if path else name
        for path, module in network.named_modules()
        for name in vars(module).get(_ADDED, ())
    }
