"""What a training starts from, as digests: two arms of a pair share it all, but for what the arm changes."""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from trainers.data.sampling import TrainSampler
from trainers.data.splits import ImageSplit
from trainers.models.gaussian_attention import GaussianAttentionBias

WEIGHTS, BATCHES, RANDOM = "start_weights", "start_batches", "start_random"
"""Keys of a trial's provenance."""
_NUM_BATCHES, _NUM_IMAGES = 2, 16
"""Images of the first batches whose pixels are looked at, augmented; of all others their places are."""


def start_of(model: nn.Module, split: ImageSplit, sampler: TrainSampler) -> dict[str, str]:
    """Digests of where a training starts; moves no random stream.

    Args:
        model: as built and with its bias, before anything is resumed.
        split: the training split.
        sampler: of this rank.

    Returns:
        `start_weights`: all weights and buffers but those of an attention bias; `start_batches`: the order of the first
        epoch's images on this rank, and the first of them as the model gets them; `start_random`: torch's random state,
        which dropout and stochastic depth draw from.

    Raises:
        DataError: one of these images can't be read.
    """
    split.set_epoch(0)
    sampler.set_epoch(0)
    batches = list(sampler)
    pixels: list[Tensor] = []
    for positions in batches[:_NUM_BATCHES]:
        batch = split.__getitems__(positions[:_NUM_IMAGES])
        pixels += [batch.images, batch.labels]
    return {
        WEIGHTS: _digest(tensor for _, tensor in sorted(_common_state(model).items())),
        BATCHES: _digest([torch.tensor(positions) for positions in batches] + pixels),
        RANDOM: _digest([torch.get_rng_state()]),
    }


def _common_state(model: nn.Module) -> dict[str, Tensor]:
    """The state without that of attached biases."""
    prefixes = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, GaussianAttentionBias))
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(prefixes)}


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous()
        digest.update(f"{flat.dtype} {tuple(flat.shape)}".encode())
        digest.update(flat.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
