"""Facts of the place where a trial runs, none of which may change its result (beyond float rounding)."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainers.planned_identity import PlannedIdentity
from trainers.storage_token import StorageToken
from trainers.strict import StrictModel


class Runtime(StrictModel):
    """Where and with what a trial runs; not part of its identity."""

    planned: PlannedIdentity | None = None
    """What the trial must be here, too (`None`: nobody else has planned it)."""
    storage_token: StorageToken | None = None
    """What must be found on the storage before anything is written there (`None`: nobody else writes there)."""
    silence_seconds: float | None = Field(default=None, gt=0)
    """How long a trial in a worker of Ray may say nothing before it is taken for hung (`None`: for ever)."""
    umask: int | None = Field(default=None, ge=0, le=0o777)
    """What others may not do with files that are written, in workers of Ray (`None`: as the process has it)."""
    storage: Path | None = None
    """Folder for this trial's checkpoint and predictions (`None`: keep nothing, no resume)."""
    checkpoint_minutes: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """How long training goes on before its state is saved again, in mid-epoch too: what a kill costs at most. It is
    written while training goes on; 0 begins anew whenever the last one is written."""
    code: Path | None = None
    """Folder that holds the user's own code (`None`: all code is installed); see `trainers.own_code.snapshot`."""
    data_root: Path | None = None
    """Folder that relative data set paths start from (`None`: the current folder)."""
    data_roots: tuple[Path, ...] | None = None
    """Folders that all data and weights must lie in, links followed (`None`: anywhere but in the kernel's)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; `auto` takes CUDA if there is any."""
    loader_workers: int = 0
    """Processes that read and augment data, per training process; training and scoring share them. No more are started
    than leave a core to the training, of those that the machine or container gives, but one at the least."""
    image_cache_gib: float = Field(default=0.0, ge=0)
    """RAM for decoded images of a data set (0: none), shared by all processes of the machine that read it with the same
    setting. Worth it where the whole set fits; augmentation and results stay the same."""
    limit_seconds: float | None = Field(default=None, gt=0)
    """How long a program of the user's own may run (`None`: for ever); our own loop ends by its epochs."""
    num_threads: int | None = None
    """CPU threads for torch (`None`: leave torch's own choice)."""
    gpu_share: float = Field(default=1.0, gt=0, le=1)
    """Share of its GPU's memory that this process may take; the rest belongs to other trials."""

    @property
    def storage_root(self) -> Path | None:
        """The folder that all trials share (`None`: nothing is kept)."""
        if self.storage_token is not None:
            return self.storage_token.file.parent.parent
        return None if self.storage is None else self.storage.parent

    def require_storage(self) -> None:
        """See that the storage is that of all nodes.

        Raises:
            StorageNotSharedError: it is not.
        """
        if self.storage_token is not None:
            self.storage_token.require()

    def close_files(self) -> None:
        """Make this process write files as `umask` says: whoever started a cluster of Ray's had another one."""
        if self.umask is not None:
            os.umask(self.umask)
