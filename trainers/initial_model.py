"""What a training starts from: weights from the seed or a file, and the attention bias."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from trainers.models.bias import AttentionBias
from trainers.models.model import Model
from trainers.seeding import Stream, derive_seed, seed_weights
from trainers.tasks.task import Task


class _Described(Protocol):
    """A trial's config, or an analysis' subject."""

    @property
    def model(self) -> Model: ...
    @property
    def attention_bias(self) -> AttentionBias: ...
    @property
    def seed(self) -> int: ...


class _DescribedTrial(_Described, Protocol):
    @property
    def task(self) -> Task: ...


def initial_network(config: _DescribedTrial, class_names: Sequence[str], data_root: Path | None) -> nn.Module:
    """A task's network, on the CPU, from the config's seed alone: the same in every arm, but for what an arm changes.

    Args:
        config: names the task, the model, its bias and the seed.
        class_names: of the data set.
        data_root: where relative paths of weights start.

    Raises:
        ConfigError: the network can't be built so.
        CheckpointError: its file of weights can't be read.
    """
    seed_weights(config.seed)
    network = config.task.network(config.model, class_names, position_seed=position_seed(config), data_root=data_root)
    give_bias(config.task.backbone(network), config, data_root)
    return network


def initial_model(config: _Described, num_classes: int, data_root: Path | None) -> nn.Module:
    """A model by itself, as analyses look at it: what a classification with so many classes starts from.

    Args:
        config: names the model, its bias and the seed.
        num_classes: of the head.
        data_root: where relative paths of weights start.

    Raises:
        ConfigError: the model can't be built so.
        CheckpointError: its file of weights can't be read.
    """
    seed_weights(config.seed)
    model = config.model.build(num_classes, position_seed=position_seed(config), data_root=data_root)
    give_bias(model, config, data_root)
    return model


def position_seed(config: _Described) -> int:
    """Of position embeddings that are drawn anew."""
    return derive_seed(config.seed, Stream.POSITION_EMBEDDING)


def give_bias(backbone: nn.Module, config: _Described, data_root: Path | None) -> None:
    """Attach the config's attention bias, at its start or as a file of weights has it.

    Raises:
        ConfigError: it can't be attached.
        CheckpointError: the file can't be read.
    """
    config.attention_bias.attach(backbone)
    config.attention_bias.start_from(backbone, config.model.weights, data_root)
