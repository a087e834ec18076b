"""What a classification makes small: every kind's base, and cross-entropy."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from trainers.strict import StrictModel

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Loss(StrictModel, ABC):
    """The training loss of logits and labels, as a config names it.

    A kind is one file here and its name in `trainers.tasks.classification.losses`. Whatever is trained, validation and
    test are scored by the same metrics, cross-entropy (`loss`) among them.
    """

    smooths_labels: ClassVar[bool] = False
    """Whether the task's `label_smoothing` is a part of it."""

    @abstractmethod
    def build(
        self, *, num_classes: int, label_smoothing: float, device: "torch.device"
    ) -> "Callable[[Tensor, Tensor], Tensor]":
        """The loss of one trial.

        Of logits [B, K] and labels [B], or the share of each class [B, K] where images are mixed: the mean over the
        batch, a scalar in fp32.

        Args:
            num_classes: K.
            label_smoothing: the task's; 0 for a kind that does not smooth labels.
            device: where logits and labels are.

        Raises:
            ConfigError: it can't be built.
        """


class CrossEntropyLoss(Loss):
    """Cross-entropy, with the task's label smoothing."""

    smooths_labels: ClassVar[bool] = True

    kind: Literal["cross_entropy"] = "cross_entropy"

    def build(
        self, *, num_classes: int, label_smoothing: float, device: "torch.device"
    ) -> "Callable[[Tensor, Tensor], Tensor]":
        """Mean cross-entropy, in fp32."""
        from torch.nn import functional as F

        def loss(logits: "Tensor", targets: "Tensor") -> "Tensor":
            return F.cross_entropy(logits.float(), targets, label_smoothing=label_smoothing)

        return loss
