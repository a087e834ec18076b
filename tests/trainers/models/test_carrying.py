"""A treated model goes wherever a model goes: copies, files, other processes, compilers, data parallelism."""

import copy
import io
import pickle
import shutil

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from trainers.models.bias import attached_biases, bias_metrics, bias_parameters
from trainers.models.gaussian import GaussianBias, PermutedGaussianBias
from trainers.models.small_vit import SmallVitConfig

CONFIGS = [GaussianBias(sigma=1.5, amplitude=2.0, per_head=True), PermutedGaussianBias(sigma=1.5)]


def through_torch_save(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def through_state_dict(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    fresh = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.add_(1)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


@pytest.mark.parametrize("config", CONFIGS, ids=["gaussian", "placebo"])
@pytest.mark.parametrize(
    "carry",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), through_torch_save, through_state_dict],
    ids=["deepcopy", "pickle", "torch.save", "state_dict"],
)
def test_a_carried_model_is_the_same_and_its_own(build, images, config, carry):
    model = build()
    config.attach(model)
    carried = carry(model)
    assert [type(m) for m in carried.modules()] == [type(m) for m in model.modules()]
    assert torch.equal(carried(images), model(images))
    assert bias_metrics(carried) == bias_metrics(model)
    with torch.no_grad():
        for parameter in bias_parameters(carried):
            parameter.mul_(1.5)
    assert not torch.equal(carried(images), model(images))


def test_bf16_autocast_trains_fp32_parameters(build, images, set_fused):
    for fused in (True, False):
        model = build().train()
        GaussianBias(sigma=1.5, amplitude=2.0).attach(model)
        set_fused(model, fused)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(images)
            loss = logits.float().square().sum()
        loss.backward()
        for parameter in bias_parameters(model):
            assert parameter.dtype == parameter.grad.dtype == torch.float32
            assert torch.isfinite(parameter.grad).all()
        reference = build()
        GaussianBias(sigma=1.5, amplitude=2.0).attach(reference)
        torch.testing.assert_close(logits.float(), reference.train()(images), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("fused", [True, False])
def test_a_model_cast_to_bf16_runs(build, images, set_fused, fused):
    model = build()
    GaussianBias(sigma=1.5, amplitude=2.0).attach(model)
    set_fused(model, fused)
    assert model.to(torch.bfloat16)(images.to(torch.bfloat16)).dtype == torch.bfloat16


def test_gradient_checkpointing_changes_nothing(build, images):
    gradients = []
    for enable in (False, True):
        model = build()
        GaussianBias(sigma=1.5, amplitude=2.0).attach(model)
        model.set_grad_checkpointing(enable)
        model(images).square().sum().backward()
        gradients.append([parameter.grad for parameter in bias_parameters(model)])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_data_parallel_training(build, images, tmp_path):
    model, plain = build(), build()
    for each in (model, plain):
        GaussianBias(sigma=1.5, amplitude=2.0).attach(each)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(model)
        assert len(attached_biases(wrapped)) == len(attached_biases(plain))
        wrapped(images).square().sum().backward()
        plain(images).square().sum().backward()
        for mine, theirs in zip(bias_parameters(wrapped), bias_parameters(plain), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad)
        del wrapped
    finally:
        torch.distributed.destroy_process_group()


class TestCompile:
    @pytest.fixture(autouse=True)
    def _fresh_compiler(self, compiler_cache):
        torch.compiler.reset()
        yield
        torch.compiler.reset()

    @pytest.mark.parametrize(
        "build", ["rel_bias", "rel_mlp_clsgap", "shared_bias", "plain_cls_registers"], indirect=True
    )
    def test_the_whole_model_is_one_graph(self, build, images):
        model = build()
        GaussianBias(sigma=1.5, amplitude=2.0).attach(model)
        # The traced graph itself, run without a code generator: a graph break would raise.
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        assert torch.equal(compiled(images), model(images))
        assert len(attached_biases(compiled)) == len(attached_biases(model))

    @pytest.mark.slow
    @pytest.mark.skipif(
        shutil.which("g++") is None and shutil.which("clang++") is None, reason="torch.compile needs a C++ compiler"
    )
    def test_the_default_backend_trains_the_same(self):
        config = SmallVitConfig(width=12, depth=1, num_heads=2, image_size_px=16, patch_size_px=4)
        images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        results = []
        for compiled in (False, True):
            torch.manual_seed(0)
            model = config.build(4)
            GaussianBias(sigma=1.5, amplitude=2.0).attach(model)
            logits = (torch.compile(model, fullgraph=True) if compiled else model)(images)
            logits.square().sum().backward()
            results.append([logits.detach(), *(parameter.grad for parameter in bias_parameters(model))])
        assert all(gradient != 0 for gradient in results[1][1:])
        torch.testing.assert_close(results[0], results[1], rtol=1e-3, atol=1e-5)
