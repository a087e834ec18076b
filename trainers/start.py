"""What a training starts from, as digests: two arms of a pair share it all, but for what the arm changes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from trainers.config import TrialConfig
from trainers.data.sampling import TrainSampler
from trainers.data.splits import ImageSplit
from trainers.initial_model import initial_network
from trainers.models.added import added_to
from trainers.models.attached_bias import AttachedBias
from trainers.nested import tensors_in
from trainers.ranks import ALONE
from trainers.start_facts import BATCHES, RANDOM, WEIGHTS

_NUM_BATCHES, _NUM_IMAGES = 2, 16
"""Images of the first batches whose pixels are looked at, augmented; of all others their places are."""


def start_of(model: nn.Module, split: ImageSplit, sampler: TrainSampler) -> dict[str, str]:
    """Digests of where a training starts; moves no random stream.

    Args:
        model: as built and with its bias, before anything is resumed.
        split: the training split.
        sampler: of this rank.

    Returns:
        `start_weights`: all weights and buffers but those that an attention bias, or a change of the user's own, adds;
        `start_batches`: the order of the first epoch's images on this rank, and the first of them as the model gets
        them; `start_random`: torch's random state, which dropout and stochastic depth draw from.

    Raises:
        DataError: one of these images can't be read.
    """
    split.set_epoch(0)
    batches = list(sampler.of_epoch(0))
    pixels: list[Tensor] = []
    for positions in batches[:_NUM_BATCHES]:
        batch = split.__getitems__(positions[:_NUM_IMAGES])
        pixels += tensors_in((batch.images, batch.targets))
    return {
        WEIGHTS: _digest(tensor for _, tensor in sorted(_common_state(model).items())),
        BATCHES: _digest([torch.tensor(positions) for positions in batches] + pixels),
        RANDOM: _digest([torch.get_rng_state()]),
    }


def starts_of(configs: Sequence[TrialConfig], data_root: Path | None) -> Iterator[dict[str, str]]:
    """Where trainings of one process would start, without training; to be compared with each other.

    Args:
        configs: several arms of one seed, say; data that they share are opened once.
        data_root: where relative paths start.

    Raises:
        TrainerError: one of them can't be trained as written.
    """
    opened: dict[str, tuple[ImageSplit, tuple[str, ...]]] = {}
    for config in configs:
        asked = f"{config.dataset.model_dump_json()} {config.augmentation.model_dump_json()} {config.seed}"
        key = f"{asked} {config.model.input_size_px}"
        if key not in opened:
            splits = config.dataset.load(
                data_root,
                input_size_px=config.model.input_size_px,
                augmentation=config.augmentation,
                seed=config.seed,
            )
            opened[key] = splits.train, splits.class_names
        split, class_names = opened[key]
        sampler = TrainSampler(
            len(split),
            global_batch_size=config.optimization.global_batch_size,
            accumulation_steps=config.optimization.accumulation_steps,
            seed=config.seed,
            world=ALONE,
        )
        yield start_of(initial_network(config, class_names, data_root), split, sampler)


def _common_state(model: nn.Module) -> dict[str, Tensor]:
    """The state without that of attached biases, and of what a change of the user's own has added."""
    prefixes = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, AttachedBias))
    added = added_to(model)
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith(prefixes) and name not in added
    }


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous()
        digest.update(f"{flat.dtype} {tuple(flat.shape)}".encode())
        digest.update(flat.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
