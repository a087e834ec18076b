"""Facts of the place where a trial runs, none of which may change its result (beyond float rounding)."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from trainers.strict import StrictModel


class Runtime(StrictModel):
    """Where and with what a trial runs; not part of its identity."""

    storage: Path | None = None
    """Folder for this trial's checkpoint and predictions (`None`: keep nothing, no resume)."""
    checkpoint_minutes: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """How long training goes on before its state is saved again, in mid-epoch too: what a kill costs at most. It is
    written while training goes on; 0 begins anew whenever the last one is written."""
    data_root: Path | None = None
    """Folder that relative data set paths start from (`None`: the current folder)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; `auto` takes CUDA if there is any."""
    loader_workers: int = 0
    """Processes that read and augment data, per training process."""
    image_cache_gib: float = Field(default=0.0, ge=0)
    """RAM for decoded images, per training process, shared by its loader processes (0: none). Worth it where the whole
    set fits; augmentation and results stay the same."""
    num_threads: int | None = None
    """CPU threads for torch (`None`: leave torch's own choice)."""
    gpu_share: float = Field(default=1.0, gt=0, le=1)
    """Share of its GPU's memory that this process may take; the rest belongs to other trials."""
