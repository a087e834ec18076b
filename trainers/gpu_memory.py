"""What becomes of a trial that its GPU's memory does not hold."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainers.config import TrialConfig
from trainers.errors import GpuMemoryError
from trainers.ranks import World

_EXPANDABLE = "expandable_segments:True"
_ALLOCATOR_VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
"""Torch's: the first that is set counts."""


@contextmanager
def told_as_the_trials_own(config: TrialConfig, world: World, *, gpu_share: float) -> Iterator[None]:
    """Around one trial: memory that runs out on a GPU of its own would run out at every other try.

    On a shared GPU it is the neighbours' as likely as the trial's: torch's own error goes on, and the trial is tried
    again as after any fault of the machine.

    Args:
        config: the trial's.
        world: the processes that share its batch.
        gpu_share: of the GPU's memory.

    Raises:
        GpuMemoryError: with the number of accumulation steps that halves the memory of a batch, at least.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        if gpu_share < 1:
            raise
        batch = config.optimization.global_batch_size // world.size
        now = config.optimization.accumulation_steps
        # Mixing pairs the images of a forward pass.
        multiple = config.mixing.mixed_together
        sizes = {batch // steps: steps for steps in range(2 * now, batch + 1) if batch % (steps * multiple) == 0}
        remedy = (
            f"{'even one image at a time' if multiple == 1 else 'even a pair of images'} is too much: take a smaller "
            "model or image"
            if not sizes
            else f"set optimization.accumulation_steps to {sizes[max(sizes)]} in every arm ({max(sizes)} at a time; an "
            "optimizer step still sees the whole batch, but dropout, batch norm and mixing see its parts), or take "
            "more workers"
        )
        num_images = batch // now
        what = "1 image at a time does" if num_images == 1 else f"{num_images} images at a time do"
        reason = str(error).partition(". ")[0]
        raise GpuMemoryError(f"{what} not fit into the GPU's memory ({reason}); {remedy}") from error


def allocator_settings(device: torch.device) -> str:
    """Let a GPU's memory be taken in segments that grow, unless the user has chosen settings; says what holds.

    Batches of several sizes (scoring takes twice the training's) else leave holes that no tensor fits. Not by the
    environment: torch has read it when it was imported, and each node of a cluster has its own.

    Args:
        device: where the trial trains.

    Returns:
        The settings, in torch's words (`PYTORCH_ALLOC_CONF`); empty on a CPU.
    """
    if device.type != "cuda":
        return ""
    chosen = next((os.environ[name] for name in _ALLOCATOR_VARIABLES if os.environ.get(name)), None)
    if chosen is not None:
        return chosen
    # Torch has no public way once it is imported.
    internals = torch._C  # noqa: SLF001
    if hasattr(internals, "_accelerator_setAllocatorSettings"):
        internals._accelerator_setAllocatorSettings(_EXPANDABLE)  # noqa: SLF001
    else:
        # Of earlier versions; in later ones it warns, and calls the other.
        torch.cuda.memory._set_allocator_settings(_EXPANDABLE)  # noqa: SLF001
    return _EXPANDABLE


def limit_gpu_memory(device: torch.device, *, gpu_share: float) -> None:
    """Let this process take no more than its share, so that it can't starve the trials beside it."""
    if device.type == "cuda":
        # Also a whole one: an earlier trial of this process may have had less.
        torch.cuda.set_per_process_memory_fraction(gpu_share, device)


def give_back_gpu_memory() -> None:
    """Give memory that no tensor holds any more back to the GPU, if this process uses one."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
