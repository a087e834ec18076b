"""An optimizer of the user's own: any class of `torch.optim.Optimizer`'s."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainers.optimization.optimizer import Optimizer
from trainers.own_code.python_object import PythonObject

if TYPE_CHECKING:
    import torch

    from trainers.optimization.parameter_groups import ParameterGroup


class PythonOptimizer(Optimizer, PythonObject):
    """A class of the user's own (a `torch.optim.Optimizer`), or a function that returns one.

    It is called with the parameters in groups, `lr`, `weight_decay` if it takes an argument of this name, and
    `arguments`. The schedule sets the learning rate of every group before each step.
    """

    kind: Literal["python"] = "python"
    lr: float = Field(default=1e-3, gt=0, le=100)
    """Peak learning rate."""
    weight_decay: float = Field(default=0.05, ge=0, le=10)
    """Weight decay of matrices (never of vectors, position tables, sigma or A)."""

    __hash__ = PythonObject.__hash__

    def build(self, groups: "list[ParameterGroup]") -> "torch.optim.Optimizer":
        """The optimizer of these parameters.

        Raises:
            OwnCodeError: it can't be made.
        """
        from trainers.own_code.optimizer import own_optimizer

        return own_optimizer(self, groups, lr=self.lr, weight_decay=self.weight_decay)
