"""Sigma and A out of a model's file of weights: a Gaussian goes on where another training has left it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor, nn

from trainers.counted import counted
from trainers.errors import ConfigError
from trainers.export_note import note_of
from trainers.kinds import AttentionBiasConfig
from trainers.models.attached_bias import AttachedBias
from trainers.models.bias import AttentionBias
from trainers.models.gaussian import HOLDS_NONE, AnyGaussian
from trainers.models.published import is_of_trial
from trainers.models.state_names import mismatch
from trainers.models.weights_file import WITHOUT_WEIGHTS, WeightsFile
from trainers.user_path import user_path

_BIAS: TypeAdapter[AttentionBiasConfig] = TypeAdapter(Annotated[AttentionBiasConfig, Field(discriminator="kind")])


def start_bias(model: nn.Module, config: AnyGaussian, weights: WeightsFile | None, data_root: Path | None) -> None:
    """Set sigma and A to what the file holds; draws no random number.

    Args:
        model: has this Gaussian.
        config: the Gaussian.
        weights: the model's file of weights (`None`: it has none).
        data_root: where a relative path starts.

    Raises:
        ConfigError: there is no file, or it holds none, those of other layers or heads, or of another kind of Gaussian,
            or a trial has saved it and it does not say of which kind.
        CheckpointError: the file is missing, is another one, or can't be read.
    """
    if weights is None:
        raise ConfigError(WITHOUT_WEIGHTS)
    stored = weights.read_bias(data_root)
    if stored:
        _require_this_kind(config, user_path(weights.path, data_root), weights.path)
    own = {
        f"{name}.{part}": parameter
        for name, module in model.named_modules()
        if isinstance(module, AttachedBias)
        for part, parameter in module.named_parameters()
    }
    _require_all(own, stored, config, weights.path)
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(stored[name])


def _require_all(own: Mapping[str, Tensor], stored: Mapping[str, Tensor], config: AnyGaussian, path: str) -> None:
    start = f"sigma and A can't be read from {path}: "
    if not stored:
        raise ConfigError(start + HOLDS_NONE)
    missing, unexpected = (sorted(set(one) - set(other)) for one, other in ((own, stored), (stored, own)))
    if missing or unexpected:
        there, here = (counted(len(names) // 2, "layer") for names in (stored, own))
        raise ConfigError(f"{start}it holds those of {there}, the model has {here}: {mismatch(missing, unexpected)}")
    for name, parameter in own.items():
        if stored[name].shape != parameter.shape:
            there, here = (counted(each.numel(), "value") for each in (stored[name], parameter))
            raise ConfigError(
                f"{start}{name} is {there} there and {here} in the model; `per_head` is "
                f"{str(config.per_head).lower()} in the config: one for each head if true, else one for all heads"
            )
        if not stored[name].isfinite().all():
            raise ConfigError(f"{start}{name} is not finite there")


def _require_this_kind(config: AnyGaussian, file: Path, path: str) -> None:
    """What a trial's file, exported or its own, says of its Gaussian; files of others say nothing."""
    if file.suffix == ".safetensors":
        note = note_of(file)
        theirs: AttentionBias | None = None if note is None else note.attention_bias
    else:
        theirs = _trials_bias(file, path)
    if theirs is not None and (trouble := config.trouble_with(theirs, path)) is not None:
        raise ConfigError(trouble)


def _trials_bias(file: Path, path: str) -> AttentionBiasConfig | None:
    is_trials, told = is_of_trial(file)
    if not is_trials:
        return None
    try:
        return _BIAS.validate_json(told)
    except ValidationError as error:
        raise ConfigError(
            f"{path} is of a trial of another version and does not say whether its sigma and A are a placebo's, nor of "
            "which parameterization: `sigmalab export` writes a file that does; name that one"
        ) from error
