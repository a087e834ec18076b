"""What becomes of a trial that its GPU's memory does not hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trainers.errors import GpuMemoryError
from trainers.optimization import OptimizationConfig
from trainers.world import World


@contextmanager
def told_as_the_trials_own(config: OptimizationConfig, world: World, *, gpu_share: float) -> Iterator[None]:
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
        batch = config.global_batch_size // world.size
        now = config.accumulation_steps
        wanted = next((steps for steps in range(2 * now, batch + 1) if batch % steps == 0), None)
        remedy = (
            "even one image at a time is too much: take a smaller model or image"
            if wanted is None
            else f"set optimization.accumulation_steps to {wanted} ({batch // wanted} at a time; the same numbers "
            "but for rounding and the draws of dropout), or take more workers"
        )
        num_images = batch // now
        what = "1 image at a time does" if num_images == 1 else f"{num_images} images at a time do"
        reason = str(error).partition(". ")[0]
        raise GpuMemoryError(f"{what} not fit into the GPU's memory ({reason}); {remedy}") from error


def limit_gpu_memory(device: torch.device, *, gpu_share: float) -> None:
    """Let this process take no more than its share, so that it can't starve the trials beside it."""
    if gpu_share < 1 and device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(gpu_share, device)


def give_back_gpu_memory() -> None:
    """Give memory that no tensor holds any more back to the GPU, if this process uses one."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
