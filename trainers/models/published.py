"""Checkpoints in the names of the paper's authors, read as ours.

Their code keeps `sigma_param` and `amplitude_param` ([1], or [heads]) right below `blocks.i.attn.rel_pos`, with the
buffers `relative_coords_H` and `relative_coords_W`; ours has them below its child `gaussian`, and computes the
distances. Both enter squared there, as in our parameterization `square`.
"""

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from trainers.errors import CheckpointError
from trainers.models.state_names import without_wrappers

_WRAPPERS = (("state", "best_weights"), ("state_dict_ema",), ("model_ema",), ("state_dict",), ("model",), ("module",))
"""Under which keys weights lie beside other things: in a trial's files those of its best epoch; in files of
training scripts, averaged ones before the others, as timm's own `load_state_dict` does it."""
ATTENTION_BIAS = "attention_bias"
"""Under which key a trial's file of weights says what its sigma and A are of: the config's attention bias, as JSON."""
_THEIR_PARAMETER = re.compile(r"^((?:.*\.)?(?:shared_)?rel_pos)\.(sigma_param|amplitude_param)$")
_COMPUTED = ("relative_coords_H", "relative_coords_W", "relative_position_index", "rel_coords_log", "n_averaged")
"""What is not a weight: buffers that a model computes by itself (the authors', and those that older releases of timm
saved), and how many weights torch's `AveragedModel` is a mean of."""


def read_state_dict(file: Path) -> dict[str, torch.Tensor]:
    """The weights in a file of torch or safetensors, in our names, on the CPU; runs no code from the file.

    Raises:
        CheckpointError: the file is missing, can't be read, or holds no weights.
    """
    try:
        require_content(file)
        if file.suffix == ".safetensors":
            content: object = safetensors.torch.load_file(file)
        else:
            content = _loaded(file)
    except FileNotFoundError as error:
        hint = "; a finished trial keeps its weights in best_weights.pt" if file.name == "checkpoint.pt" else ""
        raise CheckpointError(f"there is no file of weights {file.resolve()}{hint}") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{file} is not a file of weights that can be read safely: {reason}") from error
    try:
        return convert_published(content)
    except CheckpointError as error:
        raise CheckpointError(f"{file} {error}") from error


def is_of_trial(file: Path) -> tuple[bool, str]:
    """Whether a trial has saved this file of torch, and what it says of its attention bias (JSON; empty: nothing).

    Args:
        file: one that `read_state_dict` reads.
    """
    # Mapped where torch can: weights stay unread.
    state = _below(_loaded(file, mmap=zipfile.is_zipfile(file)), _WRAPPERS[0][:1])
    if state is None or _below(state, _WRAPPERS[0][1:]) is None:
        return False, ""
    return True, str(state.get(ATTENTION_BIAS, ""))


def _loaded(file: Path, *, mmap: bool = False) -> object:
    # timm's training script saves its parsed arguments beside the weights.
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)


def convert_published(content: object) -> dict[str, torch.Tensor]:
    """A checkpoint's weights in our names; names that are ours already stay.

    Args:
        content: a state dict in the authors' names or ours, or what a trial or a training script has saved, which
            holds one (see `_WRAPPERS`).

    Raises:
        CheckpointError: it is no such thing.
    """
    if _below(content, ("state", "optimizer")) is not None and _below(content, ("state", "best_weights")) is None:
        raise CheckpointError(
            "is the state of a trial under way; its best weights so far are beside it, in best_weights.epoch<number>.pt"
        )
    content = next((found for keys in _WRAPPERS if (found := _below(content, keys)) is not None), content)
    if not isinstance(content, Mapping) or not content or not all(isinstance(name, str) for name in content):
        names = ", ".join(f"`{'.'.join(keys)}`" for keys in _WRAPPERS)
        raise CheckpointError(f"holds no state dict, neither by itself nor under one of {names}")
    converted: dict[str, torch.Tensor] = {}
    for name, value in without_wrappers(content).items():
        if not isinstance(value, torch.Tensor):
            raise CheckpointError(f"holds {type(value).__name__} {name!r} among the weights")
        if name.rpartition(".")[2] in _COMPUTED:
            continue
        match = _THEIR_PARAMETER.match(name)
        if match:
            name, value = f"{match[1]}.gaussian.{match[2]}", value.reshape(-1)
        converted[name] = value
    return converted


def require_content(file: Path) -> None:
    """Refuse an empty file, which an interrupted copy or a full disk leaves behind.

    Raises:
        CheckpointError: it is empty.
        OSError: it can't be looked at.
    """
    if file.stat().st_size == 0:
        raise CheckpointError(f"the file of weights {file.resolve()} is empty (0 bytes): copy or save it again")


def _below(content: object, keys: Sequence[str]) -> Mapping[object, object] | None:
    """The mapping that lies there, if there is one."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content if isinstance(content, Mapping) else None
