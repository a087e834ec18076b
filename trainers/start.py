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
from trainers.models.added import added_to, replaced_in
from trainers.models.attached_bias import AttachedBias
from trainers.nested import tensors_in
from trainers.ranks import ALONE
from trainers.start_facts import BATCHES, RANDOM, REPLACED, WEIGHTS
from trainers.tensor_digest import tensor_digest

_NUM_BATCHES, _NUM_IMAGES = 2, 16
"""Images of the first batches whose pixels are looked at, augmented; of all others their places are."""


def start_of(model: nn.Module, split: ImageSplit, sampler: TrainSampler) -> dict[str, str]:
    """Digests of where a training starts; moves no random stream.

    Args:
        model: as built and with its bias, before anything is resumed.
        split: the training split.
        sampler: of this rank.

    Returns:
        `start_weights`: all weights and buffers but those that an attention bias, or a change of the user's own, adds
        (in place of those that such a change replaces, what was there before);
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
        WEIGHTS: hashlib.blake2b(" ".join(_common_state(model).values()).encode(), digest_size=6).hexdigest(),
        BATCHES: _digest([torch.tensor(positions) for positions in batches] + pixels),
        RANDOM: _digest([torch.get_rng_state()]),
    }


def starts_of(configs: Sequence[TrialConfig], data_root: Path | None) -> Iterator[dict[str, str]]:
    """Where trainings of one process would start, without training; to be compared with each other.

    Args:
        configs: several arms of one seed, say; data that they share are opened once.
        data_root: where relative paths start.

    Returns:
        For each what `start_of` says, and under `start_replaced` the names of weights and buffers that a change of the
        user's own has replaced, if it has.

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
        network = initial_network(config, class_names, data_root)
        start = start_of(network, split, sampler)
        replaced = replaced_in(network)
        yield start | {REPLACED: ", ".join(sorted(replaced))} if replaced else start


def _common_state(model: nn.Module) -> dict[str, str]:
    """A digest of each tensor of the state, by name in order: what the arms of a pair have in common.

    That is all but attached biases, and what a change of the user's own has added; of what it has replaced, what was
    there before.
    """
    prefixes = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, AttachedBias))
    added, replaced = added_to(model), replaced_in(model)
    kept = {
        name: tensor_digest(tensor)
        for name, tensor in model.state_dict().items()
        if not name.startswith(prefixes) and name not in added and name not in replaced
    }
    return dict(sorted((kept | replaced).items()))


def _digest(tensors: Iterable[Tensor]) -> str:
    return hashlib.blake2b(" ".join(map(tensor_digest, tensors)).encode(), digest_size=6).hexdigest()
