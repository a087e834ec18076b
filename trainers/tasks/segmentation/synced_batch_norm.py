"""Batch norms that see the whole batch, however many ranks share it."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SyncedBatchNorm(nn.BatchNorm2d):
    """In training, mean and variance are those of all ranks' images.

    torch's `SyncBatchNorm` does the same on GPUs only; this one takes any backend, as detectron2's `NaiveSyncBatchNorm`
    does. Ranks have maps of equal shape. Of one process, and in scoring, it is torch's `BatchNorm2d`.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Maps [B, C, H, W], of this rank, normalised."""
        num_ranks = dist.get_world_size() if dist.is_initialized() else 1
        if not self.training or num_ranks == 1:
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            maps = input.float()
            mean = _mean_over_ranks(maps.mean(dim=(0, 2, 3)))
            centred = maps - mean[:, None, None]
            variance = _mean_over_ranks(centred.square().mean(dim=(0, 2, 3)))
            self._remember(mean.detach(), variance.detach(), num_values=num_ranks * maps[:, 0].numel())
            scale = self.weight * (variance + self.eps).rsqrt()
            normed = centred * scale[:, None, None] + self.bias[:, None, None]
        return normed.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, *, num_values: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        # torch keeps the unbiased variance, and normalises with the other.
        self.running_var.lerp_(variance * num_values / (num_values - 1), self.momentum)


def _mean_over_ranks(of_rank: Tensor) -> Tensor:
    """With a gradient, which is summed over ranks, too."""
    total: Tensor = all_reduce(of_rank)  # type: ignore[no-untyped-call]
    return total / dist.get_world_size()


def see_the_whole_batch(module: nn.Module) -> None:
    """Make all batch norms of torch's own kind in a module see the images of all ranks, in place."""
    for each in module.modules():
        if type(each) is nn.BatchNorm2d:
            each.__class__ = SyncedBatchNorm
