"""What saving costs: the seconds that a checkpoint takes after each epoch, and its share of a short epoch."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import torch

from bench.gpu.figure import Figure, of_rounds
from bench.gpu.steps import finish, side_px
from trainers import loop
from trainers.config import TrialConfig
from trainers.runtime import Runtime

EPOCH_SECONDS = 3.0
"""About an epoch of Oxford-IIIT Pet on a large GPU (an estimate)."""


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
    seconds: list[float] = []

    def timed(*arguments: object) -> None:
        finish(device)
        started = time.perf_counter()
        save(*arguments)  # type: ignore[arg-type]
        seconds.append(time.perf_counter() - started)

    save = loop.save_checkpoint
    with tempfile.TemporaryDirectory() as folder, patch.object(loop, "save_checkpoint", timed):
        loop.train(config, Runtime(device=device.type, storage=Path(folder)))
    yield of_rounds(f"a checkpoint after an epoch, {name}", seconds, unit="s")
    shares = [100 * value / (EPOCH_SECONDS + value) for value in seconds]
    yield of_rounds(f"its share of an epoch of {EPOCH_SECONDS:g} s, {name}", shares, unit="%", goal="at most 5")
