"""Trials on a CUDA device; `bench/gpu/run.sh` runs them on a machine without Ray, MLflow and a network."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.trainers.interruption import in_pieces
from trainers.analyses.questions import ReceptiveFieldConfig
from trainers.analyses.receptive_field import receptive_fields
from trainers.arithmetic import fp32_products
from trainers.attention_kernels import chosen_kernels
from trainers.config import TrialConfig
from trainers.errors import GpuMemoryError
from trainers.models.bias import NoBias
from trainers.models.gaussian import GaussianBias
from trainers.result import TrialResult
from trainers.runtime import Runtime
from trainers.training.trial import train

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


def on_gpu(trial: TrialConfig, storage: Path | None = None, **runtime: object) -> TrialResult:
    return train(trial, Runtime(device="cuda", storage=storage, **runtime))


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
def test_gradients_through_fused_attention_are_no_further_from_the_truth_than_those_of_the_plain_one(
    name: str, precision: str, image_size_px: int
) -> None:
    """The truth is the same model in double precision; what is compared is one kind of parameter over all layers."""
    import timm

    torch.manual_seed(0)
    # Without LayerScale: at its initial 1e-5 the gradients of the bias are rounding noise.
    model = timm.create_model(name, img_size=image_size_px, num_classes=10, init_values=0)
    GaussianBias(sigma=2.0).attach(model)
    model = model.cuda().train()
    images = torch.randn(4, 3, image_size_px, image_size_px, device="cuda")

    def gradients(of: torch.nn.Module, images: torch.Tensor, *, bf16: bool) -> dict[str, torch.Tensor]:
        of.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=bf16):
            logits = of(images)
        logits.to(images.dtype).square().mean().backward()
        kinds: dict[str, list[torch.Tensor]] = {}
        for parameter, value in of.named_parameters():
            if value.grad is not None:
                kinds.setdefault(re.sub(r"\d+", "*", parameter), []).append(value.grad.double().flatten())
        return {kind: torch.cat(values) for kind, values in kinds.items()}

    with fp32_products(tf32=False):
        with sdpa_kernel(SDPBackend.MATH):
            truth = gradients(copy.deepcopy(model).double(), images.double(), bf16=False)
            plain = gradients(model, images, bf16=precision == "bf16")
        with chosen_kernels("matched", images.device):
            fused = gradients(model, images, bf16=precision == "bf16")
    # Some gradients are 0 but for rounding: what adds the same to all logits of a row changes no attention.
    floor = 1e-5 * float(torch.cat(list(truth.values())).norm())
    for kind, true in truth.items():
        errors = [float((found[kind] - true).norm()) for found in (fused, plain)]
        print(f"{kind}: {errors[0] / float(true.norm()):.2g} fused, {errors[1] / float(true.norm()):.2g} plain")
        assert errors[0] <= 3 * errors[1] + floor, kind


@pytest.mark.parametrize("model", [SMALL_VIT, {"kind": "timm", "name": "vit_small_patch16_224", "image_size_px": 64}])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_arms_of_a_pair_compute_attention_alike(model: dict[str, object], precision: str) -> None:
    """In training and in scoring: by the one fused kernel that gives the gradient of a mask."""
    treatment = config(model, precision=precision, epochs=1)
    control = treatment.model_copy(update={"attention_bias": NoBias()})
    ran = {on_gpu(arm).provenance["attention"] for arm in (control, treatment)}
    assert ran == {"training: efficient, scoring: efficient"}


def test_images_that_other_processes_read_are_the_same_images() -> None:
    """Page-locked memory and copies that do not block: a batch that is overwritten too early would show here."""
    trial = config(deterministic=True, epochs=3)
    here, elsewhere = on_gpu(trial), on_gpu(trial, loader_workers=3)
    assert [epoch.metrics["train/loss"] for epoch in here.epochs] == [
        epoch.metrics["train/loss"] for epoch in elsewhere.epochs
    ]


@pytest.mark.parametrize("name", ["vit_relpos_small_patch16_224", "swin_tiny_patch4_window7_224"])
def test_receptive_fields_are_those_of_a_cpu(name: str) -> None:
    import timm

    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=10).eval()
    images = torch.randn(3, 3, 224, 224)
    on_cpu = receptive_fields(model, [images], ReceptiveFieldConfig())[0].map
    found = receptive_fields(model.cuda(), [images.cuda()], ReceptiveFieldConfig())[0].map
    assert abs(found - on_cpu).max() < 1e-3 * on_cpu.max()


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
    model = {"kind": "timm", "name": "vit_relpos_small_patch16_224"}
    free, _ = torch.cuda.mem_get_info()
    assert free > 2e9
    all_but_a_little = torch.empty(int(free - 1.5e9), dtype=torch.uint8, device="cuda")
    try:
        with pytest.raises(GpuMemoryError, match="accumulation_steps to 2"):
            on_gpu(config(model, global_batch_size=100, epochs=1))
    finally:
        del all_but_a_little
        torch.cuda.empty_cache()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices on this machine")
def test_two_processes_with_nccl_equal_one(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(
        "import sys, torch, torch.distributed as dist\n"
        "from trainers.config import TrialConfig\n"
        "from trainers.training.trial import train\n"
        "from trainers.runtime import Runtime\n"
        "from trainers.ranks import World\n"
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
