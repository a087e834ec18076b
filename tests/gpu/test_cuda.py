"""One trial on a CUDA device: it trains, resumes and agrees with the CPU. Skipped where there is none."""

from pathlib import Path

import pytest
import torch

from trainers.config import TrialConfig
from trainers.loop import train
from trainers.runtime import Runtime

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def config(**optimization: object) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "model": {"kind": "small_vit"},
            "attention_bias": {"kind": "gaussian", "sigma": 2.0},
            "dataset": {"kind": "digits", "num_train": 100},
            "optimization": {"epochs": 2, "global_batch_size": 50, **optimization},
        }
    )


def test_agrees_with_the_cpu() -> None:
    on_cpu = train(config(), Runtime(device="cpu"))
    on_gpu = train(config(), Runtime(device="cuda"))
    for key in ("train/loss", "val/loss", "sigma/00"):
        # Four steps in fp32: sums in another order, nothing else.
        assert on_gpu.epochs[-1].metrics[key] == pytest.approx(on_cpu.epochs[-1].metrics[key], rel=1e-2)


@pytest.mark.parametrize("optimization", [{"precision": "bf16"}, {"compile": True}], ids=["bf16", "compile"])
def test_learns_sigma(optimization: dict[str, object]) -> None:
    result = train(config(**optimization), Runtime(device="cuda"))
    assert result.epochs[-1].metrics["sigma/00"] != 2.0
    assert result.metrics["test/top1"] >= 0


def test_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    whole = train(config(), Runtime(device="cuda", storage=tmp_path))
    again = train(config(), Runtime(device="cuda", storage=tmp_path))
    assert again.metrics == whole.metrics
