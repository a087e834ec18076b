"""Trials on a CUDA device; `bench/gpu/run.sh` runs them on a machine without Ray, MLflow and a network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.trainers.interruption import in_pieces
from trainers.arithmetic import fp32_products
from trainers.config import TrialConfig
from trainers.errors import GpuMemoryError
from trainers.loop import train
from trainers.result import TrialResult
from trainers.runtime import Runtime

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

SMALL_VIT: dict[str, object] = {"kind": "small_vit"}


def config(model: dict[str, object] | None = None, *, num_val: int = 300, **optimization: object) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "model": model or SMALL_VIT,
            "attention_bias": {"kind": "gaussian", "sigma": 2.0},
            "dataset": {"kind": "digits", "num_train": 100, "num_val": num_val},
            "optimization": {"epochs": 2, "global_batch_size": 50, **optimization},
        }
    )


def on_gpu(trial: TrialConfig, storage: Path | None = None) -> TrialResult:
    return train(trial, Runtime(device="cuda", storage=storage))


def test_agrees_with_the_cpu() -> None:
    on_cpu = train(config(), Runtime(device="cpu"))
    for key in ("train/loss", "val/loss", "sigma/00"):
        # Four steps in fp32: sums in another order, nothing else.
        found = on_gpu(config()).epochs[-1].metrics[key]
        assert found == pytest.approx(on_cpu.epochs[-1].metrics[key], rel=1e-2)


@pytest.mark.parametrize(
    ("optimization", "provenance"),
    [
        ({"precision": "fp32"}, {"fp32": "ieee"}),
        ({"precision": "tf32"}, {"fp32": "tf32"}),
        ({"precision": "bf16"}, {"fp32": "ieee"}),
        ({"compile": True}, {"forward": "compiled whole"}),
        ({"precision": "bf16", "compile": True}, {"forward": "compiled whole"}),
    ],
)
def test_learns_sigma(optimization: dict[str, object], provenance: dict[str, str]) -> None:
    result = on_gpu(config(**optimization))
    assert result.epochs[-1].metrics["sigma/00"] != 2.0
    # Better than chance among ten digits after four steps, and the loss below that of a guess.
    assert result.metrics["test/loss"] < 2.35
    assert provenance.items() <= result.provenance.items()


@pytest.mark.parametrize("name", ["vit_relpos_small_patch16_224", "vit_small_patch16_224"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("image_size_px", [128, 224], ids=["64 tokens", "196 tokens"])
def test_gradients_through_the_fused_kernels_are_those_of_the_plain_one(
    name: str, precision: str, image_size_px: int
) -> None:
    """Masks that want a gradient, and those that don't, go to other kernels: all must agree with the mathematics."""
    import timm

    from trainers.models import GaussianBias
    from trainers.models.bias import attach_bias

    torch.manual_seed(0)
    # Without LayerScale: at its initial 1e-5 the gradients of the bias are rounding noise.
    model = timm.create_model(name, img_size=image_size_px, num_classes=10, init_values=0)
    attach_bias(model, GaussianBias(sigma=2.0))
    model = model.cuda().train()
    images = torch.randn(4, 3, image_size_px, image_size_px, device="cuda")

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(images).float().square().mean()
        loss.backward()
        return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}

    with fp32_products(tf32=False):
        fused = gradients()
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            plain = gradients()
    for parameter, expected in plain.items():
        scale = expected.abs().max().clamp(min=1e-6)
        difference = float(((fused[parameter] - expected).abs().max() / scale).cpu())
        assert difference < (0.2 if precision == "bf16" else 0.02), parameter


def test_tf32_is_tf32_and_fp32_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 512, 512, generator=generator)
    exact = left.double() @ right.double()

    def error(*, tf32: bool) -> float:
        with fp32_products(tf32=tf32):
            return float(((left.cuda() @ right.cuda()).cpu().double() - exact).abs().max())

    assert error(tf32=False) < 1e-3
    if torch.cuda.get_device_capability() >= (8, 0):
        assert error(tf32=True) > 3 * error(tf32=False)


@pytest.mark.parametrize("deterministic", [False, True])
def test_interrupted_anywhere_a_training_goes_on_from_there(tmp_path: Path, deterministic: bool) -> None:
    """Inside epochs, too; `tests/trainers/test_saving.py` asks the same of a CPU."""
    trial = config(SMALL_VIT | {"drop_path": 0.2}, num_val=100, epochs=3, deterministic=deterministic)
    whole = on_gpu(trial, tmp_path / "whole")
    parts, _, interruptions = in_pieces(trial, Runtime(device="cuda", storage=tmp_path / "parts"), looks=3)
    assert interruptions > 2
    losses = [[report.metrics["train/loss"] for report in result.epochs] for result in (parts, whole)]
    if deterministic:
        assert losses[0] == losses[1]
        assert parts.metrics["test/loss"] == whole.metrics["test/loss"]
    else:
        assert losses[0] == pytest.approx(losses[1], rel=1e-2)
        assert parts.metrics["test/loss"] == pytest.approx(whole.metrics["test/loss"], rel=1e-2)


def test_twenty_trials_leave_no_memory_behind() -> None:
    on_gpu(config())
    before = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    for _ in range(20):
        on_gpu(config(epochs=1))
    assert torch.cuda.memory_allocated() <= before[0]
    assert torch.cuda.memory_reserved() <= before[1]


def test_a_batch_that_does_not_fit_is_the_trials_own_fault() -> None:
    device = torch.cuda.current_device()
    model = {"kind": "timm", "name": "vit_relpos_small_patch16_224"}
    free, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(min(1.0, 1.5e9 / total), device)
    try:
        with pytest.raises(GpuMemoryError, match="accumulation_steps to 2"):
            on_gpu(config(model, global_batch_size=100, epochs=1))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.empty_cache()
    assert free > 1.5e9


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices on this machine")
def test_two_processes_with_nccl_equal_one(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(
        "import sys, torch, torch.distributed as dist\n"
        "from trainers.config import TrialConfig\n"
        "from trainers.loop import train\n"
        "from trainers.runtime import Runtime\n"
        "from trainers.world import World\n"
        "rank = int(sys.argv[1])\n"
        "torch.cuda.set_device(rank)\n"
        "dist.init_process_group('nccl', init_method=sys.argv[2], rank=rank, world_size=2)\n"
        "result = train(TrialConfig.model_validate_json(sys.argv[3]), Runtime(device='cuda'), world=World(rank, 2))\n"
        "print(result.epochs[-1].metrics['train/loss'])\n"
        "dist.destroy_process_group()\n"
    )
    trial = config()
    meeting = f"file://{tmp_path / 'meeting'}"
    ranks = [
        subprocess.Popen(
            [sys.executable, script, str(rank), meeting, trial.model_dump_json()],
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        for rank in (0, 1)
    ]
    losses = [float(rank.communicate(timeout=120)[0]) for rank in ranks]
    alone = on_gpu(trial).epochs[-1].metrics["train/loss"]
    assert losses == [pytest.approx(alone, rel=1e-3)] * 2
