"""Made-up position biases as query tokens see them: Gaussians of known widths, as files in trials' folders."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.planning.hardware import trial_folder
from trainers.analyses.bias_maps import BIAS_MAPS

WINDOWS = ((8, 8), (8, 8), (5, 6))
"""Of three layers: as in Swin, they need not be of one size."""


def planted_view(
    part: str, layer: int, seed: int, window: tuple[int, int], num_heads: int, query: tuple[int, int] | None = None
) -> npt.NDArray[np.float32]:
    """[h, H, W]: a bell around the query (`None`: the middle), wider by layer, higher by head and seed."""
    height, width = window
    row, column = query or ((height - 1) // 2, (width - 1) // 2)
    down, across = np.mgrid[:height, :width]
    bell = np.exp(-((down - row) ** 2 + (across - column) ** 2) / (2 * (1.5 + 0.2 * layer) ** 2))
    heads = {"own": 1 + np.arange(num_heads) / 4, "gaussian": np.ones(1), "sum": 2 + np.arange(num_heads) / 4}[part]
    return ((heads[:, None, None] + seed / 10) * bell).astype(np.float32)


def write_views(
    storage: Path,
    identity: str,
    arm: str,
    seed: int,
    *,
    windows: Sequence[tuple[int, int]] = WINDOWS,
    num_heads: int = 2,
) -> Path:
    """What the trial leaves behind on one CPU worker: control without a Gaussian, others with its parts."""
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for layer, window in enumerate(windows):
        place = f"{layer:02d}/{(window[0] - 1) // 2}_{(window[1] - 1) // 2}"
        for part in ("own",) if arm == "control" else ("own", "gaussian", "sum"):
            values = planted_view(part, layer, seed, window, num_heads)
            arrays[f"query/{part}/{place}"] = values
            if part != "gaussian":
                arrays[f"{part}_{layer:02d}"] = values
    arrays["query/own/00/0_1"] = planted_view("own", 0, seed, windows[0], num_heads, (0, 1))
    arrays["query/absolute/3_3"] = planted_view("own", 0, seed, (8, 8), num_heads)[0]
    file = storage / trial_folder(identity, "cpu-1") / BIAS_MAPS
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **arrays)
    return file
