"""Changes of a built network by the user's own code."""

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trainers.errors import OwnCodeError
from trainers.models.added import note_change
from trainers.models.attached_bias import AttachedBias
from trainers.models.bias import AttentionBias
from trainers.models.grid import TokenGrid
from trainers.own_code.generators import generators_apart
from trainers.own_code.loading import as_function, built, called, kind_of_object, loaded

if TYPE_CHECKING:
    from trainers.own_code.python_object import PythonObject

_WANTED = "a change of the network"
_NOT_ASKED = ("is_none", "is_placebo", "starts_from_weights", "start_from", "trouble_with")
"""What driver, plan and report ask of a kind in their own processes, where no code of the user's is imported."""


def own_bias(named: "PythonObject") -> AttentionBias | None:
    """The `AttentionBias` that a target is a class of (`None`: it is something else).

    Raises:
        OwnCodeError: it does not import, takes other arguments, or says of itself what nobody would ask.
    """
    target = loaded(named.target)
    if not (isinstance(target, type) and issubclass(target, AttentionBias)):
        return None
    unasked = [name for name in _NOT_ASKED if getattr(target, name) is not getattr(AttentionBias, name)]
    if unasked:
        raise OwnCodeError(
            f"{named.target} overrides {' and '.join(unasked)}, which nobody asks of a change of one's own: leave it "
            "out (a file of weights is the model's, `weights`; no report calls a change of one's own a placebo)"
        )
    bias: AttentionBias = built(named, wanted=_WANTED)
    return bias


def of_layer(named: "PythonObject", grid: TokenGrid, num_heads: int, device: torch.device) -> AttachedBias:
    """One layer's bias, of a target that is an `AttentionBias`.

    Raises:
        OwnCodeError: it is none.
    """
    bias = own_bias(named)
    if bias is None:
        raise OwnCodeError(f"{named.target} is no AttentionBias, and gives no bias of a layer")
    made: AttachedBias = called(bias.of_layer, f"{named.target} can't make a bias", grid, num_heads, device)
    return made


def change(named: "PythonObject", network: nn.Module) -> None:
    """Change a network in place; what the user's code draws moves nobody else's random numbers.

    Raises:
        OwnCodeError: it raises, or returns another network.
    """
    before = dict(network.state_dict(keep_vars=True))
    with generators_apart():
        bias = own_bias(named)
        returned: Any = None
        if bias is not None:
            called(bias.attach, f"{named.target} can't be added to {type(network).__name__}", network)
        else:
            function = as_function(named, wanted=_WANTED)
            returned = called(function, f"{named.target} can't change {type(network).__name__}", network)
    if returned is not None and returned is not network:
        raise OwnCodeError(
            f"{named.target} returns {kind_of_object(returned)}; a change gets the network, changes it in place, and "
            "returns nothing or the same network: to put another in its place, name it as `model`"
        )
    note_change(network, before)


def require_a_change(label: str, plain: nn.Module, changed: nn.Module, image_size_px: int) -> None:
    """See that a change reaches what the network says, or learns something that will.

    Args:
        label: how messages call it.
        plain: before.
        changed: a copy of the same weights, after.
        image_size_px: side of the images.

    Raises:
        OwnCodeError: nobody would notice it.
    """
    images = torch.randn(2, 3, image_size_px, image_size_px, generator=torch.Generator().manual_seed(0))
    failure = f"the network that {label} has changed can't see images {list(images.shape)}"
    # With gradients both: attention may be computed by another kernel without, and differ by rounding.
    before = plain.eval()(images)
    after = called(changed.eval(), failure, images)
    if not isinstance(after, torch.Tensor) or after.shape != before.shape:
        gives = list(after.shape) if isinstance(after, torch.Tensor) else kind_of_object(after)
        raise OwnCodeError(f"the network that {label} has changed gives {gives}, and {list(before.shape)} before")
    if not torch.equal(before, after):
        return
    if after.requires_grad:
        after.square().sum().backward()  # type: ignore[no-untyped-call]
    theirs = {name for name, _ in plain.named_parameters()}
    new = [parameter for name, parameter in changed.named_parameters() if name not in theirs]
    if not any(parameter.grad is not None for parameter in new):
        raise OwnCodeError(
            f"{label} changes nothing: the network says the same of every image as before, and none of its parameters "
            "is new and reaches that; an override of a method that is not called, perhaps (timm's fused attention does "
            "not call every `forward`)"
        )
