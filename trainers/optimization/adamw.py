"""AdamW, by torch."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainers.optimization.optimizer import Optimizer

if TYPE_CHECKING:
    import torch

    from trainers.optimization.parameter_groups import ParameterGroup


class AdamWConfig(Optimizer):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, le=100)
    """Peak learning rate."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay rate of the running mean of gradients."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Decay rate of the running mean of squared gradients."""
    weight_decay: float = Field(default=0.05, ge=0, le=1)
    """Weight decay of matrices (never of vectors, position tables, sigma or A)."""

    def build(self, groups: "list[ParameterGroup]") -> "torch.optim.Optimizer":
        """The optimizer of these parameters."""
        import torch

        return torch.optim.AdamW(
            [dict(group) for group in groups], lr=self.lr, betas=(self.beta1, self.beta2), fused=True
        )
