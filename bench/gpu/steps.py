"""What the Gaussian costs: a training step with it, as a ratio to one without, and the kernels that it launches."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import timm
import torch

from bench.gpu.figure import Figure, in_turns, of_rounds
from trainers.arithmetic import fp32_products
from trainers.attention_kernels import chosen_kernels, match_plain_attention
from trainers.models.gaussian import GaussianBias
from trainers.optimization.recipe import AttentionKernels

PAPERS, BASE, PLAIN = "vit_relpos_small_patch16_224", "vit_relpos_base_patch16_224", "vit_small_patch16_224"
MODELS = (PAPERS, "vit_relpos_medium_patch16_224", BASE, PLAIN, "swin_tiny_patch4_window7_224")
BATCH, STEPS, ROUNDS = 64, 6, 7


@dataclass(frozen=True)
class Arm:
    """How a step is computed."""

    model: str
    has_bias: bool = True
    attention: AttentionKernels = "matched"
    is_compiled: bool = False


def measure(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """Eager for all models: the step's ratio, and for two of them what torch's own choice of kernels would give."""
    for name in MODELS[:1] if is_small else MODELS:
        yield cost_of_the_gaussian(name, device, is_small=is_small)
    images = _images(device, is_small=is_small)
    for name in (PAPERS,) if is_small else (PAPERS, PLAIN):
        yield _launches(name, images)
    if is_small:
        return
    yield cost_of_the_gaussian(PLAIN, device, is_small=False, attention="fastest")
    yield _ratio(
        f"step without the Gaussian, attention matched / fastest, {PLAIN}, eager",
        Arm(PLAIN, has_bias=False),
        Arm(PLAIN, has_bias=False, attention="fastest"),
        device,
        is_small=False,
    )


def measure_compiled(device: torch.device, *, is_small: bool) -> Iterator[Figure]:
    """The same compiled, for the paper's small model and a plain ViT; not on a CPU, where compiling takes minutes."""
    for name in () if is_small else (PAPERS, PLAIN):
        yield cost_of_the_gaussian(name, device, is_small=False, is_compiled=True)


def cost_of_the_gaussian(
    name: str,
    device: torch.device,
    *,
    is_small: bool,
    attention: AttentionKernels = "matched",
    is_compiled: bool = False,
) -> Figure:
    """Of one model."""
    return _ratio(
        f"step with the Gaussian / without, {name}, {'compiled' if is_compiled else 'eager'}, {attention}",
        Arm(name, attention=attention, is_compiled=is_compiled),
        Arm(name, has_bias=False, attention=attention, is_compiled=is_compiled),
        device,
        is_small=is_small,
        goal="at most 1.03" if is_compiled else "",
    )


def _ratio(
    what: str, numerator: Arm, denominator: Arm, device: torch.device, *, is_small: bool, goal: str = ""
) -> Figure:
    steps, rounds = (1, 2) if is_small else (STEPS, ROUNDS)
    images = _images(device, is_small=is_small)
    torch.compiler.reset()
    return in_turns(
        what,
        _timed(numerator, images, steps),
        _timed(denominator, images, steps),
        rounds=rounds,
        note=f"bf16, batch {len(images)}, forward and backward",
        goal=goal,
    )


def _timed(arm: Arm, images: torch.Tensor, steps: int) -> Callable[[], float]:
    step = _step(arm, images)

    def seconds() -> float:
        finish(images.device)
        started = time.perf_counter()
        for _ in range(steps):
            step()
        finish(images.device)
        return time.perf_counter() - started

    return seconds


def _step(arm: Arm, images: torch.Tensor) -> Callable[[], None]:
    torch.manual_seed(0)
    model = timm.create_model(arm.model, img_size=images.shape[-1])
    if arm.has_bias:
        GaussianBias(sigma=2.0).attach(model)
    match_plain_attention(model, arm.attention, images.device)
    model = model.to(images.device).train()
    if arm.is_compiled:
        model.compile()

    def step() -> None:
        with fp32_products(tf32=False), chosen_kernels(arm.attention, images.device):
            model.zero_grad(set_to_none=True)
            with torch.autocast(images.device.type, dtype=torch.bfloat16):
                loss = model(images).float().square().mean()
            loss.backward()

    return step


def _launches(name: str, images: torch.Tensor) -> Figure:
    """Kernels of a GPU, or operations of a CPU, that a step with the Gaussian starts beyond one without."""
    treatment, control = (_count(Arm(name, has_bias=has_bias), images) for has_bias in (True, False))
    kind = "kernels" if images.is_cuda else "operations"
    num_layers = len(timm.create_model(name, img_size=images.shape[-1]).blocks)
    return of_rounds(
        f"{kind} that the Gaussian adds to a step, per layer, {name}, eager",
        [(treatment - control) / num_layers],
        unit=kind,
        note=f"{treatment} against {control} in all, forward and backward",
    )


def _count(arm: Arm, images: torch.Tensor) -> int:
    step = _step(arm, images)
    step()
    finish(images.device)
    of_gpu = torch.autograd.DeviceType.CUDA
    activities = [torch.profiler.ProfilerActivity.CPU]
    if images.is_cuda:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        step()
        finish(images.device)
    return sum(
        1
        for event in profile.events()
        if (event.device_type == of_gpu if images.is_cuda else event.name.startswith("aten::"))
    )


def _images(device: torch.device, *, is_small: bool) -> torch.Tensor:
    side = side_px(is_small)
    return torch.randn(2 if is_small else BATCH, 3, side, side, device=device)


def side_px(is_small: bool) -> int:
    """Side of the images: the paper's, or what a CPU does in no time."""
    return 32 if is_small else 224


def finish(device: torch.device) -> None:
    """Wait until the GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
