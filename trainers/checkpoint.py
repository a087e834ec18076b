"""The state of a trial between two epochs, on disk.

A new checkpoint is written beside the old one, synced, and only then takes its name; the old one stays as
`checkpoint.previous.pt`. So a kill at any moment loses at most the epoch under way. A file that can't be read after
all (a broken disk, a copy cut short) is skipped with a warning: training goes on from the previous one, or from the
start, and arrives at the same numbers either way. A readable checkpoint of another trial is an error, never skipped.
"""

import hashlib
import logging
import pickle
import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeAlias

import torch

from trainers.atomic_file import replaced_file
from trainers.config import TrialConfig, canonical_json, trial_identity
from trainers.errors import CheckpointError
from trainers.version import code_version

CHECKPOINT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"

# What zipfile and torch.load raise for files that are cut, overwritten or not a checkpoint.
UNREADABLE = (zipfile.BadZipFile, RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError, TypeError)

StateDict: TypeAlias = dict[str, object]
"""What torch's `state_dict()` gives: tensors, numbers and containers of them."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """What a trial is, in parts, so that a mismatch can be named."""

    trial: str
    config: str
    code: str
    data: str

    @classmethod
    def of(cls, config: TrialConfig, *, data_fingerprint: str) -> "Identity":
        """Identity of a config on these data with the code that runs now."""
        return cls(
            trial=trial_identity(config, code_version=code_version(), data_fingerprint=data_fingerprint),
            config=hashlib.sha256(canonical_json(config).encode()).hexdigest()[:20],
            code=code_version(),
            data=data_fingerprint,
        )

    def require(self, found: "Identity", file: Path) -> None:
        """Refuse a file of another trial.

        Raises:
            CheckpointError: says which part differs.
        """
        if found == self:
            return
        differing = [part.name for part in fields(self)[1:] if getattr(found, part.name) != getattr(self, part.name)]
        raise CheckpointError(
            f"{file} belongs to another trial ({found.trial}, not {self.trial}): its {' and '.join(differing)} "
            f"differ; give this trial its own storage folder, or remove the old one"
        )


@dataclass(frozen=True)
class TrainingState:
    """All that the next epoch needs."""

    model: StateDict
    optimizer: StateDict
    ema: StateDict | None
    best_weights: StateDict
    """Scored weights (the average's, if there is one) of the best validation epoch."""
    best_epoch: int
    reports: list[str]
    """One `EpochReport` as JSON for each finished epoch."""


def save_checkpoint(folder: Path, state: TrainingState, identity: Identity) -> None:
    """Write the state after an epoch, durably and atomically."""
    path = folder / CHECKPOINT
    content = {field.name: getattr(state, field.name) for field in fields(state)}
    with replaced_file(path, keep_old_as=PREVIOUS) as file:
        torch.save({"identity": asdict(identity), "state": content}, file)


def _check_sums(path: Path) -> None:
    """Compare the archive with its own check sums, which torch.load leaves unread.

    Raises:
        zipfile.BadZipFile: a bit differs, or it is not an archive.
    """
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"wrong check sum of {broken}")


def load_checkpoint(folder: Path, identity: Identity) -> TrainingState | None:
    """The newest readable state, on the CPU; `None` if there is none.

    Raises:
        CheckpointError: the checkpoint belongs to another trial.
    """
    for path in (folder / CHECKPOINT, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            _check_sums(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
            found, state = Identity(**content["identity"]), TrainingState(**content["state"])
        except UNREADABLE as error:
            logger.warning("%s can't be read (%s); going on from an earlier epoch", path, str(error).partition("\n")[0])
            continue
        identity.require(found, path)
        return state
    return None
