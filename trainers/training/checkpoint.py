"""The state of a trial under way, on disk, and what is left of it at the end.

A new checkpoint is written beside the old one, synced, and only then takes its name; the old one stays as
`checkpoint.previous.pt`. The best weights so far lie in a file of their own, named by their epoch, which is written
before the first checkpoint that speaks of it and removed with the last. So a kill at any moment loses what came after
the last checkpoint, and nothing more. A file that can't be read after all (a broken disk, a copy cut short) is skipped
with a warning: training goes on from the previous one, or from the start, and arrives at the same numbers either way.
A readable checkpoint of another trial is an error, never skipped.

A finished trial keeps `best_weights.pt` alone.
"""

import hashlib
import logging
import pickle
import zipfile
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from trainers.atomic_file import replaced_file
from trainers.config import TrialConfig, canonical_json, trial_identity
from trainers.errors import CheckpointError
from trainers.models.published import ATTENTION_BIAS
from trainers.seeding import NoiseState
from trainers.training.descent import PartOfEpoch
from trainers.training.files import BEST_WEIGHTS, CHECKPOINT, PREVIOUS
from trainers.version import code_version

_BEST_SO_FAR = "best_weights.epoch{:05d}.pt"

# What zipfile and torch.load raise for files that are cut, overwritten or not a checkpoint.
UNREADABLE = (zipfile.BadZipFile, RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError, TypeError)

StateDict: TypeAlias = dict[str, object]
"""What torch's `state_dict()` gives: tensors, numbers and containers of them."""

T = TypeVar("T")

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
        code = code_version(config)
        return cls(
            trial=trial_identity(config, code_version=code, data_fingerprint=data_fingerprint),
            config=hashlib.sha256(canonical_json(config).encode()).hexdigest()[:20],
            code=code,
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
class RankState:
    """What one process alone knows in the middle of an epoch; at its end all ranks are alike."""

    part: PartOfEpoch
    """The steps that it has taken."""
    noise: NoiseState
    """What its dropout draws next."""
    statistics: list[StateDict]
    """Running means and variances of its batch norms, and of the averaged model's; empty where it is the only rank."""


@dataclass(frozen=True)
class TrainingState:
    """All that the next step needs."""

    model: StateDict
    optimizer: StateDict
    ema: StateDict | None
    best_weights: StateDict
    """Scored weights (the average's, if there is one) of the best validation epoch; empty before the first."""
    best_epoch: int | None
    reports: list[str]
    """One `EpochReport` as JSON for each finished epoch."""
    kernels: dict[str, list[str]]
    """What has computed attention so far (`KernelRecord.ran`)."""
    ranks: list[RankState]
    """Where the epoch under way stands; empty between two epochs."""

    def on_cpu(self) -> "TrainingState":
        """A copy that stays as it is while training goes on; best weights are never changed, only replaced."""
        return replace(
            self,
            model=_copied(self.model),
            optimizer=_copied(self.optimizer),
            ema=None if self.ema is None else _copied(self.ema),
            best_weights={
                name: value.cpu() if isinstance(value, Tensor) else value for name, value in self.best_weights.items()
            },
        )


class CheckpointFolder:
    """The files of one trial under way; one process writes them."""

    def __init__(self, folder: Path, identity: Identity, attention_bias: str = "") -> None:
        """Touch nothing yet.

        Args:
            folder: the trial's.
            identity: what has to be in it.
            attention_bias: the config's, as JSON, which files of weights say of their sigma and A (who writes none
                needs none).
        """
        self._folder, self._identity, self._attention_bias = folder, identity, attention_bias
        self._best_on_disk: int | None = None

    def save(self, state: TrainingState) -> None:
        """Write a state durably and atomically; weights that are on disk already are not written again."""
        outdated = self._best_on_disk
        if state.best_epoch is not None and state.best_epoch != self._best_on_disk:
            self._write_best(_BEST_SO_FAR.format(state.best_epoch), state.best_epoch, state.best_weights)
            self._best_on_disk = state.best_epoch
        content = {
            "model": state.model,
            "optimizer": state.optimizer,
            "ema": state.ema,
            "best_epoch": state.best_epoch,
            "reports": state.reports,
            "kernels": state.kernels,
            "ranks": [
                {
                    "part": {field.name: getattr(rank.part, field.name) for field in fields(PartOfEpoch)},
                    "noise": rank.noise._asdict(),
                    "statistics": rank.statistics,
                }
                for rank in state.ranks
            ],
        }
        self._write(CHECKPOINT, content, keep_old_as=PREVIOUS)
        # What the checkpoint says that is now the previous one, and this one.
        self._remove_best_but(outdated, state.best_epoch)

    def load(self) -> TrainingState | None:
        """The newest readable state, on the CPU; `None` if there is none.

        Raises:
            CheckpointError: the checkpoint belongs to another trial.
        """
        for path in (self._folder / CHECKPOINT, self._folder / PREVIOUS):
            if not path.exists():
                continue
            try:
                return self._load(path)
            except UNREADABLE as error:
                logger.warning("%s can't be read (%s); going on from an earlier state", path, _first_line(error))
        return None

    def keep(self, best_epoch: int, best_weights: StateDict) -> None:
        """Write the weights that a finished trial's numbers are of."""
        self._write_best(BEST_WEIGHTS, best_epoch, best_weights)

    def clear(self) -> None:
        """Remove what only an unfinished trial needs."""
        for name in (CHECKPOINT, PREVIOUS):
            (self._folder / name).unlink(missing_ok=True)
        self._remove_best_but()

    def _load(self, path: Path) -> TrainingState:
        content = self._read(path)
        best_epoch, best_weights = content["best_epoch"], {}
        if best_epoch is not None:
            best_weights = self._read(self._folder / _BEST_SO_FAR.format(best_epoch))["best_weights"]
        ranks = [
            RankState(PartOfEpoch(**rank["part"]), NoiseState(**rank["noise"]), rank["statistics"])
            for rank in content.pop("ranks")
        ]
        state = TrainingState(**content, best_weights=best_weights, ranks=ranks)
        self._best_on_disk = best_epoch
        return state

    def _read(self, path: Path) -> dict[str, Any]:
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        self._identity.require(Identity(**content["identity"]), path)
        state: dict[str, Any] = content["state"]
        return state

    def _write(self, name: str, content: dict[str, Any], *, keep_old_as: str | None = None) -> None:
        with replaced_file(self._folder / name, keep_old_as=keep_old_as) as file:
            torch.save({"identity": asdict(self._identity), "state": content}, file)

    def _write_best(self, name: str, best_epoch: int, best_weights: StateDict) -> None:
        content = {"best_epoch": best_epoch, "best_weights": best_weights, ATTENTION_BIAS: self._attention_bias}
        self._write(name, content)

    def _remove_best_but(self, *epochs: int | None) -> None:
        wanted = {_BEST_SO_FAR.format(epoch) for epoch in epochs if epoch is not None}
        for path in self._folder.glob("best_weights.epoch*.pt"):
            if path.name not in wanted:
                path.unlink()


def find_best_weights(folder: Path) -> Path | None:
    """The file that holds the weights of a finished trial (`None`: it is gone).

    Trials of earlier versions keep them in their last checkpoint, in the same place of it.
    """
    return next((folder / name for name in (BEST_WEIGHTS, CHECKPOINT) if (folder / name).is_file()), None)


def _copied(value: T) -> T:
    """Tensors copied to the CPU, containers made anew."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)  # type: ignore[return-value]  # a tensor for a tensor
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}  # type: ignore[return-value]
    if isinstance(value, list | tuple):
        return type(value)(_copied(part) for part in value)
    return value


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _check_sums(path: Path) -> None:
    """Compare the archive with its own check sums, which torch.load leaves unread.

    Raises:
        zipfile.BadZipFile: a bit differs, or it is not an archive.
    """
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"wrong check sum of {broken}")
