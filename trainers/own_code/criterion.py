"""Losses of the user's own, and whether they fit."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainers.errors import OwnCodeError
from trainers.own_code.generators import generators_apart
from trainers.own_code.loading import as_function, called, kind_of_object
from trainers.seeding import DrawingLoss, seeded_libraries

if TYPE_CHECKING:
    from trainers.own_code.python_object import PythonObject

_NUM_IMAGES = 2


def own_criterion(named: "PythonObject", num_classes: int, device: torch.device) -> "OwnCriterion":
    """Make a loss; what it draws for that moves no random number of anybody else's.

    Args:
        named: a function with some of its arguments, or a class.
        num_classes: K, for those that take an argument of this name.
        device: where buffers go.

    Raises:
        OwnCodeError: it can't be made, or has parameters.
    """
    with generators_apart():
        function = as_function(named, wanted="a loss", given={"num_classes": num_classes})
    if isinstance(function, nn.Module):
        if any(True for _ in function.parameters()):
            raise OwnCodeError(
                f"{named.target} has parameters of its own, which nobody trains: the optimizer has those of the model; "
                "make them buffers, or a part of the model"
            )
        function = function.to(device)
    return OwnCriterion(named.target, function, device)


class OwnCriterion(DrawingLoss):
    """Logits [B, K] and labels to a scalar, or to a message that says what came instead.

    What it draws from torch's, numpy's or Python's global generator follows `draw_from`, and moves nobody else's.
    """

    def __init__(self, target: str, function: Callable[[Tensor, Tensor], Any], device: torch.device) -> None:
        """Keep the function.

        Args:
            target: how messages call it.
            function: the user's.
            device: where it computes.
        """
        self._target, self.function, self._device = target, function, device
        self._seed = 0

    def draw_from(self, seed: int) -> None:
        """Set where what the next call draws starts."""
        self._seed = seed

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss.

        Raises:
            OwnCodeError: it raises, or gives no scalar.
        """
        given = logits.float()
        shapes = f"logits {list(given.shape)} and labels {list(labels.shape)}"
        with seeded_libraries(self._seed, self._device):
            loss = called(self.function, f"{self._target} can't take {shapes}", given, labels)
        if not isinstance(loss, Tensor):
            raise OwnCodeError(
                f"{self._target} gives {kind_of_object(loss)} for {shapes}; a loss gives a tensor of one number"
            )
        if loss.ndim:
            raise OwnCodeError(
                f"{self._target} gives {list(loss.shape)} for {shapes}, where a scalar is needed: take the mean over "
                "the batch"
            )
        if not loss.is_floating_point():
            raise OwnCodeError(f"{self._target} gives a number of the type {loss.dtype}; a loss is a float")
        if given.requires_grad and torch.is_grad_enabled() and not loss.requires_grad:
            raise OwnCodeError(
                f"the loss of {self._target} has no gradient: it was cut off from the logits (`detach`, `item`, "
                "`argmax`, `no_grad`), or does not use them"
            )
        return loss


def try_criterion(criterion: Callable[[Tensor, Tensor], Tensor], num_classes: int, labels: Tensor) -> None:
    """Take the gradient of the loss of made-up logits.

    Args:
        criterion: any.
        num_classes: K.
        labels: [2], or [2, K] where images are mixed.

    Raises:
        OwnCodeError: it does not fit, or keeps something from one batch to the next.
    """
    logits = torch.randn(_NUM_IMAGES, num_classes, generator=torch.Generator().manual_seed(0)).requires_grad_()
    kept = copy.deepcopy(_buffers_of(criterion))
    loss = criterion(logits, labels)
    if not isinstance(criterion, OwnCriterion):
        return
    target = criterion._target  # noqa: SLF001  of this file
    called(loss.backward, f"the loss of {target} has no gradient")
    if not torch.isfinite(loss):
        raise OwnCodeError(f"{target} gives {loss.item()} for logits between -3 and 3; a loss is finite there")
    if logits.grad is None or not torch.isfinite(logits.grad).all():
        raise OwnCodeError(f"the gradient of {target} is missing or not finite for logits between -3 and 3")
    changed = next((name for name, value in _buffers_of(criterion).items() if not torch.equal(value, kept[name])), None)
    if changed is not None:
        raise OwnCodeError(
            f"{target} changes its buffer `{changed}` at every call, and a training that goes on after an interruption "
            "would start it anew; a loss keeps nothing from one batch to the next"
        )
    # What it draws is the same again.
    again = criterion(logits, labels)
    if not torch.equal(loss, again):
        raise OwnCodeError(
            f"{target} gives {loss.item():.6g} for two images, and {again.item():.6g} for the same the second time, "
            "with the same random numbers: a loss keeps nothing from one batch to the next, which would start anew "
            "after an interruption, and draws from torch's, numpy's or Python's global generator alone"
        )


def _buffers_of(criterion: object) -> dict[str, Tensor]:
    function = criterion.function if isinstance(criterion, OwnCriterion) else None
    return dict(function.named_buffers()) if isinstance(function, nn.Module) else {}
