"""What numbers are computed in: fp32, TF32, bf16. What a GPU makes of it is in tests/gpu."""

import pytest
import timm
import torch

from trainers.analyses import receptive_field
from trainers.arithmetic import fp32_products
from trainers.device import Device
from trainers.runtime import Runtime
from trainers.tasks.classification.fp32_classifier import keep_classifier_in_fp32
from trainers.training.descent import Descent
from trainers.training.trial import train

CUDA = torch.device("cuda", 0)


def settings():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("fp32", ("highest", False)), ("bf16", ("highest", False)), ("tf32", ("high", True))],
)
def test_products_and_convolutions_are_computed_alike(precision, expected):
    before = settings()
    with Device(CUDA, precision).products():
        assert settings() == expected
        # Analyses always measure in IEEE.
        with fp32_products(tf32=False):
            assert settings() == ("highest", False)
        assert settings() == expected
    assert settings() == before


def test_a_cpu_knows_no_tf32(trial):
    assert Device(torch.device("cpu"), "tf32").fp32 == "ieee"
    optimization = {"epochs": 1, "global_batch_size": 20}
    rounded = train(trial(optimization=optimization | {"precision": "tf32"}), Runtime(device="cpu"))
    exact = train(trial(optimization=optimization), Runtime(device="cpu"))
    assert rounded.metrics["test/loss"] == exact.metrics["test/loss"]


def test_training_and_looking_use_the_chosen_products(trial, monkeypatch):
    seen = {}

    def watch(owner, name):
        original = getattr(owner, name)

        def watched(*args, **kwargs):
            seen[name] = settings()
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)

    watch(Descent, "run_epoch")
    watch(receptive_field, "_gradients")
    # As a careless library may leave it.
    with fp32_products(tf32=True):
        train(trial(analyses=[{"kind": "receptive_field"}]), Runtime(device="cpu"))
    assert seen == {"run_epoch": ("highest", False), "_gradients": ("highest", False)}


def test_the_classifier_gives_fp32_logits_under_bf16(trial):
    torch.manual_seed(0)
    model = trial().model.build(1000).eval()
    images = torch.randn(64, 3, 16, 16)
    names = list(model.state_dict())
    keep_classifier_in_fp32(model)
    assert list(model.state_dict()) == names
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.float32
    # In bf16, images of 1,000 classes have several logits of one value.
    assert any(len(row.unique()) < 1000 for row in logits.bfloat16())
    assert all(len(row.unique()) > 990 for row in logits)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "ghostnet_050", "test_resnet", "resnetv2_50", "dpn48b"])
def test_classifiers_of_cnns_give_fp32_logits_too(name):
    model = timm.create_model(name, num_classes=7).eval()
    images = torch.randn(1, 3, 64, 64)
    exact = model(images)
    keep_classifier_in_fp32(model)
    assert torch.equal(model(images), exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(images).dtype == torch.float32


def test_a_bf16_trial_keeps_its_classifier_in_fp32(trial, monkeypatch):
    kinds = set()
    task = type(trial().task)
    criterion = task.criterion

    def watched(self, class_names, device):
        loss = criterion(self, class_names, device)
        return lambda logits, labels: kinds.add(logits.dtype) or loss(logits, labels)

    monkeypatch.setattr(task, "criterion", watched)
    train(trial(optimization={"epochs": 1, "global_batch_size": 20, "precision": "bf16"}), Runtime(device="cpu"))
    assert kinds == {torch.float32}
