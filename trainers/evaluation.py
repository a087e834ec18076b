"""Scoring one split with the weights of the moment."""

from collections.abc import Iterable

import torch
from torch import nn

from trainers.attention_kernels import KernelRecord
from trainers.data.normalization import Normalization
from trainers.data.splits import Batch
from trainers.device import Device
from trainers.tasks import TaskConfig
from trainers.tasks.classification import Predictions
from trainers.world import World


def score_split(
    model: nn.Module,
    task: TaskConfig,
    batches: Iterable[Batch],
    *,
    normalize: Normalization,
    device: Device,
    world: World,
    kernels: KernelRecord,
) -> Predictions:
    """Predictions for a whole split, on every rank.

    Args:
        model: not wrapped for distributed training (ranks may have unequal shares); left in evaluation mode.
        task: gives what is kept of each image.
        batches: this rank's share of the split.
        normalize: makes a model's input of pixels, on the device.
        device: where the model is.
        world: the ranks that share the split.
        kernels: notes what computes attention.
    """
    model.eval()
    scored = []
    with torch.inference_mode():
        for batch in batches:
            images, labels, indices = (device.receive(tensor) for tensor in batch)
            with device.autocast(), kernels.of("scoring"):
                logits = model(normalize(images))
            scored.append(task.predict(logits, labels, indices))
    share = Predictions.of_batches(scored) if scored else None
    return Predictions.of_ranks([part for part in world.gather(share) if part is not None])
