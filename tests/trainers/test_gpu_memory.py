"""A GPU's memory that runs out: whose fault it is, and what helps. The GPU itself is the edge that is played here."""

import os
import subprocess
import sys

import pytest
import torch

from trainers.errors import GpuMemoryError
from trainers.runtime import Runtime
from trainers.training.descent import Descent
from trainers.training.trial import train

OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which 0.30 GiB is free."
)


@pytest.fixture
def small_gpu(monkeypatch):
    def run_epoch(*args, **kwargs):
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    monkeypatch.setattr(Descent, "run_epoch", run_epoch)


@pytest.mark.parametrize(
    ("batch", "steps", "said"),
    [
        (
            40,
            1,
            (
                "40 images at a time do not fit into the GPU's memory (CUDA out of memory); set "
                "optimization.accumulation_steps to 2 in every arm (20 at a time"
            ),
        ),
        (30, 2, "set optimization.accumulation_steps to 5 in every arm (6 at a time"),
        (
            10,
            10,
            "1 image at a time does not fit into the GPU's memory (CUDA out of memory); even one image",
        ),
    ],
)
def test_on_a_gpu_of_its_own_the_trial_is_told_what_helps(trial, small_gpu, batch, steps, said):
    config = trial(optimization={"epochs": 1, "global_batch_size": batch, "accumulation_steps": steps})
    with pytest.raises(GpuMemoryError) as caught:
        train(config, Runtime(device="cpu"))
    assert said in str(caught.value)
    assert caught.value.code == "gpu_memory"


def test_the_remedy_is_one_that_mixing_accepts(trial, small_gpu):
    optimization = {"epochs": 1, "global_batch_size": 20, "accumulation_steps": 2}
    mixed = trial(optimization=optimization, mixing={"kind": "mixup"})
    # Four steps would make five images of a pass, and five are no pairs.
    with pytest.raises(GpuMemoryError, match=r"to 5 in every arm \(4 at a time"):
        train(mixed, Runtime(device="cpu"))


def test_on_a_shared_gpu_it_is_a_fault_of_the_machine_and_tried_again(trial, small_gpu):
    with pytest.raises(torch.OutOfMemoryError):
        train(trial(), Runtime(device="cpu", gpu_share=0.5))


def settings_of(device, **variables):
    """What a fresh process says of its allocator, and what torch then says."""
    code = (
        "import torch; from trainers.gpu_memory import allocator_settings;"
        f"print(repr(allocator_settings(torch.device({device!r}))), repr(torch._C._accelerator_getAllocatorSettings()))"
    )
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_ALLOC_CONF")}
    return subprocess.check_output([sys.executable, "-c", code], text=True, env=clean | variables).strip()


@pytest.mark.skipif(torch.version.cuda is None, reason="this torch knows no CUDA")
@pytest.mark.parametrize(
    ("device", "variables", "settings"),
    [
        ("cuda", {}, "'expandable_segments:True' 'expandable_segments:True'"),
        ("cuda", {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64"}, "'max_split_size_mb:64' 'max_split_size_mb:64'"),
        ("cuda", {"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"}, "'max_split_size_mb:64' 'max_split_size_mb:64'"),
        ("cpu", {}, "'' ''"),
    ],
)
def test_segments_grow_unless_the_user_has_chosen_otherwise(device, variables, settings):
    assert settings_of(device, **variables) == settings
