"""How weights are trained: optimizer, schedule, batch, precision."""

from typing import Annotated, Literal

from pydantic import Field

from trainers.strict import StrictModel


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
    """Weight decay of matrices (never of vectors, sigma or A)."""


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
    """Weight decay of matrices (never of vectors, sigma or A)."""


class CosineSchedule(StrictModel):
    """Linear warm-up, then half a cosine down to `final_lr_fraction`."""

    kind: Literal["cosine"] = "cosine"
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Length of the linear warm-up."""
    final_lr_fraction: float = Field(default=0.0, ge=0, le=1)
    """Learning rate at the end, as a share of the peak."""


class StepSchedule(StrictModel):
    """Linear warm-up, then a drop at each milestone."""

    kind: Literal["step"] = "step"
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Length of the linear warm-up."""
    milestones: tuple[int, ...] = Field(min_length=1)
    """Epochs at whose start the learning rate drops, ascending."""
    gamma: float = Field(default=0.1, gt=0, lt=1)
    """Factor of each drop."""


class ConstantSchedule(StrictModel):
    """Linear warm-up, then the peak learning rate."""

    kind: Literal["constant"] = "constant"
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Length of the linear warm-up."""


class NoEma(StrictModel):
    """The trained weights themselves are scored."""

    kind: Literal["none"] = "none"


class Ema(StrictModel):
    """An exponential moving average of the weights is scored."""

    kind: Literal["ema"] = "ema"
    decay: float = Field(default=0.9998, gt=0, lt=1)
    """Decay per optimizer step."""


OptimizerConfig = SgdConfig | AdamWConfig
ScheduleConfig = CosineSchedule | StepSchedule | ConstantSchedule
EmaConfig = NoEma | Ema


class OptimizationConfig(StrictModel):
    """Everything about the descent."""

    optimizer: Annotated[OptimizerConfig, Field(discriminator="kind")] = AdamWConfig()
    """The update rule."""
    schedule: Annotated[ScheduleConfig, Field(discriminator="kind")] = CosineSchedule()
    """Learning rate over time, updated every optimizer step."""
    epochs: int = Field(default=20, ge=1, le=10_000)
    """Passes over the training split."""
    global_batch_size: int = Field(default=64, ge=1, le=65_536)
    """Images per optimizer step, over all workers and accumulation steps."""
    accumulation_steps: int = Field(default=1, ge=1, le=1024)
    """Micro-batches per optimizer step; they divide each worker's batch."""
    clip_grad_norm: float | None = Field(default=None, gt=0)
    """Largest gradient norm (`None`: no clipping)."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` runs the forward pass under autocast; sigma and A stay in fp32."""
    ema: Annotated[EmaConfig, Field(discriminator="kind")] = NoEma()
    """Which weights are scored."""
    compile: bool = False
    """Whether the model is compiled with `torch.compile`."""
