"""What the Gaussian costs: a training step with it, as a ratio to one without."""

import time
from collections.abc import Callable, Iterator

import timm
import torch

from bench.gpu.figure import Figure, in_turns
from trainers.arithmetic import fp32_products
from trainers.models import GaussianBias
from trainers.models.bias import attach_bias

MODELS = (
    "vit_relpos_small_patch16_224",
    "vit_relpos_medium_patch16_224",
    "vit_relpos_base_patch16_224",
    "vit_small_patch16_224",
    "swin_tiny_patch4_window7_224",
)
BATCH, STEPS, ROUNDS = 64, 8, 9


def measure(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """Eager for all, compiled for the paper's small model and a plain ViT."""
    names = MODELS[:1] if is_small else MODELS
    for name in names:
        yield _ratio(name, device, is_small=is_small, is_compiled=False)
    if not is_small:
        for name in (MODELS[0], MODELS[3]):
            yield _ratio(name, device, is_small=False, is_compiled=True)


def _ratio(name: str, device: torch.device, *, is_small: bool, is_compiled: bool) -> Figure:
    batch, steps, rounds = (2, 1, 2) if is_small else (BATCH, STEPS, ROUNDS)
    images = torch.randn(batch, 3, side_px(is_small), side_px(is_small), device=device)
    torch.compiler.reset()
    control, treatment = (
        _step(name, images, steps, has_bias=has_bias, is_compiled=is_compiled) for has_bias in (False, True)
    )
    how = "compiled" if is_compiled else "eager"
    with fp32_products(tf32=False):
        return in_turns(
            f"step with the Gaussian / without, {name}, {how}",
            treatment,
            control,
            rounds=rounds,
            note=f"bf16, batch {batch}, forward and backward",
            goal="at most 1.03" if is_compiled else "",
        )


def _step(name: str, images: torch.Tensor, steps: int, *, has_bias: bool, is_compiled: bool) -> Callable[[], float]:
    torch.manual_seed(0)
    model = timm.create_model(name, img_size=images.shape[-1])
    if has_bias:
        attach_bias(model, GaussianBias(sigma=2.0))
    model = model.to(images.device).train()
    if is_compiled:
        model.compile()

    def seconds() -> float:
        finish(images.device)
        started = time.perf_counter()
        for _ in range(steps):
            model.zero_grad(set_to_none=True)
            with torch.autocast(images.device.type, dtype=torch.bfloat16):
                loss = model(images).float().square().mean()
            loss.backward()
        finish(images.device)
        return time.perf_counter() - started

    return seconds


def side_px(is_small: bool) -> int:
    """Side of the images: the paper's, or what a CPU does in no time."""
    return 32 if is_small else 224


def finish(device: torch.device) -> None:
    """Wait until the GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
