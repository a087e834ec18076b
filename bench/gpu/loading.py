"""How long the device waits for JPEGs, with 4, 8 and 16 loader processes."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.gpu.figure import Figure, of_rounds
from bench.gpu.steps import side_px
from trainers.config import TrialConfig
from trainers.runtime import Runtime
from trainers.training.trial import train

NAME = "vit_relpos_small_patch16_224"
NUM_CLASSES, NUM_IMAGES, SIDE_PX = 10, 4000, 500
CHUNK = 50
"""Images that a process writes at a time."""


def measure(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """A small model on generated JPEGs of ImageNet's usual size, cropped at random.

    The first epoch starts the loaders and does not count.
    """
    num_images, workers = (60, (1,)) if is_small else (NUM_IMAGES, (4, 8, 16))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder, num_images, side_px=SIDE_PX)
        for loader_workers in workers:
            config = TrialConfig.model_validate(
                {
                    "model": {"kind": "timm", "name": NAME, "image_size_px": side_px(is_small)},
                    "dataset": {"kind": "folder", "path": str(folder), "val_fraction": 0.05, "test_fraction": 0.05},
                    "augmentation": {"kind": "crop_flip"},
                    "optimization": {
                        "epochs": 2,
                        "global_batch_size": 8 if is_small else 128,
                        "precision": "bf16",
                    },
                    "score_test": False,
                }
            )
            result = train(config, Runtime(device=device.type, loader_workers=loader_workers))
            metrics = result.epochs[-1].metrics
            yield of_rounds(
                f"share of an epoch that the device waits for images, {loader_workers} loader processes",
                [100 * metrics["data_wait_fraction"]],
                unit="%",
                note=f"{metrics['images_per_second']:.0f} images/s, vit_relpos_small eager bf16",
            )


def write_images(folder: Path, num_images: int, *, side_px: int) -> None:
    """JPEGs in folders of their classes."""
    for index in range(min(NUM_CLASSES, num_images)):
        (folder / f"class{index}").mkdir()
    paths = [folder / f"class{index % NUM_CLASSES}" / f"{index}.jpg" for index in range(num_images)]
    write = partial(_write_image, side_px=side_px)
    if num_images <= CHUNK:
        # Another process would import torch first.
        for path in paths:
            write(path)
        return
    # CUDA does not outlive a fork.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        list(pool.map(write, paths, chunksize=CHUNK))


def _write_image(path: Path, *, side_px: int) -> None:
    """Noise with structure: at 500 pixels a JPEG of about 60 KB, as photographs are."""
    random = np.random.default_rng(int(path.stem))
    coarse = random.integers(0, 256, (side_px // 4, side_px // 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((side_px, side_px), Image.Resampling.BICUBIC).save(path, quality=85)
