"""What a change of the user's own has added to a network and replaced in it, noted on the network itself."""

from collections.abc import Mapping

from torch import Tensor, nn

from trainers.tensor_digest import tensor_digest

_ADDED, _REPLACED = "_sigmalab_added", "_sigmalab_replaced"
"""Plain attributes: copies, pickles and compiled networks keep them, and no state dict has them."""


def note_change(network: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Note what of a network's state is new after a change, and what is no more there, or is another tensor.

    Args:
        network: changed.
        before: its state before, the tensors themselves (`state_dict(keep_vars=True)`).
    """
    after = network.state_dict(keep_vars=True)
    # As they are now: a change that only moves a weight into another module, and doubles it there, has changed it.
    replaced = {name: tensor_digest(tensor) for name, tensor in before.items() if after.get(name) is not tensor}
    setattr(network, _ADDED, frozenset(after.keys() - before))
    setattr(network, _REPLACED, replaced)


def added_to(network: nn.Module) -> set[str]:
    """Names of a network's state that a change of it, or of a module in it, has added."""
    return {
        f"{path}.{name}" if path else name
        for path, module in network.named_modules()
        for name in vars(module).get(_ADDED, ())
    }


def replaced_in(network: nn.Module) -> dict[str, str]:
    """What a change of a network, or of a module in it, has taken out or replaced: name -> digest of what was there."""
    return {
        f"{path}.{name}" if path else name: digest
        for path, module in network.named_modules()
        for name, digest in vars(module).get(_REPLACED, {}).items()
    }
