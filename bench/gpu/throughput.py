"""Our training loop against a plain one of torch and timm: the same model, recipe and images, images per second."""

import time
from collections.abc import Iterator

import timm
import torch
from torch.nn import functional as F

from bench.gpu.figure import Figure, in_turns
from bench.gpu.steps import finish, side_px
from trainers.config import TrialConfig
from trainers.loop import train
from trainers.runtime import Runtime

NAME = "vit_relpos_small_patch16_224"
NUM_IMAGES, BATCH, EPOCHS, ROUNDS = 1000, 125, 4, 3


def measure(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """bf16, compiled, fused AdamW. The first epoch, in which the model is compiled, does not count."""
    num_images, batch, epochs, rounds = (16, 8, 2, 1) if is_small else (NUM_IMAGES, BATCH, EPOCHS, ROUNDS)
    is_compiled = not is_small
    config = TrialConfig.model_validate(
        {
            "model": {"kind": "timm", "name": NAME, "image_size_px": side_px(is_small)},
            "dataset": {"kind": "digits", "num_train": num_images, "num_val": 10, "num_test": 10},
            "optimization": {
                "epochs": epochs,
                "global_batch_size": batch,
                "precision": "bf16",
                "compile": is_compiled,
            },
            "score_test": False,
        }
    )

    def ours() -> float:
        reports = train(config, Runtime(device=device.type)).epochs[1:]
        return sum(report.metrics["images_per_second"] for report in reports) / len(reports)

    def plain() -> float:
        images = torch.randn(batch, 3, side_px(is_small), side_px(is_small), device=device)
        return _plain(images, num_steps=num_images // batch, num_epochs=epochs, is_compiled=is_compiled)

    yield in_turns(
        f"images per second of `python -m trainers` / a plain timm loop, {NAME}",
        ours,
        plain,
        rounds=rounds,
        note=f"bf16, {'compiled, ' if is_compiled else ''}batch {batch}; ours reads, moves and normalises its images, "
        "the plain loop has one batch on the device",
        goal="at least 1.0",
    )


def _plain(images: torch.Tensor, *, num_steps: int, num_epochs: int, is_compiled: bool) -> float:
    torch.manual_seed(0)
    torch.compiler.reset()
    device, batch = images.device, len(images)
    model = timm.create_model(NAME, num_classes=10, img_size=images.shape[-1]).to(device).train()
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
