"""A loss of the user's own: any callable that makes a scalar of logits and labels."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from trainers.own_code.python_object import PythonObject
from trainers.tasks.classification.loss import Loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class PythonLoss(Loss, PythonObject):
    """A function of the user's own, or a class whose objects are called like one: (logits, labels) -> scalar.

    A function gets `arguments` by name at every call, a class once. Logits are [B, K] in fp32, labels [B] int64 (the
    share of each class, [B, K], where images are mixed); the scalar is the mean over the batch.
    """

    kind: Literal["python"] = "python"

    __hash__ = PythonObject.__hash__

    def build(
        self, *, num_classes: int, label_smoothing: float, device: "torch.device"
    ) -> "Callable[[Tensor, Tensor], Tensor]":
        """The callable, watched: what it gives must be a scalar.

        Args:
            num_classes: K; passed on if it takes an argument of this name.
            label_smoothing: not used.
            device: where its buffers go, if it is a module.

        Raises:
            OwnCodeError: it can't be made.
        """
        from trainers.own_code.criterion import own_criterion

        return own_criterion(self, num_classes, device)
