"""Scoring one split with the weights of the moment."""

from collections.abc import Iterable

import torch
from torch import nn

from trainers.attention_kernels import KernelRecord
from trainers.data.normalization import Normalization
from trainers.data.splits import Batch
from trainers.device import Device
from trainers.nested import map_tensors
from trainers.ranks import World
from trainers.tasks.evidence import Evidence
from trainers.tasks.task import Task


def score_split(
    network: nn.Module,
    task: Task,
    batches: Iterable[Batch],
    *,
    normalize: Normalization,
    device: Device,
    world: World,
    kernels: KernelRecord,
) -> Evidence:
    """A task's evidence of a whole split, on every rank.

    Args:
        network: not wrapped for distributed training (ranks may have unequal shares); left in evaluation mode.
        task: that the network was built by; gives what is kept of each image.
        batches: this rank's share of the split.
        normalize: makes a model's input of pixels, on the device.
        device: where the network is.
        world: the ranks that share the split.
        kernels: notes what computes attention.
    """
    network.eval()
    scored = []
    with torch.inference_mode():
        for batch in batches:
            images, targets, indices = map_tensors(device.receive, batch)
            with device.autocast(), kernels.of("scoring"):
                outputs = task.outputs(network, map_tensors(normalize, images), None)
            scored.append(task.look(outputs, targets, indices))
    share = task.evidence(scored) if scored else None
    shares = [part for part in world.gather(share) if part is not None]
    return type(shares[0]).of_ranks(shares)
