"""Both arms of a pair compute attention by the same kernel, and the provenance says by which."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from trainers.attention_kernels import KernelRecord, chosen_kernels, match_plain_attention
from trainers.config import TrialConfig
from trainers.models.bias import bias_parameters
from trainers.models.gaussian import GaussianBias
from trainers.models.small_vit import SmallVitConfig
from trainers.models.timm_model import TimmConfig
from trainers.runtime import Runtime
from trainers.training.trial import train

CPU = torch.device("cpu")
GAUSSIAN = {"kind": "gaussian", "sigma": 2.0}
SIDES_PX = {64: 32, 196: 56}
"""Number of tokens -> side of an image with patches of 4 pixels."""


def config_of(num_tokens: int, position: str, bias: dict[str, object], attention: str) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "model": {
                "kind": "small_vit",
                "width": 12,
                "depth": 2,
                "num_heads": 1,
                "image_size_px": SIDES_PX[num_tokens],
                "position": position,
            },
            "attention_bias": bias,
            "dataset": {"kind": "digits", "num_train": 20, "num_val": 10, "num_test": 10},
            "optimization": {"epochs": 1, "global_batch_size": 10, "attention": attention},
        }
    )


def kernels_of(num_tokens: int, position: str, bias: dict[str, object], attention: str) -> str:
    config = config_of(num_tokens, position, bias, attention)
    return train(config, Runtime(device="cpu", num_threads=1)).provenance["attention"]


@pytest.mark.parametrize("num_tokens", [64, 196])
def test_the_arms_of_a_plain_vit_run_the_same_kernels(num_tokens):
    control, treatment = (kernels_of(num_tokens, "absolute", bias, "matched") for bias in ({"kind": "none"}, GAUSSIAN))
    assert control == treatment == "training: unfused, scoring: unfused"
    control, treatment = (kernels_of(num_tokens, "absolute", bias, "fastest") for bias in ({"kind": "none"}, GAUSSIAN))
    # What torch chooses by itself: no fused kernel of a CPU gives the gradient of a mask.
    assert control == "training: flash, scoring: flash"
    assert treatment == "training: unfused, scoring: flash"


@pytest.mark.parametrize("position", ["rel_bias", "rel_mlp"])
def test_arms_with_a_bias_of_their_own_keep_the_kernels_and_numbers_that_they_had(position):
    results = [
        train(config_of(64, position, bias, attention), Runtime(device="cpu", num_threads=1))
        for bias in ({"kind": "none"}, GAUSSIAN)
        for attention in ("matched", "fastest")
    ]
    assert {result.provenance["attention"] for result in results} == {"training: unfused, scoring: flash"}
    for matched, fastest in (results[:2], results[2:]):
        assert matched.epochs[0].metrics["train/loss"] == fastest.epochs[0].metrics["train/loss"]
        assert matched.metrics["val/loss"] == fastest.metrics["val/loss"]


@pytest.mark.parametrize("num_tokens", [64, 196])
@pytest.mark.parametrize("has_bias", [False, True])
def test_matched_attention_computes_what_double_precision_does(num_tokens, has_bias):
    torch.manual_seed(0)
    model = SmallVitConfig(width=24, depth=2, num_heads=2, image_size_px=SIDES_PX[num_tokens], position="absolute")
    exact = model.build(5)
    if has_bias:
        GaussianBias(sigma=2.0).attach(exact)
    matched = copy.deepcopy(exact)
    match_plain_attention(matched, "matched", CPU)
    images, labels = torch.rand(3, 3, model.image_size_px, model.image_size_px), torch.tensor([0, 1, 4])
    cross_entropy(matched(images), labels).backward()
    cross_entropy(exact.double()(images.double()), labels).backward()
    for ours, theirs in zip(matched.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-3, atol=1e-6)
    assert all(parameter.grad.abs().sum() > 0 for parameter in bias_parameters(matched))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "eva02_tiny_patch14_224"])
def test_plain_models_of_timm_are_matched_too(name):
    def kernels(*, has_bias: bool) -> dict[str, str]:
        model = TimmConfig(name=name, image_size_px=112).build(3)
        if has_bias:
            GaussianBias().attach(model)
        match_plain_attention(model, "matched", CPU)
        record = KernelRecord(is_compiled=False)
        with record.of("training"):
            model(torch.zeros(1, 3, 112, 112))
        return record.provenance()

    assert kernels(has_bias=False) == kernels(has_bias=True) == {"attention": "training: unfused"}


def test_on_cuda_only_the_fused_kernel_that_gives_a_masks_gradient_is_allowed():
    def allowed() -> dict[str, bool]:
        return {
            "cudnn": torch.backends.cuda.cudnn_sdp_enabled(),
            "flash": torch.backends.cuda.flash_sdp_enabled(),
            "efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
            "math": torch.backends.cuda.math_sdp_enabled(),
        }

    before = allowed()
    with chosen_kernels("matched", torch.device("cuda")):
        assert allowed() == {"cudnn": False, "flash": False, "efficient": True, "math": True}
    assert allowed() == before
    with chosen_kernels("fastest", torch.device("cuda")):
        assert allowed() == before
