"""How weights are trained: optimizer, schedule, batch, precision."""

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from trainers.kinds import AdamWConfig, OptimizerConfig
from trainers.strict import StrictModel

if TYPE_CHECKING:
    from timm.utils.model_ema import ModelEmaV3
    from torch import nn


Precision = Literal["fp32", "tf32", "bf16"]
AttentionKernels = Literal["matched", "fastest"]


class _WarmupSchedule(StrictModel, ABC):
    """Linear warm-up to the peak learning rate, then `_factor_after_warmup`."""

    warmup_epochs: float = Field(default=0.0, ge=0)
    """Length of the linear warm-up."""
    warmup_steps: int = Field(default=0, ge=0, exclude_if=lambda value: not value)
    """Its length in optimizer steps, where it is published so (0: `warmup_epochs` tells it)."""

    def factor(self, step: int, *, steps_per_epoch: int, epochs: int) -> float:
        """Learning rate of one optimizer step, as a share of the peak.

        Args:
            step: from 0, over the whole training.
            steps_per_epoch: optimizer steps in an epoch.
            epochs: epochs of the whole training.
        """
        warmup_steps = self.warmup_steps or self.warmup_epochs * steps_per_epoch
        if step < warmup_steps:
            return min(1.0, (step + 1) / warmup_steps)
        done = (step - warmup_steps) / (epochs * steps_per_epoch - warmup_steps)
        return self._factor_after_warmup(done_fraction=done, epoch=step // steps_per_epoch)

    def require_to_act(self, epochs: int) -> None:
        """Refuse what lies behind the end of so many epochs.

        Raises:
            ValueError: says what.
        """
        if self.warmup_epochs >= epochs:
            raise ValueError(f"schedule.warmup_epochs {self.warmup_epochs:g} must be less than epochs {epochs}")

    def complaint(self, num_steps: int) -> str | None:
        """Why a training of so many optimizer steps never reaches the peak (`None`: it does)."""
        if self.warmup_steps < num_steps:
            return None
        return f"schedule.warmup_steps {self.warmup_steps} must be less than the {num_steps} steps of the training"

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.warmup_steps and self.warmup_epochs:
            raise ValueError(
                "warmup_epochs and warmup_steps both tell the length of the warm-up; leave one of them out"
            )
        return self

    @abstractmethod
    def _factor_after_warmup(self, *, done_fraction: float, epoch: int) -> float: ...


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

    def require_to_act(self, epochs: int) -> None:
        """Refuse a milestone that is never reached, too."""
        super().require_to_act(epochs)
        if self.milestones[-1] >= epochs:
            raise ValueError(f"schedule.milestones {list(self.milestones)} must lie before the end of {epochs} epochs")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)) or self.milestones[0] < 1:
            raise ValueError(f"milestones must be ascending epochs from 1 on, not {list(self.milestones)}")
        return self


class PolynomialSchedule(_WarmupSchedule):
    """Linear warm-up, then a power of the share of steps that are left, down to `final_lr_fraction`."""

    kind: Literal["polynomial"] = "polynomial"
    power: float = Field(default=1.0, gt=0, le=10)
    """1 is a line; 0.9 is usual for CNNs that segment."""
    final_lr_fraction: float = Field(default=0.0, ge=0, le=1)
    """Learning rate at the end, as a share of the peak."""

    def _factor_after_warmup(self, *, done_fraction: float, epoch: int) -> float:
        return self.final_lr_fraction + (1 - self.final_lr_fraction) * math.pow(1 - done_fraction, self.power)


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


ScheduleConfig = CosineSchedule | StepSchedule | PolynomialSchedule | ConstantSchedule
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
    activation_checkpointing: bool = Field(default=False, exclude_if=lambda value: not value)
    """Whether the backbone's blocks forget what they computed and compute it again in the backward pass: much less
    memory for the time of another forward pass, and the same numbers (on a CPU to the last bit)."""
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
        self.schedule.require_to_act(self.epochs)
        return self
