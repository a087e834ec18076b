"""The weights of a finished trial as one file that timm loads, and back: `load_exported(file)` gives the trained model.

The file is safetensors, in timm's own names; an attention bias adds `....gaussian.sigma_param` and
`....gaussian.amplitude_param`. Its header says, as JSON under the name `sigmalab`, what model it is (`ExportNote`).
"""

from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from trainers.atomic_file import replaced_file
from trainers.config import TrialConfig
from trainers.data.normalization import statistics
from trainers.errors import CheckpointError
from trainers.export_note import NOTE, ExportNote, TimmCall, not_exported, read_note
from trainers.models.bias import bias_metrics
from trainers.result import TrialResult
from trainers.tasks.evidence import EVIDENCE_FILE, read_class_names
from trainers.training.checkpoint import UNREADABLE, find_best_weights
from trainers.training.files import BEST_WEIGHTS

BIAS_MARK = ".gaussian."
"""Stands in the name of every tensor that plain timm does not know."""


def export_weights(folder: Path, config: TrialConfig, result: TrialResult, file: Path) -> ExportNote:
    """Write the weights that a trial's numbers are of: those of its best epoch.

    Args:
        folder: the trial's folder.
        config: the trial's config.
        result: its result.
        file: where to write.

    Raises:
        CheckpointError: it has trained nothing, its weights are gone or broken, or are of another version of the code;
            or the file can't be written.
    """
    if result.best_epoch is None:
        raise CheckpointError("this trial has trained nothing (0 epochs): it has no weights but those it started from")
    weights = _best_weights(folder, result.best_epoch)
    note = _note(folder, config, result, tuple(name for name in weights if BIAS_MARK in name))
    model = _built(note)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {folder} are of another version of the code: {str(error).splitlines()[-1].strip()}"
        ) from error
    note = note.model_copy(update={"metrics": {**note.metrics, **bias_metrics(config.task.backbone(model))}})
    # Clones: tensors that share their memory can't be written.
    tensors = {name: value.clone().contiguous() for name, value in weights.items()}
    try:
        # By its name: through the open file, all tensors would lie in memory once more.
        with replaced_file(file) as opened:
            safetensors.torch.save_file(tensors, opened.name, metadata={"format": "pt", NOTE: note.model_dump_json()})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} can't be written: {str(error).partition(chr(10))[0]}") from error
    return note


def load_exported(file: str | Path) -> nn.Module:
    """The trained network, its attention bias and its task's head included, on the CPU and in evaluation mode.

    `model(images)` takes images [B, 3, px, px] in 0 to 1, normalised with the note's `input_mean` and `input_std`. What
    it gives is what its task reads (`note.task.outputs`): of classification, logits.

    Raises:
        CheckpointError: the file was not exported, or by another version of the code, or is cut short.
    """
    file = Path(file)
    model = _built(read_note(file))
    try:
        model.load_state_dict(safetensors.torch.load_file(file))
    except (RuntimeError, OSError, SafetensorError) as error:
        raise not_exported(file, error) from error
    return model.eval()


def _best_weights(folder: Path, best_epoch: int) -> dict[str, Tensor]:
    file = find_best_weights(folder)
    if file is None:
        raise CheckpointError(f"{folder / BEST_WEIGHTS} is missing (was it removed to save space?)")
    try:
        # Mapped: of the optimizer in an earlier version's checkpoint nothing is read.
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["state"]
        found, weights = state["best_epoch"], state["best_weights"]
    except UNREADABLE as error:
        raise CheckpointError(f"{file} can't be read: {str(error).partition(chr(10))[0]}") from error
    if found != best_epoch:
        raise CheckpointError(f"{file} is of an earlier moment: its best epoch is {found}, the result's {best_epoch}")
    return dict(weights)


def _note(folder: Path, config: TrialConfig, result: TrialResult, bias_tensors: tuple[str, ...]) -> ExportNote:
    try:
        class_names = read_class_names(folder / EVIDENCE_FILE)
    except (OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{folder / EVIDENCE_FILE}, which names the classes, can't be read: {error}") from error
    assert result.best_epoch is not None
    model = config.model
    mean, std = statistics(config.normalization, mean=model.input_mean, std=model.input_std)
    # Of a backbone with other heads timm knows no name.
    call = model.timm_call(len(class_names)) if config.task.is_whole_model else None
    return ExportNote(
        trial=result.provenance["trial"],
        seed=config.seed,
        best_epoch=result.best_epoch,
        metrics={key: value for key, value in result.metrics.items() if key.startswith(("best_val/", "test/"))},
        task=config.task,
        model=model,
        attention_bias=config.attention_bias,
        bias_tensors=bias_tensors,
        num_classes=len(class_names),
        class_names=class_names,
        input_size_px=model.input_size_px,
        input_mean=mean,
        input_std=std,
        timm=None if call is None else TimmCall(name=call[0], arguments=call[1]),
    )


def _built(note: ExportNote) -> nn.Module:
    task, model = note.task, note.model
    if task.is_whole_model:
        network = model.build_fresh(note.num_classes)
    else:
        network = task.network(model.without_weights(), note.class_names, position_seed=0, data_root=None)
    note.attention_bias.attach(task.backbone(network))
    return network
