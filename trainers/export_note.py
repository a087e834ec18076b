"""What an exported file of weights says of itself; read without torch."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, JsonValue, ValidationError

from trainers.errors import CheckpointError
from trainers.kinds import AttentionBiasConfig, ClassificationConfig, ModelConfig, TaskConfig
from trainers.strict import StrictModel

NOTE = "sigmalab"
"""Name of the note in the file's header."""


class TimmCall(StrictModel):
    """How timm builds the same network, without the attention bias."""

    name: str
    """First argument of `timm.create_model`."""
    arguments: dict[str, JsonValue]
    """The others."""


class ExportNote(StrictModel):
    """What the tensors of a file are."""

    trial: str
    """Identity of the trial: digest over config, code and data."""
    seed: int
    """Its seed."""
    best_epoch: int
    """The epoch whose weights these are, from 0."""
    metrics: dict[str, float]
    """What they scored: `best_val/...`, `test/...`; learned `sigma/<layer>` in tokens and `amplitude/<layer>`."""
    task: Annotated[TaskConfig, Field(discriminator="kind")] = ClassificationConfig()
    """What was learned; its network is the model, or the model's backbone with the task's head."""
    model: Annotated[ModelConfig, Field(discriminator="kind")]
    """The network."""
    attention_bias: Annotated[AttentionBiasConfig, Field(discriminator="kind")]
    """What is added to its attention logits."""
    bias_tensors: tuple[str, ...]
    """Names that plain timm does not know (empty: it loads the file strictly)."""
    num_classes: int
    """Classes that the head tells apart."""
    class_names: tuple[str, ...]
    """Their names, in order."""
    input_size_px: int
    """Side of the square input image."""
    input_mean: tuple[float, float, float]
    """What each channel is normalised with: mean."""
    input_std: tuple[float, float, float]
    """And standard deviation."""
    timm: TimmCall | None
    """The same network in timm (`null`: timm has no name for it; `load_exported` builds it)."""


def read_note(file: Path) -> ExportNote:
    """What a file says of itself; needs neither torch nor safetensors.

    Raises:
        CheckpointError: it is not an exported file.
    """
    try:
        return ExportNote.model_validate_json(_header(file)["__metadata__"][NOTE])
    except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        raise not_exported(file, error) from error


def note_of(file: Path) -> ExportNote | None:
    """What a file of weights says of itself (`None`: nothing in our words, as files of others, or not of safetensors).

    Raises:
        CheckpointError: it can't be read.
    """
    if file.suffix != ".safetensors":
        return None
    try:
        has_note = NOTE in _header(file).get("__metadata__", {})
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        raise not_exported(file, error) from error
    return read_note(file) if has_note else None


def _header(file: Path) -> Any:  # noqa: ANN401  whatever JSON stands there
    """The header of a file of safetensors: its length in 8 bytes, then JSON."""
    with file.open("rb") as opened:
        return json.loads(opened.read(int.from_bytes(opened.read(8), "little")))


def not_exported(file: Path, error: Exception) -> CheckpointError:
    """What to raise about a file that is another one."""
    reason = "its note is of another version" if isinstance(error, ValidationError) else str(error).partition("\n")[0]
    return CheckpointError(f"{file} is not a file that this version of sigmalab has exported: {reason}")
