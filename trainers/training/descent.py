"""One epoch of descent."""

import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from timm.utils.distributed import distribute_bn
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainers.attention_kernels import KernelRecord
from trainers.data.normalization import Normalization
from trainers.data.splits import Batch
from trainers.device import Device, Instant
from trainers.errors import NonFiniteLossError
from trainers.nested import Nested, map_tensors
from trainers.optimization.recipe import OptimizationConfig
from trainers.ranks import World
from trainers.seeding import DrawingLoss, Stream, derive_seed
from trainers.tasks.task import Outputs, Preparation, Task

# Looking at a loss makes a GPU wait, so several steps are looked at together.
STEPS_BETWEEN_CHECKS = 50


# The first of these came late, and then the second warns.
_SYNCHRONIZE_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel.__init__).parameters
)


@dataclass(frozen=True)
class PartOfEpoch:
    """What the first steps of an epoch leave beside the weights, on this rank: where the next step goes on."""

    losses: Tensor
    """[steps taken], on the CPU."""
    seconds: float
    wait_seconds: float
    """Of these, waiting for the loader: on a GPU the time in which it had nothing to do, not the time in which the
    process waited while the GPU still worked on earlier steps."""


@dataclass(frozen=True)
class EpochTiming(PartOfEpoch):
    """What one whole epoch of descent measured, on this rank."""

    loss: float
    """Mean over steps and ranks."""
    lr: float
    """Of the last step, without multipliers."""


AfterStep = Callable[[Callable[[], PartOfEpoch]], None]
"""Told of every optimizer step; what it is given says where the epoch stands, and makes a GPU finish its work first."""


class Descent:
    """Model, optimizer and schedule: takes the steps of an epoch."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        ema: ModelEmaV3 | None,
        *,
        task: Task,
        criterion: Callable[[Outputs, Nested], Tensor],
        normalize: Normalization,
        prepare: Preparation | None,
        config: OptimizationConfig,
        seed: int,
        steps_per_epoch: int,
        device: Device,
        world: World,
        kernels: KernelRecord,
    ) -> None:
        """Wrap the model for several ranks, if there are.

        Args:
            model: on its device.
            optimizer: of the model's parameters, in groups that carry `lr_multiplier`.
            ema: average to update after each step.
            task: that the model was built by.
            criterion: the training loss of its outputs and targets.
            normalize: makes a model's input of pixels, on the device.
            prepare: changes the images and targets of a batch.
            config: the trial's.
            seed: the trial's.
            steps_per_epoch: optimizer steps.
            device: where the model is.
            world: ranks that share a global batch.
            kernels: notes what computes attention.
        """
        self._model, self._optimizer, self._ema = model, optimizer, ema
        self._task, self._criterion, self._config = task, criterion, config
        self._seed = seed
        self._device, self._world = device, world
        self._normalize, self._prepare, self._kernels = normalize, prepare, kernels
        self._steps_per_epoch = steps_per_epoch
        self._forward = model
        if world.size > 1:
            self._forward = DistributedDataParallel(
                model,
                device_ids=[device.torch_device.index] if device.is_cuda else None,
                # Ranks agree on running statistics after each epoch, so no buffer needs to be sent in each step.
                **{_SYNCHRONIZE_BUFFERS: False},  # type: ignore[arg-type]  # mypy takes it for any argument
                # Else each gradient lies in memory twice: in the model, and in what the ranks exchange.
                gradient_as_bucket_view=True,
            )

    def run_epoch(
        self,
        epoch: int,
        batches: Iterable[Batch],
        *,
        begun: PartOfEpoch | None = None,
        after_step: AfterStep = lambda _part: None,
    ) -> EpochTiming:
        """Take all steps of an epoch, or those that are left of it.

        Args:
            epoch: from 0.
            batches: this rank's micro-batches, `accumulation_steps` for each optimizer step that is left.
            begun: the steps that were taken before the training was interrupted.
            after_step: called after each step, on every rank.

        Raises:
            NonFiniteLossError: on every rank, if the loss of any rank did.
        """
        self._model.train()
        losses = torch.zeros(self._steps_per_epoch, device=self._device.torch_device)
        first_step = 0
        if begun is not None:
            first_step = len(begun.losses)
            losses[:first_step] = begun.losses
        source = _TimedBatches(batches, self._device)
        started = time.perf_counter()

        def part(num_steps: int) -> PartOfEpoch:
            taken = losses[:num_steps].to("cpu", copy=True)
            seconds, waits = time.perf_counter() - started, source.wait_seconds()
            if begun is None:
                return PartOfEpoch(taken, seconds, waits)
            return PartOfEpoch(taken, begun.seconds + seconds, begun.wait_seconds + waits)

        for step in range(first_step, self._steps_per_epoch):
            self._set_lr(epoch * self._steps_per_epoch + step)
            losses[step] = self._accumulate(source, epoch, step)
            self._update(epoch * self._steps_per_epoch + step)
            if (step + 1) % STEPS_BETWEEN_CHECKS == 0:
                self._checked(losses[: step + 1], epoch)
            after_step(partial(part, step + 1))
        mean_losses = self._checked(losses, epoch)
        self._agree_on_statistics()
        whole = part(self._steps_per_epoch)
        return EpochTiming(
            losses=whole.losses,
            seconds=whole.seconds,
            wait_seconds=whole.wait_seconds,
            loss=float(mean_losses.mean(dtype=torch.float64)),
            lr=self._lr((epoch + 1) * self._steps_per_epoch - 1),
        )

    def _agree_on_statistics(self) -> None:
        """The running mean and variance of batch norms become the mean over ranks, each of which saw its own images."""
        if self._world.size == 1:
            return
        for model in [self._model, *([] if self._ema is None else [self._ema.module])]:
            distribute_bn(model, self._world.size, reduce=True)  # type: ignore[no-untyped-call]

    def _lr(self, step: int) -> float:
        """Of one step of the whole training, without multipliers."""
        factor = self._config.schedule.factor(step, steps_per_epoch=self._steps_per_epoch, epochs=self._config.epochs)
        return self._config.optimizer.lr * factor

    def _set_lr(self, step: int) -> None:
        lr = self._lr(step)
        for group in self._optimizer.param_groups:
            group["lr"] = lr * group["lr_multiplier"]

    def _accumulate(self, source: Iterator[Batch], epoch: int, step: int) -> Tensor:
        """Gradient of one optimizer step; returns its loss on this rank."""
        num_parts = self._config.accumulation_steps
        total = torch.zeros((), device=self._device.torch_device)
        for part in range(num_parts):
            batch = next(source)
            images, targets, _ = map_tensors(self._device.receive, batch)
            images = map_tensors(self._normalize, images)
            if self._prepare is not None:
                images, targets = self._prepare(images, targets, epoch=epoch, micro_batch=step * num_parts + part)
            with self._synchronized(is_last=part == num_parts - 1):
                with self._device.autocast(), self._kernels.of("training"):
                    outputs = self._task.outputs(self._forward, images, targets)
                if isinstance(self._criterion, DrawingLoss):
                    place = epoch, step, part, self._world.rank
                    self._criterion.draw_from(derive_seed(self._seed, Stream.LOSS, *place))
                loss = self._criterion(outputs, targets) / num_parts
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _synchronized(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Ranks exchange gradients once per optimizer step, in its last micro-batch."""
        if is_last or not isinstance(self._forward, DistributedDataParallel):
            return nullcontext()
        context: AbstractContextManager[None] = self._forward.no_sync()
        return context

    def _update(self, step: int) -> None:
        if self._config.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._ema is not None:
            self._ema.update(self._model, step=step + 1)

    def _checked(self, losses: Tensor, epoch: int) -> Tensor:
        """Mean over ranks of the losses of an epoch's first steps, on the CPU, all of them finite."""
        means = self._world.mean(losses).cpu()
        broken = (~means.isfinite()).nonzero()
        if len(broken):
            step = int(broken[0])
            raise NonFiniteLossError(loss=float(means[step]), epoch=epoch, step=epoch * self._steps_per_epoch + step)
        return means


class _TimedBatches:
    """Batches, and how long the device has waited for them."""

    def __init__(self, batches: Iterable[Batch], device: Device) -> None:
        self._device = device
        self._waits: list[tuple[Instant, Instant]] = []
        asked = device.now()
        self._batches = iter(batches)
        self._waits.append((asked, device.now()))

    def __iter__(self) -> "_TimedBatches":
        return self

    def __next__(self) -> Batch:
        asked = self._device.now()
        batch = next(self._batches)
        self._waits.append((asked, self._device.now()))
        return batch

    def wait_seconds(self) -> float:
        """All waits together, once the device has done its work."""
        return sum(asked.seconds_until(given) for asked, given in self._waits)
