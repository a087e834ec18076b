"""What a trained network says of a few images of a split, kept for pictures."""

from collections.abc import Sequence

import torch
from torch import nn

from trainers.data.normalization import Normalization
from trainers.data.splits import ImageSplit
from trainers.device import Device
from trainers.nested import map_tensors
from trainers.tasks.shown_images import ShownImage, spread_over
from trainers.tasks.task import Task

_AT_ONCE = 8
"""Images of one forward pass, at most."""


def shown_images(
    network: nn.Module, task: Task, split: ImageSplit, *, normalize: Normalization, device: Device, batch_size: int
) -> Sequence[ShownImage]:
    """Images that are spread over the split, with the truth and what the network says; none of a task that shows none.

    Args:
        network: not wrapped for distributed training; left in evaluation mode.
        task: that the network was built by.
        split: as it is scored.
        normalize: makes a model's input of pixels, on the device.
        device: where the network is.
        batch_size: images that it sees at once where the split is scored; never more are here.
    """
    if not task.shows_images:
        return ()
    network.eval()
    shown: list[ShownImage] = []
    positions = spread_over(len(split))
    with torch.inference_mode():
        at_once = min(_AT_ONCE, batch_size)
        for start in range(0, len(positions), at_once):
            batch = split.__getitems__(positions[start : start + at_once])
            images, targets, _ = map_tensors(device.receive, batch)
            with device.autocast():
                outputs = task.outputs(network, map_tensors(normalize, images), None)
            shown += task.shown(batch.images, outputs, targets, batch.indices)
    return shown
