"""Our training loop against a plain one of torch and timm, and the rate of operations that it reaches."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import timm
import torch
from torch.nn import functional as F

from bench.gpu.figure import Figure, in_turns, of_rounds
from bench.gpu.loading import write_images
from bench.gpu.steps import BASE, PAPERS, finish, side_px
from trainers.config import TrialConfig
from trainers.runtime import Runtime
from trainers.training.trial import train

NUM_IMAGES, BATCH, EPOCHS, ROUNDS = 2500, 125, 4, 2
PASSES_PER_STEP = 3
"""A backward pass takes twice the operations of a forward pass."""


def measure(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """bf16, fused AdamW, eager. The first epoch, in which loaders start, does not count."""
    with _images(is_small=is_small) as folder:
        yield _against_a_plain_loop(folder, device, is_small=is_small, is_compiled=False)


def measure_compiled(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """The same compiled; the first epoch is the one in which the model is. Not on a CPU."""
    if not is_small:
        with _images(is_small=False) as folder:
            yield _against_a_plain_loop(folder, device, is_small=False, is_compiled=True)


def measure_rates(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """Floating-point operations per second of a training, all overhead included: what a plan's hours rest on."""
    cases = [(PAPERS, "fp32")] if is_small else [(PAPERS, "bf16"), (BASE, "bf16"), (PAPERS, "tf32"), (PAPERS, "fp32")]
    with _images(is_small=is_small) as folder:
        for name, precision in cases:
            config = _config(name, precision, folder, is_small=is_small, is_compiled=False)
            speed, wait = _images_per_second(config, device)
            batch = config.optimization.global_batch_size
            yield of_rounds(
                f"operations per second of a training, {name}, {precision}, eager",
                [speed * PASSES_PER_STEP * config.model.forward_flops_per_image() / 1e12],
                unit="TFLOP/s",
                note=f"{speed:.0f} images/s, batch {batch}; waits for them {wait:.0%} of the time",
            )


@contextmanager
def _images(*, is_small: bool) -> Iterator[Path]:
    """JPEGs of the model's own size: decoded once, they cost the loaders next to nothing."""
    with tempfile.TemporaryDirectory() as name:
        write_images(Path(name), 20 if is_small else NUM_IMAGES, side_px=side_px(is_small))
        yield Path(name)


def _against_a_plain_loop(folder: Path, device: torch.device, *, is_small: bool, is_compiled: bool) -> Figure:
    config = _config(PAPERS, "bf16", folder, is_small=is_small, is_compiled=is_compiled)
    batch = config.optimization.global_batch_size

    def plain() -> float:
        images = torch.randn(batch, 3, side_px(is_small), side_px(is_small), device=device)
        num_steps = (16 if is_small else NUM_IMAGES) // batch
        return _plain(images, num_steps=num_steps, num_epochs=config.optimization.epochs, is_compiled=is_compiled)

    how = "compiled" if is_compiled else "eager"
    return in_turns(
        f"images per second of `python -m trainers` / a plain timm loop, {PAPERS}, {how}",
        lambda: _images_per_second(config, device)[0],
        plain,
        rounds=1 if is_small else ROUNDS,
        note=f"bf16, batch {batch}; ours reads, moves and normalises its images, the plain loop has one batch on the "
        "device",
        goal="at least 1.0",
    )


def _config(name: str, precision: str, folder: Path, *, is_small: bool, is_compiled: bool) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "model": {"kind": "timm", "name": name, "image_size_px": side_px(is_small)},
            "dataset": {"kind": "folder", "path": str(folder), "val_fraction": 0.1, "test_fraction": 0.1},
            "optimization": {
                "epochs": 2 if is_small else EPOCHS,
                "global_batch_size": 8 if is_small else BATCH,
                "precision": precision,
                "compile": is_compiled,
            },
            "score_test": False,
        }
    )


def _images_per_second(config: TrialConfig, device: torch.device) -> tuple[float, float]:
    """And the share of the time in which the device waits for images."""
    loader_workers = min(8, (os.cpu_count() or 1) // 2) if device.type == "cuda" else 0
    runtime = Runtime(device=device.type, loader_workers=loader_workers, image_cache_gib=1)
    reports = [report.metrics for report in train(config, runtime).epochs[1:]]
    return (
        sum(report["images_per_second"] for report in reports) / len(reports),
        sum(report["data_wait_fraction"] for report in reports) / len(reports),
    )


def _plain(images: torch.Tensor, *, num_steps: int, num_epochs: int, is_compiled: bool) -> float:
    torch.manual_seed(0)
    torch.compiler.reset()
    device, batch = images.device, len(images)
    model = timm.create_model(PAPERS, num_classes=10, img_size=images.shape[-1]).to(device).train()
    if is_compiled:
        model.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, fused=True)
    labels = torch.randint(10, (batch,), device=device)

    def epoch() -> float:
        finish(device)
        started = time.perf_counter()
        for _ in range(num_steps):
            with torch.autocast(device.type, dtype=torch.bfloat16):
                logits = model(images)
            F.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        finish(device)
        return num_steps * batch / (time.perf_counter() - started)

    epoch()
    speeds = [epoch() for _ in range(num_epochs - 1)]
    return sum(speeds) / len(speeds)
