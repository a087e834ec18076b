"""Stochastic gradient descent, by torch."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from trainers.optimization.optimizer import Optimizer

if TYPE_CHECKING:
    import torch

    from trainers.optimization.parameter_groups import ParameterGroup


class SgdConfig(Optimizer):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"
    lr: float = Field(default=0.01, gt=0, le=100)
    """Peak learning rate."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum."""
    nesterov: bool = False
    """Nesterov momentum."""
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    """Weight decay of matrices (never of vectors, position tables, sigma or A)."""

    def build(self, groups: "list[ParameterGroup]") -> "torch.optim.Optimizer":
        """The optimizer of these parameters."""
        import torch

        return torch.optim.SGD(
            [dict(group) for group in groups], lr=self.lr, momentum=self.momentum, nesterov=self.nesterov
        )

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self
