"""The update rule of a training."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from trainers.strict import StrictModel

if TYPE_CHECKING:
    import torch

    from trainers.optimization.parameter_groups import ParameterGroup


class Optimizer(StrictModel, ABC):
    """The update rule. A kind is one file here and one line in `trainers.kinds`.

    It has the fields `lr` (at its peak) and `weight_decay` (of matrices; vectors get none).
    """

    if TYPE_CHECKING:
        lr: float
        weight_decay: float

    @abstractmethod
    def build(self, groups: "list[ParameterGroup]") -> "torch.optim.Optimizer":
        """The optimizer of these parameters."""
