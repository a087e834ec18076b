"""What saving costs: how long training waits for a copy of its state, how long the disk is busy, what is left."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import torch

from bench.gpu.figure import Figure, of_rounds
from bench.gpu.steps import finish, side_px
from trainers.config import TrialConfig
from trainers.runtime import Runtime
from trainers.training import trial as loop
from trainers.training.checkpoint import CheckpointFolder, TrainingState

T = TypeVar("T")

EPOCH_SECONDS = 3.0
"""About an epoch of Oxford-IIIT Pet on a large GPU (an estimate)."""
SAVES_PER_EPOCH = EPOCH_SECONDS / (60 * Runtime().checkpoint_minutes)


def measure(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """A ViT-B with AdamW: weights, both moments, the best weights."""
    name = "vit_relpos_small_patch16_224" if is_small else "vit_relpos_base_patch16_224"
    config = TrialConfig.model_validate(
        {
            "model": {"kind": "timm", "name": name, "image_size_px": side_px(is_small)},
            "dataset": {"kind": "digits", "num_train": 10 if is_small else 100, "num_val": 10, "num_test": 10},
            "optimization": {"epochs": 2 if is_small else 6, "global_batch_size": 10, "precision": "bf16"},
            "score_test": False,
        }
    )
    copies: list[float] = []
    writes: list[float] = []

    def timed(work: Callable[..., T], seconds: list[float], *, waits_for_device: bool) -> Callable[..., T]:
        def run(*arguments: object) -> T:
            if waits_for_device:
                finish(device)
            started = time.perf_counter()
            done = work(*arguments)
            seconds.append(time.perf_counter() - started)
            return done

        return run

    copy = timed(TrainingState.on_cpu, copies, waits_for_device=True)
    save = timed(CheckpointFolder.save, writes, waits_for_device=False)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(TrainingState, "on_cpu", copy),
        patch.object(CheckpointFolder, "save", save),
    ):
        # Whenever the last one is written: more often than a user would, on the same path.
        loop.train(config, Runtime(device=device.type, storage=Path(folder), checkpoint_minutes=0))
        kept = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
    yield of_rounds(f"training waits for a copy of its state, {name}", copies, unit="s")
    shares = [100 * SAVES_PER_EPOCH * value / EPOCH_SECONDS for value in copies]
    what = f"its share of epochs of {EPOCH_SECONDS:g} s, one save in {Runtime().checkpoint_minutes:g} minutes, {name}"
    yield of_rounds(what, shares, unit="%", goal="at most 5")
    yield of_rounds(f"a state is written beside training, {name}", writes, unit="s")
    yield of_rounds(f"a finished trial keeps, {name}", [kept], unit="MB")
