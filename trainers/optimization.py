"""How weights are trained: optimizer, schedule, batch, precision."""

import json
import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from trainers.models.remembered import remembered
from trainers.strict import StrictModel
from trainers.timm_optimizer import as_tuples, check_optimizer, timm_optimizer

if TYPE_CHECKING:
    import torch
    from timm.utils.model_ema import ModelEmaV3
    from torch import nn

    from trainers.parameter_groups import ParameterGroup


Precision = Literal["fp32", "tf32", "bf16"]
AttentionKernels = Literal["matched", "fastest"]


class SgdConfig(StrictModel):
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


class AdamWConfig(StrictModel):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, le=100)
    """Peak learning rate."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the gradient's mean."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the gradient's square."""
    weight_decay: float = Field(default=0.05, ge=0, le=1)
    """Weight decay of matrices (never of vectors, position tables, sigma or A)."""

    def build(self, groups: "list[ParameterGroup]") -> "torch.optim.Optimizer":
        """The optimizer of these parameters."""
        import torch

        return torch.optim.AdamW(
            [dict(group) for group in groups], lr=self.lr, betas=(self.beta1, self.beta2), fused=True
        )


class TimmOptimizerConfig(StrictModel):
    """An optimizer of timm by its name: lion, lamb, muon, adafactor, nadamw, adan, ...

    `lookahead_` before a name wraps it. Muon orthogonalises matrices; vectors, position tables, sigma and A go to the
    AdamW that it has inside.
    """

    kind: Literal["timm"] = "timm"
    name: str = Field(min_length=1, max_length=64)
    """timm's name; a wrong one is answered with the nearest."""
    lr: float = Field(default=1e-3, gt=0, le=100)
    """Peak learning rate."""
    weight_decay: float = Field(default=0.05, ge=0, le=10)
    """Weight decay of matrices (never of vectors, position tables, sigma or A)."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict, max_length=32)
    """Further arguments of this optimizer, such as `{"betas": [0.9, 0.99]}`."""

    @model_validator(mode="after")
    def _timm_takes_it(self) -> Self:
        def check() -> bool:
            check_optimizer(self.name, self.arguments)
            return True

        # Not of lr and weight decay: a search draws thousands of them.
        remembered("optimizer", json.dumps([self.name, self.arguments], sort_keys=True), bool, check)
        return self

    def __hash__(self) -> int:
        """Of the whole config: its arguments are a dict, which has no hash."""
        return hash(self.model_dump_json())

    def build(self, groups: "list[ParameterGroup]") -> "torch.optim.Optimizer":
        """The optimizer of these parameters."""
        return timm_optimizer(groups, self.name, as_tuples(self.arguments), lr=self.lr, weight_decay=self.weight_decay)


class _WarmupSchedule(StrictModel):
    """Linear warm-up to the peak learning rate, then `_factor_after_warmup`."""

    warmup_epochs: float = Field(default=0.0, ge=0)
    """Length of the linear warm-up."""

    def factor(self, step: int, *, steps_per_epoch: int, epochs: int) -> float:
        """Learning rate of one optimizer step, as a share of the peak.

        Args:
            step: from 0, over the whole training.
            steps_per_epoch: optimizer steps in an epoch.
            epochs: epochs of the whole training.
        """
        warmup_steps = self.warmup_epochs * steps_per_epoch
        if step < warmup_steps:
            return min(1.0, (step + 1) / warmup_steps)
        done = (step - warmup_steps) / (epochs * steps_per_epoch - warmup_steps)
        return self._factor_after_warmup(done_fraction=done, epoch=step // steps_per_epoch)

    def _factor_after_warmup(self, *, done_fraction: float, epoch: int) -> float:
        raise NotImplementedError


class CosineSchedule(_WarmupSchedule):
    """Linear warm-up, then half a cosine down to `final_lr_fraction`."""

    kind: Literal["cosine"] = "cosine"
    final_lr_fraction: float = Field(default=0.0, ge=0, le=1)
    """Learning rate at the end, as a share of the peak."""

    def _factor_after_warmup(self, *, done_fraction: float, epoch: int) -> float:
        cosine = (1 + math.cos(math.pi * done_fraction)) / 2
        return self.final_lr_fraction + (1 - self.final_lr_fraction) * cosine


class StepSchedule(_WarmupSchedule):
    """Linear warm-up, then a drop at each milestone."""

    kind: Literal["step"] = "step"
    milestones: tuple[int, ...] = Field(min_length=1)
    """Epochs at whose start the learning rate drops, ascending."""
    gamma: float = Field(default=0.1, gt=0, lt=1)
    """Factor of each drop."""

    def _factor_after_warmup(self, *, done_fraction: float, epoch: int) -> float:
        return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)) or self.milestones[0] < 1:
            raise ValueError(f"milestones must be ascending epochs from 1 on, not {list(self.milestones)}")
        return self


class ConstantSchedule(_WarmupSchedule):
    """Linear warm-up, then the peak learning rate."""

    kind: Literal["constant"] = "constant"

    def _factor_after_warmup(self, *, done_fraction: float, epoch: int) -> float:
        return 1.0


class NoEma(StrictModel):
    """The trained weights themselves are scored."""

    kind: Literal["none"] = "none"

    def build(self, model: "nn.Module") -> None:
        """No average."""


class Ema(StrictModel):
    """An exponential moving average of the weights is scored."""

    kind: Literal["ema"] = "ema"
    decay: float = Field(default=0.9998, gt=0, lt=1)
    """Largest decay per optimizer step; step t takes at most 1 - t^(-2/3), so initial weights are soon forgotten."""

    def build(self, model: "nn.Module") -> "ModelEmaV3":
        """The average, starting at the model's present weights; `update` wants the number of steps taken.

        A constant decay of 0.9998 would score a training of 120 steps by weights that are 98 % initial ones.
        """
        from timm.utils.model_ema import ModelEmaV3

        return ModelEmaV3(model, decay=self.decay, use_warmup=True, exclude_buffers=True)


OptimizerConfig = SgdConfig | AdamWConfig | TimmOptimizerConfig
ScheduleConfig = CosineSchedule | StepSchedule | ConstantSchedule
EmaConfig = NoEma | Ema


class OptimizationConfig(StrictModel):
    """Everything about the descent."""

    optimizer: Annotated[OptimizerConfig, Field(discriminator="kind")] = AdamWConfig()
    """The update rule."""
    schedule: Annotated[ScheduleConfig, Field(discriminator="kind")] = CosineSchedule()
    """Learning rate over time, updated every optimizer step."""
    epochs: int = Field(default=20, ge=0, le=10_000)
    """Passes over the training split. 0 trains nothing: the initial weights (published ones, say) are scored and
    analysed as they are, and neither optimizer nor schedule acts."""
    global_batch_size: int = Field(default=64, ge=1, le=65_536)
    """Images per optimizer step, over all workers and accumulation steps."""
    accumulation_steps: int = Field(default=1, ge=1, le=1024)
    """Micro-batches per optimizer step; they divide each worker's batch."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor of the learning rate from each layer to the one below it (1: all learn alike); 0.65 to 0.8 is usual when
    published weights are trained further. Sigma and A keep their own multiplier."""
    clip_grad_norm: float | None = Field(default=None, gt=0)
    """Largest gradient norm (`None`: no clipping)."""
    precision: Precision = "fp32"
    """`fp32` is IEEE single precision; `tf32` lets a GPU round the factors of products to TF32 (faster since Ampere; a
    CPU has no such thing and computes as in fp32); `bf16` runs the forward pass under autocast, but for the
    classifier: sigma, A and the logits stay in fp32."""
    attention: AttentionKernels = "matched"
    """What computes attention: `matched` is the same kernel in every arm, in training and scoring, with a learned bias
    and without one; `fastest` leaves it to torch, which takes another kernel where a bias wants a gradient."""
    ema: Annotated[EmaConfig, Field(discriminator="kind")] = NoEma()
    """Which weights are scored."""
    compile: bool = False
    """Whether the model is compiled with `torch.compile`."""
    deterministic: bool = Field(default=False, exclude_if=lambda value: not value)
    """Whether a GPU may only use kernels that add up in the same order every time: slower, and the same trial gives the
    same bits again on one GPU of the same model with the same libraries. A trial that needs another kernel is refused.
    A CPU does so anyway."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.global_batch_size % self.accumulation_steps:
            raise ValueError(
                f"global_batch_size {self.global_batch_size} is not a multiple of accumulation_steps "
                f"{self.accumulation_steps}"
            )
        if self.deterministic and self.compile:
            raise ValueError(
                "deterministic and compile do not go together: the compiler chooses kernels by timing them, so the "
                "next run may add up in another order; set one of them to false"
            )
        if not self.epochs:
            return self
        if self.schedule.warmup_epochs >= self.epochs:
            raise ValueError(
                f"schedule.warmup_epochs {self.schedule.warmup_epochs:g} must be less than epochs {self.epochs}"
            )
        if isinstance(self.schedule, StepSchedule) and self.schedule.milestones[-1] >= self.epochs:
            raise ValueError(
                f"schedule.milestones {list(self.schedule.milestones)} must lie before the end of {self.epochs} epochs"
            )
        return self
